"""`crawlmill sample`, `diff` and `history` on a small lake."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from click.testing import CliRunner

from crawlmill.cli import cli
from crawlmill.errors import UserError
from crawlmill.explain import differing, sampling
from crawlmill.recipes import recipe
from tests.fixtures import seen
from tests.fixtures.lakes import NEW, OLD


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> str:
    return seen.make(str(tmp_path_factory.mktemp("look") / "lake"))


def draw(lake: str, **wanted: Any) -> list[sampling.Sample]:
    return sampling.draw(lake, NEW, sampling.Wanted(**wanted), recipe.load().gate)


def test_a_sample_is_repeatable_and_grows(lake: str) -> None:
    first = draw(lake, n=6)
    assert draw(lake, n=6) == first and len(first) == 6
    assert {one.id for one in first} < {one.id for one in draw(lake, n=30)}
    assert [one.id for one in draw(lake, n=6, seed=1)] != [one.id for one in first]
    assert len({one.id for one in draw(lake, n=10_000)}) == sum(not row["eligible"] for row in seen.verdicts(seen.documents(NEW)))


def test_strata_take_turns(lake: str) -> None:
    by_rule = Counter(one.stratum for one in draw(lake, n=9))
    assert len(by_rule) == 3 and max(by_rule.values()) - min(by_rule.values()) <= 1
    found = draw(lake, rule="gopher_short_doc", n=12)
    assert set(Counter(one.stratum for one in found).values()) == {2} and len({one.language for one in found}) == 6
    assert all("gopher_short_doc" in [why["rule"] for why in one.why] for one in found)
    assert {one.language for one in draw(lake, rule="gopher_short_doc", language="deu")} == {"deu"}


def test_every_stage_has_texts(lake: str) -> None:
    changed = draw(lake, stage="rewrite")
    assert all(one.before and "***" in one.before and one.after and "someone" in one.after for one in changed)
    gone = draw(lake, stage="dedup")
    assert gone and all(one.after and one.why[0]["survivor_url"].startswith("https://") for one in gone)
    assert all(one.before and one.url for one in draw(lake, stage="publish"))
    assert sorted(one.stratum for one in draw(lake, stage="extract")) == ["broken_record", "http_status", "no_text"]


def test_near_the_threshold(lake: str) -> None:
    found = draw(lake, rule="list_ratio", near=True, n=8, language="deu")
    limit = recipe.load().gate.limits["deu"]["list_ratio"]
    assert Counter(one.stratum for one in found) == {"fails": 4, "passes": 4}
    values = [row["fineweb_list_ratio"] for row in seen.documents(NEW) if row["language"] == "deu"]
    assert {one.why[0]["value"] for one in found if one.stratum == "fails"} == {min(value for value in values if value > limit)}
    assert {one.why[0]["value"] for one in found if one.stratum == "passes"} == {max(value for value in values if value <= limit)}


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"stage": "sketch"}, "nothing can be sampled of stage 'sketch'"),
        ({"rule": "list_rato"}, "did you mean 'list_rato' -> 'list_ratio'"),
        ({"near": True}, "--near-threshold needs"),
        ({"stage": "dedup", "rule": "list_ratio"}, "--rule goes with --stage gate"),
    ],
)
def test_wrong_samples(lake: str, wanted: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        draw(lake, **wanted)


def test_difference_of_snapshots(lake: str) -> None:
    found = differing.compare(lake, OLD, NEW, 2)
    assert found.total == {"came": 40, "went": 40, "changed": 40, "same": 160}
    assert sum(sum(counts.values()) for counts in found.languages.values()) == 280
    fired = Counter(rule["rule"] for row in seen.verdicts(seen.documents(NEW)) for rule in row["failed"])
    assert {rule: counts[1] for rule, counts in found.rules.items()} == dict(fired)
    changed = found.samples["changed"][0]
    assert f"[-{OLD}.-]{{+{NEW}.+}}" in changed["diff"] and changed["before"] and changed["after"]
    assert found.samples["came"][0]["before"] is None and found.samples["went"][0]["after"] is None


def test_difference_of_versions(lake: str) -> None:
    found = differing.compare(lake, "1", "2", 2)
    kept = len(draw(lake, stage="publish", n=10_000))
    assert found.total["came"] == kept > 0 and found.total["went"] == found.total["changed"] == 0
    assert differing.compare(lake, "2", "1").total["went"] == kept
    with pytest.raises(UserError, match="no version 99"):
        differing.compare(lake, "1", "99")
    with pytest.raises(UserError, match="has not passed gate and sketch"):
        differing.compare(lake, "CC-MAIN-2025-05", NEW)


def test_difference_of_releases(lake: str) -> None:
    seen.release(lake, "first", [OLD], leave=4)
    seen.release(lake, "second", [OLD, NEW])
    new = len(draw(lake, stage="publish", n=10_000))
    found = differing.compare(lake, "first", "second", 2)
    assert (
        (found.a, found.b) == ("release first", "release second") and found.total["came"] == new + 4 and found.total["went"] == 0
    )
    assert differing.compare(lake, "second", "2").total["came"] == 0, "a release and a version of the corpus"
    assert found.samples["came"][0]["after"] and sum(row["came"] for row in found.languages.values()) == new + 4
    with pytest.raises(UserError, match="did you mean 'secnd' -> 'second'"):
        differing.compare(lake, "secnd", "first")


def test_the_commands(lake: str) -> None:
    def run(*arguments: str) -> str:
        return CliRunner().invoke(cli, [*arguments, "--lake", lake], catch_exceptions=False).output

    assert "\x1b" not in run("sample", "-n", "100") + run("sample", "--stage", "dedup", "-n", "100")
    assert json.loads(run("sample", "--stage", "extract", "--json"))[0]["why"][0]["reason"] == "broken_record"
    shown = run("diff", OLD, NEW, "-n", "1")
    assert "\nchanged " in shown and "\x1b" not in shown
    assert json.loads(run("diff", "1", "2", "--json"))["total"]["same"] > 0
    versions = json.loads(run("history", "corpus", "--json"))
    assert [row["version"] for row in versions] == [2, 1, 0] and versions[0]["stage"] == "publish"
    assert "publish" in run("history", "corpus")
    with pytest.raises(UserError, match="there is no table 'corpse'"):
        run("history", "corpse")
    with pytest.raises(UserError, match="are of two kinds"):
        run("diff", "1", NEW)
