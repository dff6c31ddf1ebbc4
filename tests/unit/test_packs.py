"""Language packs: they load, name their source, and judge a language's texts only."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from crawlmill import layout
from crawlmill.recipes import recipe
from crawlmill.text import rules, signals

PACKS = sorted((layout.recipes_dir() / "packs").glob("*.yaml"))
THAI = "แม่น้ำนี้กว้างมากในฤดูฝนและผู้คนในหมู่บ้านชอบพายเรือข้ามไปตลาดทุกเช้า"


@pytest.mark.parametrize("path", PACKS, ids=lambda path: path.stem)
def test_a_pack_names_its_source_and_its_language(path: Path) -> None:
    head = path.read_text(encoding="utf-8").split("\nextends:")[0]
    assert "after" in head and "Deviations:" in head and "not verified" in head
    found = recipe.load(path)
    assert found.gate.languages == (path.stem,)
    for name, scorer in found.measure.scorers.items():
        assert scorer.languages == (path.stem,), name


def test_the_packs_are_there() -> None:
    assert [path.stem for path in PACKS] == ["fin", "mlt", "por", "tha"]


def test_thai_rules_on_texts_without_spaces() -> None:
    found = recipe.load(layout.recipes_dir() / "packs" / "tha.yaml")
    places = ("ปากน้ำ", "บ้านนา", "ท่าเรือ", "ดอยสูง", "หนองบัว", "เมืองเก่า", "สวนส้ม", "ริมคลอง", "ทุ่งหญ้า", "ป่าสน", "เกาะใหญ่", "วังทอง")
    many = "\n".join(f"{THAI[: 40 + at]}{place}และ{places[-at - 1]}{THAI[at * 3 :]}" for at, place in enumerate(places))
    texts = {"short": THAI, "more": f"{many}\nอ่านต่อ", "article": many, "latin": many}
    rows = [{"snapshot": "s", "shard": 0, "id": name, "text": text, "language": "tha"} for name, text in texts.items()]
    measured = signals.measure_batch(pa.RecordBatch.from_pylist(rows), found.measure).to_pylist()
    broken = {}
    for row in measured:
        values = {
            **row,
            "script_share": 0.3 if row["id"] == "latin" else 1.0,
            "score.read_more": dict(row["scores"])["read_more"],
        }
        broken[row["id"]] = {one.rule for one in rules.failed(rules.rules_for(found.gate, "tha", "Thai"), values)}
    assert "gopher_short_doc" in broken["short"] and "gopher_short_doc" not in broken["article"]
    assert broken["more"] - broken["article"] == {"read_more"}
    assert broken["latin"] - broken["article"] == {"thai_letters"}


def test_a_list_of_words_tells_pages_of_its_kind() -> None:
    path = layout.recipes_dir() / "packs" / "gambling_eng.txt"
    named = {"gambling": {"kind": "words", "path": str(path), "languages": ["eng"]}}
    rule = {"gambling": {"signal": "score.gambling", "op": "max", "limit": 0.05}}
    found = recipe.from_mapping({"measure": {"scorers": named}, "gate": {"rules": rule}})
    texts = {
        "site": "Casino bonus: free spins on every slot machine, jackpot tonight, no deposit bonus for poker and roulette.",
        "mill": "The miller played cards on Sundays, and once he won a goose at the village fair, which his wife let go.",
        "other": "Kasino casino jackpot poker",
    }
    rows = [
        {"snapshot": "s", "shard": 0, "id": name, "text": text, "language": "deu" if name == "other" else "eng"}
        for name, text in texts.items()
    ]
    told = {
        row["id"]: dict(row["scores"])["gambling"]
        for row in signals.measure_batch(pa.RecordBatch.from_pylist(rows), found.measure).to_pylist()
    }
    assert told["site"] > 0.5 and told["mill"] == 0 and told["other"] is None
    broken = rules.failed(rules.rules_for(found.gate, "eng"), {"score.gambling": told["site"]})
    assert [one.rule for one in broken] == ["gambling"]
