"""`crawlmill why`: a page's path, told from a lake's tables without Spark."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from crawlmill.cli import cli
from crawlmill.explain import excerpts, shared_text, why
from crawlmill.lake import ledger
from crawlmill.recipes import defined_at, recipe
from crawlmill.text_table import printable
from tests.fixtures import lake_tables, seen
from tests.fixtures.lakes import NEW, OLD


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> str:
    return seen.make(str(tmp_path_factory.mktemp("why") / "lake"))


def ask(lake: str, name: str) -> dict[str, Any]:
    return why.explain(lake, name, defined_at.rulebook())


def shown(lake: str, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["why", "--lake", lake, *arguments])


def test_every_document_s_verdict_is_what_the_tables_say(lake: str) -> None:
    """Every tenth page: verdict, failed rules with value and limit, charset, language, both snapshots."""
    judged = {row["id"]: row for snapshot in (OLD, NEW) for row in seen.verdicts(seen.documents(snapshot))}
    words = set()
    for row in seen.documents(NEW)[:200:3]:
        captures = ask(lake, row["url"])["captures"]
        assert [found["snapshot"] for found in captures] == [OLD, NEW]
        for found in captures:
            verdict = judged[found["id"]]
            words.add(found["verdict"])
            assert found["gate"]["eligible"] == verdict["eligible"] == (found["verdict"] != "failed rules")
            plain = [{k: v for k, v in rule.items() if k != "defined"} for rule in found["gate"]["failed"]]
            assert plain == verdict["failed"]
            assert all(
                "default.yaml line" in rule["defined"] or "fineweb2.tsv line" in rule["defined"]
                for rule in found["gate"]["failed"]
            )
            assert (found["charset"], found["charset_source_means"]) == ("utf-8", "Content-Type header.")
            assert found["language"]["runner_up"] == "nld"
            assert (found["corpus"]["in"], found["verdict"] == "kept") in ((True, True), (False, False))
    assert {"failed rules", "kept", "near duplicate"} <= words


def test_the_releases_that_a_page_is_in(tmp_path: Path) -> None:
    lake = seen.make(str(tmp_path / "lake"))
    seen.release(lake, "first", [OLD])
    seen.release(lake, "second", [OLD, NEW])
    (Path(lake) / "releases" / "half").mkdir()
    for row in seen.documents(NEW)[:60:5]:
        for found in ask(lake, row["url"])["captures"]:
            due = {OLD: ["first", "second"], NEW: ["second"]}[found["snapshot"]] if found["corpus"]["in"] else []
            assert [one["name"] for one in found["releases"]] == due
    kept = next(row["url"] for row in seen.documents(OLD) if ask(lake, row["url"])["captures"][0]["verdict"] == "kept")
    assert "release    first of 2026-10-01: stands for 3 documents, rehydration weight 2" in shown(lake, kept).output


def test_a_rule_s_place_is_the_line_that_says_the_limit() -> None:
    book = defined_at.rulebook()
    limits = recipe.load().gate.limits
    assert limits["deu"]["list_ratio"] != recipe.load().gate.rules["list_ratio"].limit
    place = book.place("list_ratio", "deu", "Latn")
    assert place.endswith("limits of deu")
    file, _, line = place.removeprefix("recipe ").partition(", ")[0].rpartition(" line ")
    assert Path(file).read_text(encoding="utf-8").splitlines()[int(line) - 1].startswith("deu\t")
    own = book.place("lorem_ipsum", "deu", "Latn")
    file, _, line = own.removeprefix("recipe ").partition(", ")[0].rpartition(" line ")
    assert "lorem_ipsum" in Path(file).read_text(encoding="utf-8").splitlines()[int(line) - 1]
    assert book.place("list_ratio", "eng", "Latn").endswith("the rule's own limit, as eng says")
    assert book.place("hook_proposal", "eng") == "proposed by the hook"


def test_a_duplicate_names_the_one_that_stays_and_what_they_share(lake: str) -> None:
    found = next(
        one for row in seen.documents(NEW) for one in ask(lake, row["url"])["captures"] if one["verdict"] == "near duplicate"
    )
    stays = found["cluster"]["stays"]
    assert stays["snapshot"] == OLD and found["cluster"]["similarity"] == 0.91
    assert stays["shared"]["left"] > 0.8 and stays["shared"]["passages"][0]
    assert ask(lake, found["cluster"]["survivor_id"])["captures"][0]["verdict"] == "kept"


def test_a_rejected_record_has_its_reason(lake: str) -> None:
    for name in ("https://site1.example/gone-1", seen.rejects(OLD)[1]["id"]):
        found = ask(lake, name)["captures"][0]
        assert (found["verdict"], found["reject"]["reason"]) == ("rejected", "no_text")
        assert found["reject"]["means"] == "No text was left as main content."


def test_by_id_the_other_captures_are_named(lake: str) -> None:
    row = seen.documents(NEW)[0]
    found = ask(lake, row["id"].removeprefix("<urn:uuid:").removesuffix(">").upper())
    assert [one["id"] for one in found["captures"]] == [row["id"]]
    assert [one["snapshot"] for one in found["also"]] == [OLD]


def test_a_derived_document_names_its_page_hook_model_and_cost(tmp_path: Path) -> None:
    lake = seen.make(str(tmp_path / "lake"))
    page, made = seen.derive(lake)
    (found,) = ask(lake, made)["captures"]
    assert (found["parent_id"], found["shard"] >= 900, found["verdict"]) == (page, True, "eligible, dedup to come")
    assert [(step["hook"], step["model"], step["cost"]) for step in found["hooks"]] == [
        ("rewire", "tiny-served", 0.125),
        ("mask_pii", None, None),
    ]
    told = shown(lake, made).output
    assert f"derived    by recycling, from {page}" in told
    assert "rewire 1: changed, 1 edits; tiny-served answered 1 requests, 90 tokens read, 40 written, cost 0.1250" in told
    (before,) = ask(lake, page)["captures"]
    assert before["recycled"][0]["derived"] == [made] and before["verdict"] == "failed rules"
    assert f"made {made}" in shown(lake, page).output and "in bucket 11" in shown(lake, page).output
    url = before["url"]  # asked by address: the captures, and behind its page the derived document
    assert [one["id"] for one in ask(lake, url)["captures"] if one["snapshot"] == NEW] == [page, made]


def test_a_gate_that_ran_again_hides_derived_documents_until_recycle_does(tmp_path: Path) -> None:
    lake = seen.make(str(tmp_path / "lake"))
    page, made = seen.derive(lake)
    gate = ledger.released(lake, "gate", NEW)
    assert gate
    again = {
        entry["table"]: lake_tables.put(lake, entry["table"], NEW, seen.verdicts(seen.documents(NEW)))
        for entry in gate.outputs[1:]
    }
    outputs = [entry | {"version": again.get(entry["table"], entry["version"])} for entry in gate.outputs]
    ledger.append_run(lake, ledger.RunRow("g2", "gate", NEW, "k", "passed", inputs=gate.inputs, outputs=outputs, fence=100))
    assert not ask(lake, made)["captures"] and not ask(lake, page)["captures"][0]["recycled"]


def test_only_the_page_s_own_partitions_are_read(lake: str) -> None:
    row = seen.documents(NEW)[1]
    files = ask(lake, row["id"])["files"]
    own = [name for name in files if not name.startswith(("page_index/", "clusters/"))]
    assert own and all(f"snapshot={NEW}/shard={row['shard']}" in name for name in own)
    assert shown(lake, row["url"]).output.count(".parquet") == len(ask(lake, row["url"])["files"])


def test_an_unknown_page_has_near_matches_and_exit_code_1(lake: str) -> None:
    done = shown(lake, "https://site3.example/page-1555")
    assert done.exit_code == 1
    assert "no snapshot of the lake has this page" in done.output
    assert "https://site3.example/page-15\n" in done.output
    assert shown(lake, "https://nowhere.example/").exit_code == 1


def test_without_an_index_the_columns_are_looked_through(tmp_path: Path) -> None:
    lake = seen.make(str(tmp_path / "lake"), indexed=False)
    row = seen.documents(NEW)[5]
    found = ask(lake, row["url"])
    assert [one["snapshot"] for one in found["captures"]] == [OLD, NEW] == found["scanned"]
    assert ask(lake, row["id"])["captures"][0]["id"] == row["id"]
    assert ask(lake, "https://site3.example/page-1555")["near"]


def test_pages_cannot_steer_the_terminal(lake: str) -> None:
    row = next(row for row in seen.documents(NEW) if "\x1b" in row["text"])
    output = shown(lake, row["url"]).output
    assert "\x1b" not in output and "\u202e" not in output
    assert "\\x1b[31mred" in output and "\\u202e" in output
    assert printable("a\tb\x9b\u2066c\nü川") == "a\\tb\\x9b\\u2066c\\nü川"


def test_personal_data_is_masked_also_in_the_diff(lake: str) -> None:
    row = next(row for row in seen.documents(NEW) if row["language"] == "eng")
    found = ask(lake, row["id"])["captures"][0]
    assert found["hooks"][0]["outcome"] == "changed"
    assert "[-***-]{+someone+}" in found["diff"]
    assert "nobody@" not in shown(lake, row["url"]).output + shown(lake, row["url"], "--json").output


def test_json_and_another_recipe(lake: str, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text("extends: default\ngate: {limits: {eng: {list_ratio: 0.03}}}\n", encoding="utf-8")
    row = next(row for row in seen.verdicts(seen.documents(NEW)) if not row["eligible"])
    found = json.loads(shown(lake, row["id"], "--json", "--recipe", str(other)).output)
    assert found["captures"][0]["gate"]["same_recipe"] is False
    assert found["captures"][0]["gate"]["failed"][0]["defined"] is None
    assert "judged by another recipe" in shown(lake, row["id"], "--recipe", str(other)).output


def test_a_snapshot_that_is_on_its_way(lake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = ledger.runs
    monkeypatch.setattr(
        ledger, "runs", lambda *args, **more: [run for run in runs(*args, **more) if run.stage in ("extract", "identify")]
    )
    found = ask(lake, seen.documents(OLD)[0]["url"])["captures"][0]
    assert found["verdict"] == "not judged yet" and found["language"] and not found["hooks"]


def test_shared_text() -> None:
    left, right = "One two three four. " * 3 + "Left only.", "Something. " + "one two three four. " * 3
    found = shared_text.shared(left, right)
    assert found["left"] == pytest.approx(12 / 14) and found["right"] == pytest.approx(12 / 13)
    assert found["passages"][0].startswith("One two three four. One")
    assert shared_text.shared("川は丘から", "丘から川")["left"] == pytest.approx(3 / 5)
    assert shared_text.shared("", "x") == {"left": 0.0, "right": 0.0, "passages": []}
    assert len(shared_text.shared(left * 200, left * 200)["passages"][0]) <= excerpts.CHARS
