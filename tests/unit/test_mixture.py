"""Mixtures: the published totals of domain upsampling, replay, a stored trajectory, and Online Data Mixing's golden values."""

from __future__ import annotations

import json
from itertools import cycle, islice
from pathlib import Path

import pytest
from click.testing import CliRunner

from crawlmill.cli import cli
from crawlmill.errors import UserError
from crawlmill.releases import mixture

BILLION = 10**9
BASE = {"large": 34.35, "small": 36.70, "domain": 7.17, "code": 21.78}
LAST = {"large": 0, "small": 30, "domain": 35, "code": 35}


def test_domain_upsampling_golden() -> None:
    have = {"large": 900 * BILLION, "small": 400 * BILLION, "domain": 60 * BILLION, "code": 300 * BILLION}
    made = mixture.phases(1000 * BILLION, [{"share": 0.8, "weights": BASE}, {"share": 0.2, "weights": LAST}], have)
    totals = {name: round(row["tokens"] / BILLION, 1) for name, row in made["domains"].items()}
    assert totals == {"large": 274.8, "small": 353.6, "domain": 127.4, "code": 244.2}
    assert made["domains"]["domain"]["repeats"] == pytest.approx(127.36 / 60, abs=1e-3), "it runs out and is repeated"
    assert [(phase["from"], phase["to"]) for phase in made["phases"]] == [(0, 800 * BILLION), (800 * BILLION, 1000 * BILLION)]
    assert sum(sum(phase["tokens"].values()) for phase in made["phases"]) == 1000 * BILLION


def test_a_tenth_of_replay() -> None:
    made = mixture.phases(10_007, [{"share": 1, "weights": {"new": 0.9, "replay": 0.1}}], {"new": 4_503, "replay": 10**12})
    assert made["phases"][0]["tokens"] == {"new": 9_006, "replay": 1_001}
    assert made["domains"]["new"]["repeats"] == 2.0


def test_a_stored_trajectory_gives_its_proportions_at_each_step() -> None:
    steps = [{"share": 1 / 80, "weights": {"a": step, "b": 80 - step, "c": 3}} for step in range(80)]
    made = mixture.phases(80 * 8300, steps, {"a": 1, "b": 1, "c": 1})
    for step, phase in enumerate(made["phases"]):
        assert phase["to"] - phase["from"] == 8300 == sum(phase["tokens"].values())
        assert phase["tokens"] == {"a": 100 * step, "b": 100 * (80 - step), "c": 300}


def test_online_data_mixing_golden() -> None:
    feed = islice(cycle([("a", 3.0), ("b", 2.5), ("c", 2.0)]), 30)
    made = [list(weights.values()) for weights in mixture.online_weights(["a", "b", "c"], feed)]
    assert made[:3] == [pytest.approx([1 / 3] * 3)] * 3
    assert made[3] == pytest.approx([0.3544, 0.3244, 0.3212], abs=5e-5)
    assert made[29] == pytest.approx([0.4523, 0.3022, 0.2455], abs=5e-5)
    assert all(sum(weights) == pytest.approx(1) for weights in made)
    (high,) = mixture.online_weights(["a", "b"], [("a", 50.0)])
    assert sum(high.values()) == pytest.approx(1), "losses beyond what an exponential holds"


def test_at_the_shell(tmp_path: Path) -> None:
    (tmp_path / "index.json").write_text(json.dumps({"files": [{"tokens": 30}, {"tokens": 20}]}))
    plan = tmp_path / "plan.yaml"
    plan.write_text("tokens: 1e2\nhave: {web: 1000, code: index.json}\nphases:\n- {share: 1, weights: {web: 1, code: 3}}\n")
    done = CliRunner().invoke(cli, ["phases", str(plan), "-o", str(tmp_path / "phases.json")])
    assert done.exit_code == 0, done.output
    made = json.loads((tmp_path / "phases.json").read_text())
    assert made["domains"]["code"] == {"tokens": 75, "have": 50, "repeats": 1.5}
    losses = tmp_path / "losses.jsonl"
    losses.write_text('{"domain": "web", "loss": 3}\n{"domain": "code", "loss": 2}\n')
    done = CliRunner().invoke(cli, ["online-weights", str(losses), "--domain", "web", "--domain", "code"])
    assert [sum(json.loads(line).values()) for line in done.output.splitlines()] == [pytest.approx(1)] * 2


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ("tokens: 10\nhave: {a: 1}\nphases: [{share: .5, weights: {a: 1}}]", "add up to 0.5"),
        ("tokens: 10\nhave: {a: 1}\nphases: [{share: 1, weights: {b: 1}}]", "takes 1 of 'b', of which there is nothing"),
        ("tokens: 10\nhave: {a: 1}\nphases: [{share: 1, weights: {a: 0}}]", "no weight above 0"),
        ("tokens: 10\nhave: {a: gone.json}\nphases: []", "gone.json cannot be read"),
        ("- 1", "is no plan of phases"),
        ("{", "is no plan of phases"),
    ],
)
def test_wrong_plans_are_told(tmp_path: Path, plan: str, said: str) -> None:
    (tmp_path / "plan.yaml").write_text(plan)
    with pytest.raises(UserError, match=said):
        mixture.read(str(tmp_path / "plan.yaml"))


def test_losses_of_strangers_are_told() -> None:
    with pytest.raises(UserError, match="loss 1 is of 'z'"):
        list(mixture.online_weights(["a", "b"], [("z", 1.0)]))
