"""Corpus assessment: figures whose values are known, sides cut to the same size, a page that stays text."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from crawlmill import assess
from crawlmill.assess import metrics, sides
from crawlmill.cli import cli
from crawlmill.errors import UserError
from tests.fixtures import seen
from tests.fixtures.lakes import NEW, OLD


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> str:
    found = seen.make(str(tmp_path_factory.mktemp("assess") / "lake"))
    seen.release(found, "web", [OLD])
    return found


def one(texts: list[str], language: str = "und") -> metrics.Figures:
    (found,) = metrics.beside([texts], language, 1)
    assert found is not None
    return found


def words(n: int, seed: int) -> str:
    draw = random.Random(seed)
    return " ".join("".join(draw.choices("abcdefghijklmnop", k=7)) for _ in range(n))


def test_figures_of_texts_that_can_be_counted_by_hand() -> None:
    assert one(["a b c d"]).distinct == 1 and one(["a b c a b c"]).distinct == 3 / 4
    assert one(["a b c", "a b c"]).distinct == 1 / 2, "across texts, but no run crosses from one to the next"
    assert one(["a b"]).distinct is None and one(["a b"]).duplicate is None and one(["a b"]).mtld is None
    long = words(100, 1)
    assert one([long, words(100, 2)]).duplicate == 0
    assert one([long, long]).duplicate == 0.5, "the first one is nobody's copy"
    assert one([f"{long} {long}"]).duplicate == 0, "what a document repeats itself is no copy of another"
    assert one([long, long, long, long]).compression > 1.9 * one([words(100, n) for n in range(4)]).compression
    varied = " ".join(random.Random(4).choices(words(150, 3).split(), k=300))
    assert one([varied]).mtld > 3 * one(["the same few words again " * 60]).mtld


def test_sides_are_cut_to_as_many_words() -> None:
    small, large = [words(50, n) for n in range(10)], [words(50, n) for n in range(100, 200)]
    left, right = metrics.beside([small, large], "und", 5)
    assert left is not None and right is not None and left.words == right.words == 500 and right.documents == 10
    left, right = metrics.beside([small[:3], large], "und", 5)
    assert left is None and right is not None and right.words == 5000, "a side without figures cuts nobody"


def test_purity_is_the_share_of_lines_in_the_language() -> None:
    german = "Der Fluss trägt Sand von den Hügeln bis in das breite Delta, und jeder sieht ihm zu."
    english = "The river carries sand from the hills to the wide delta, and everybody looks at it."
    assert one([german], "deu").purity == 1 and one([german], "eng").purity == 0
    mixed = one([f"{german}\n{english}"], "deu").purity
    assert mixed == pytest.approx(len(german) / len(german + english))
    assert one(["kurz"], "deu").purity is None


def test_perplexity_by_a_model(tmp_path: Path) -> None:
    model = tmp_path / "m.arpa"
    model.write_text("\\data\\\nngram 1=4\n\n\\1-grams:\n-1.0\t<unk>\n-99\t<s>\n-1.0\t</s>\n-0.5\triver\n\n\\end\\\n")
    known, strange = (metrics.beside([[text]], "und", 1, str(model))[0] for text in ("river river river", "xqz vvk lorp"))
    assert known is not None and strange is not None and known.perplexity is not None and strange.perplexity is not None
    assert known.perplexity < strange.perplexity == pytest.approx(10)


def test_every_kind_of_side(lake: str, tmp_path: Path) -> None:
    whole = sides.draw(lake, "corpus", 1000)
    assert sides.draw(lake, "2", 1000) == whole and sides.draw(lake, "corpus", 1000) == whole
    old, new = sides.draw(lake, OLD, 1000), sides.draw(lake, NEW, 1000)
    assert {name: sorted(old.get(name, []) + new.get(name, [])) for name in whole} == {
        name: sorted(own) for name, own in whole.items()
    }
    assert sides.draw(lake, "web", 1000) == old
    few = sides.draw(lake, "corpus", 3)
    assert all(len(texts) <= 3 for texts in few.values()) and few == sides.draw(lake, "corpus", 3)
    path = tmp_path / "texts.jsonl"
    path.write_text("".join(json.dumps({"language": "deu", "text": f"Seite {n}"}) + "\n" for n in range(8)))
    assert len(sides.draw(lake, str(path), 1000)["deu"]) == 8
    for name, says in (("99", "no version 99"), ("wob", "did you mean"), (str(tmp_path / "none.jsonl"), "no snapshot")):
        with pytest.raises(UserError, match=says):
            sides.draw(lake, name, 10)


def test_the_command_and_its_page(lake: str, tmp_path: Path) -> None:
    def run(*arguments: str) -> Any:
        return CliRunner().invoke(cli, ["assess", *arguments, "--lake", lake], catch_exceptions=False)

    out = tmp_path / "page.html"
    told = run("corpus", "--against", "web", "--out", str(out), "--json")
    rows = {row["language"]: row["figures"] for row in json.loads(told.output)["rows"]}
    assert rows["eng"][0]["words"] <= metrics.WORDS and abs(rows["eng"][0]["words"] - rows["eng"][1]["words"]) < 120
    page = out.read_text(encoding="utf-8")
    assert "<script" not in page and "http" not in page.replace("http-equiv", "") and page.count('class="card"') == 5
    assert "distinct" in run("corpus").output
    with pytest.raises(UserError, match="names no file"):
        run("corpus", "--model", "deu")
    assert assess.compare(lake, ["corpus"]).rows == assess.compare(lake, ["corpus"]).rows
