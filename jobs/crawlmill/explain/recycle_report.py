"""What became of recycling in a snapshot: pages tried, documents made of them, and where each of these ended. Read without Spark."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from crawlmill.lake import ledger, pins
from crawlmill.lake.snapshot import MAX_SHARDS


@dataclass(frozen=True)
class Recycled:
    """Counts of a snapshot; those after `eligible` are None while no corpus rests on these documents.

    Attributes:
        pages: that were tried.
        outcomes: of hooks on pages, by hook and outcome, with the reason where there is one.
        derived: documents that were made.
        eligible: of these, those that passed the gate.
        duplicates: of the eligible, those for which another document stands.
        over_the_mix: of those that dedup kept, those for which the recipe's mix has no room (`publish.mix.rewritten`).
        published: what is left of them, in the corpus.
        published_share: of all published documents of the snapshot.
        tokens: read and written by models.
        cost: of these tokens.
    """

    snapshot: str
    pages: int
    outcomes: dict[str, int]
    derived: int
    eligible: int
    duplicates: int | None
    over_the_mix: int | None
    published: int | None
    published_share: float | None
    tokens: int
    cost: float

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def of(lake: str, snapshot: str) -> Recycled | None:
    """The counts of the last run of recycle on a snapshot; None where there was none."""
    import pyarrow.compute as pc

    run = ledger.released(lake, "recycle", snapshot)
    if run is None:
        return None
    steps = _rows(
        lake,
        "recycled",
        run.output("recycled"),
        snapshot,
        ["id", "hook", "outcome", "reason", "prompt_tokens", "completion_tokens", "cost"],
    )
    named = zip(*(steps[name].to_pylist() for name in ("hook", "outcome", "reason")), strict=True)
    outcomes = Counter(f"{hook}: {outcome}" + (f" ({reason})" if reason else "") for hook, outcome, reason in named)
    verdicts = _rows(lake, "verdicts", run.output("verdicts"), snapshot, ["shard", "eligible"])
    judged = verdicts["eligible"].filter(pc.greater_equal(verdicts["shard"], MAX_SHARDS)).to_pylist()
    tokens = sum(pc.sum(steps[name]).as_py() or 0 for name in ("prompt_tokens", "completion_tokens"))
    kept, published, share = _published(lake, snapshot, run)
    return Recycled(
        snapshot=snapshot,
        pages=len(steps["id"].unique()),
        outcomes=dict(outcomes.most_common()),
        derived=len(judged),
        eligible=sum(judged),
        duplicates=None if kept is None else sum(judged) - kept,
        over_the_mix=None if kept is None or published is None else kept - published,
        published=published,
        published_share=share,
        tokens=tokens,
        cost=float(pc.sum(steps["cost"]).as_py() or 0.0),
    )


def _published(lake: str, snapshot: str, run: ledger.RunRow) -> tuple[int | None, int | None, float | None]:
    """Derived documents that dedup kept, those in the corpus, and their share of the snapshot's; None where the corpus rests on others."""
    publish = ledger.released(lake, "publish", pins.EVERY)
    if publish is None or pins.of(publish).get(("verdicts", snapshot)) != run.output("verdicts"):
        return None, None, None
    clusters = _rows(lake, "clusters", pins.of(publish)["clusters", pins.EVERY], snapshot, ["shard", "kind"]).to_pylist()
    kept = sum(row["kind"] == "survivor" and row["shard"] >= MAX_SHARDS for row in clusters)
    shards = _rows(lake, "corpus", publish.output("corpus"), snapshot, ["shard"])["shard"].to_pylist()
    published = sum(shard >= MAX_SHARDS for shard in shards)
    return kept, published, published / len(shards) if shards else 0.0


def _rows(lake: str, name: str, at: int, snapshot: str, columns: list[str]) -> Any:
    import pyarrow.dataset as ds
    from deltalake import DeltaTable

    found = DeltaTable(f"{lake}/{name}", version=at).to_pyarrow_dataset()
    return found.to_table(columns=columns, filter=ds.field("snapshot") == snapshot)


def lines(found: Recycled) -> list[str]:
    """The counts as text, a fact a line."""
    told = [f"recycled: {found.pages} dropped pages tried -> {found.derived} derived documents -> {found.eligible} eligible"]
    if found.published is not None:
        told[0] += (
            f" -> {found.published} published ({found.duplicates} duplicates, {found.over_the_mix} left out by publish.mix.rewritten), "
            f"{100 * (found.published_share or 0):.1f} % of the snapshot's published documents"
        )
    told += [f"  {what} {n}" for what, n in found.outcomes.items()]
    return told + ([f"  {found.tokens} tokens, cost {found.cost:.2f}"] if found.tokens else [])
