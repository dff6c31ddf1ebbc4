"""The stage recycle: what hooks make of dropped pages goes the way of any document, once, and is in the corpus with where it came from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crawlmill.contracts import audit
from crawlmill.explain import funnel, recycle_report, why
from crawlmill.lake import pins, table
from crawlmill.lake.snapshot import RESERVED
from crawlmill.protocol import drift, stage
from crawlmill.recipes import defined_at
from crawlmill.text.recycle import derived_id
from tests.fixtures import lakes, prose
from tests.fixtures.endpoint import running
from tests.fixtures.lakes import NEW

GOOD = prose.article(3)
PAGES = {f"p{n}": prose.article(n) for n in range(3)} | {
    "short": "A river of ice. Write to mill@example.org about it.",
    "third": "A page on bread and nothing more.",
    "other": "Too short a page.",
}
RECIPE = """extends: default
recycle:
  hooks:
    - {name: rewire, options: {model: tiny, min_overlap: 0.0, min_numbers: 0.0, max_ratio: 1000.0, max_copy: 1.0}}
publish:
  mix: {rewritten: 0.5}
"""
DERIVED = (
    "documents", "languages", "rewrites", "rewrite_steps", "signals", "signatures", "bands", "verdicts", "page_index", "recycled",
)  # fmt: skip


def reply(body: dict[str, Any]) -> str:
    """A good page for the page on ice, a copy of another page for the other one, nothing usable for the third."""
    text = body["messages"][-1]["content"]
    if "river of ice" in text:
        return f"<improved>{GOOD}\nWrite to other@example.org about it.</improved>"
    return f"<improved>{PAGES['p0']}</improved>" if "Too short" in text else "I would rather not."


def rows(spark: Any, lake: str, name: str) -> list[Any]:
    return table.read(spark, lake, name, table.version(lake, name)).collect()


def everything(spark: Any, lake: str) -> dict[str, list[str]]:
    return {name: lakes.contents(spark, lake, name) for name in DERIVED}


@pytest.mark.full
def test_dropped_pages_are_rewritten_once_and_go_the_way_of_any_document(
    spark: Any, lake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "recycle.yaml"
    file.write_text(RECIPE)
    lakes.put_documents(lake, NEW, PAGES)
    unjudged(monkeypatch)
    lakes.ingest(spark, lake, NEW, file)
    with running(reply=reply) as at:
        monkeypatch.setenv("CRAWLMILL_LLM_BASE_URL", at.url)
        check_that_half_a_state_is_read_by_nobody(spark, lake, file, monkeypatch)
        monkeypatch.undo()
        monkeypatch.setenv("CRAWLMILL_LLM_BASE_URL", at.url)
        assert lakes.run(spark, lake, "recycle", NEW, file).verdict == "passed"
        assert at.got.total() == 3  # short pages; those in an unknown language, and good ones, are not asked about
    check_derived(spark, lake)
    unjudged(monkeypatch)
    for name in ("dedup", "publish"):
        lakes.run(spark, lake, name, pins.EVERY, file)
    check_corpus(spark, lake)
    check_why(lake)
    check_a_raw_stage_that_runs_again(spark, lake, file)
    check_the_mix(spark, lake, file)


def check_that_half_a_state_is_read_by_nobody(spark: Any, lake: str, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts that die while asking, at each commit, and before the ledger. What the transform gives is worked out once for all of them."""
    declared, kept = stage.load("recycle"), dict[str, Any]()

    def once(context: stage.Context) -> dict[str, Any]:
        if not kept:
            kept.update({name: (rows.collect(), rows.schema) for name, rows in declared.transform(context).items()})
        return {name: context.spark.createDataFrame(*given) for name, given in kept.items()}

    for place in ("llm:answered:3", *(f"recycle:committed:{name}" for name in DERIVED), "recycle:before_ledger"):
        monkeypatch.setenv("CRAWLMILL_FAILPOINT", f"{place}=fail")
        with pytest.raises(RuntimeError, match="failpoint"):
            stage.run(replace(declared, transform=once), lakes.job(lake, NEW, file), spark)
        assert pins.ingested(lake, recycled=True) == pins.ingested(lake), place


def unjudged(monkeypatch: pytest.MonkeyPatch) -> None:
    """No expectations: they have tests of their own, and cost a second a table."""
    monkeypatch.setattr(audit, "audit", lambda *arguments: [])
    monkeypatch.setattr(drift, "judge", lambda *arguments: [])


def check_derived(spark: Any, lake: str) -> None:
    """Two documents, masked, with their parents' addresses; every table has them; the third page says why there is none."""
    documents = {row["url"]: row for row in rows(spark, lake, "documents") if row["shard"] in RESERVED}
    assert set(documents) == {"https://short.example.org/", "https://other.example.org/"}
    made = documents["https://short.example.org/"]
    steps = {row["id"]: row for row in rows(spark, lake, "recycled")}
    parent = steps[made["parent_id"]]
    assert made["parent_id"] == lakes.record_id(f"{NEW}/short") and made["shard"] == 900 + parent["shard"]
    assert made["id"] == derived_id(made["parent_id"], f"rewire@{parent['version']}", 0) and parent["derived"] == [made["id"]]
    assert len(steps) == 3 and sorted(row["outcome"] for row in steps.values()) == ["changed", "changed", "rejected"]
    (final,) = [row["text"] for row in rows(spark, lake, "rewrites") if row["id"] == made["id"]]
    assert "other@example.org" not in final and final.startswith(GOOD[:200])
    chain = sorted((row["position"], row["hook"]) for row in rows(spark, lake, "rewrite_steps") if row["id"] == made["id"])
    assert chain == [(0, "rewire"), (1, "unicode_repair"), (2, "mask_pii")]
    for name in ("languages", "signals", "signatures", "verdicts"):
        assert sum(row["shard"] in RESERVED for row in rows(spark, lake, name)) == 2, name
    assert all(row["eligible"] for row in rows(spark, lake, "verdicts") if row["shard"] in RESERVED)


def check_corpus(spark: Any, lake: str) -> None:
    """The derived document with its provenance; the one that is another page again went the way of a copy."""
    (made,) = [row for row in rows(spark, lake, "corpus") if row["parent_id"]]
    assert made["url"] == "https://short.example.org/" and made["rewritten"]
    first, *others = made["provenance"]
    assert (first["hook"], first["model"], len(first["requests"])) == ("rewire", "tiny-served", 1) and first["prompt_tokens"] > 0
    assert [step["hook"] for step in others] == ["mask_pii"]
    assert sum(row["provenance"] is None for row in rows(spark, lake, "corpus")) == 3
    found = recycle_report.of(lake, NEW)
    assert found and (found.pages, found.derived, found.eligible, found.duplicates, found.over_the_mix, found.published) == (
        3,
        2,
        2,
        1,
        0,
        1,
    )
    whole = funnel.of(lake, NEW)
    assert whole and whole.published and sum(line.kept for line in whole.lines) == 3 and whole.recycled == found


def check_why(lake: str) -> None:
    """By the page's address: the page with what was made of it, the document with who made it and at what cost."""
    page, made = why.explain(lake, "https://short.example.org/", defined_at.rulebook())["captures"]
    assert page["recycled"][0]["derived"] == [made["id"]] and made["parent_id"] == page["id"]
    assert (made["verdict"], made["hooks"][0]["hook"], made["hooks"][0]["model"]) == ("kept", "rewire", "tiny-served")
    assert why.explain(lake, made["id"], defined_at.rulebook())["captures"] == [made]


def check_a_raw_stage_that_runs_again(spark: Any, lake: str, file: Path) -> None:
    """Its version has no derived rows, dedup still reads those of the last whole state, and recycle puts them back without asking."""
    before, state = everything(spark, lake), pins.ingested(lake, recycled=True)
    lakes.run(spark, lake, "gate", NEW, file, force=True)
    assert not any(row["shard"] in RESERVED for row in rows(spark, lake, "verdicts"))
    assert pins.ingested(lake, recycled=True) == state
    assert [step.name for step in local_run_steps(lake, file)] == ["recycle"]
    lakes.run(spark, lake, "recycle", NEW, file)
    assert everything(spark, lake) == before
    assert pins.ingested(lake, recycled=True)[0]["verdicts", NEW] == table.version(lake, "verdicts")


def local_run_steps(lake: str, file: Path) -> list[stage.Stage]:
    """The per-snapshot stages after extract that are not up to date."""
    found = []
    for name in stage.PER_SNAPSHOT[1:]:
        declared, work = stage.load(name), lakes.job(lake, NEW, file)
        pinned, key, _ = stage.resolve(declared, work)
        if stage.up_to_date(declared, work, key, pinned) is None:
            found.append(declared)
    return found


def check_the_mix(spark: Any, lake: str, file: Path) -> None:
    """A smaller share leaves the derived document out, and the report says so."""
    file.write_text(RECIPE.replace("0.5", "0.1"))
    for name in ("dedup", "publish"):
        lakes.run(spark, lake, name, pins.EVERY, file)
    assert not any(row["parent_id"] for row in rows(spark, lake, "corpus"))
    found = recycle_report.of(lake, NEW)
    assert found and (found.over_the_mix, found.published, found.published_share) == (1, 0, 0.0)
    assert "1 left out by publish.mix.rewritten" in recycle_report.lines(found)[0]
