"""Whether the corpus shows every ingested snapshot; asked without Airflow and without Spark."""

from __future__ import annotations

from crawlmill.lake import ledger, pins


def news(lake: str) -> str | None:
    """What the corpus does not show yet, as a clause; None where it is up to date with every ingested snapshot."""
    found, _ = pins.ingested(lake)
    if not found:
        return None
    settled, published = (ledger.released(lake, stage, pins.EVERY) for stage in ("dedup", "publish"))
    if settled is None or settled.inputs != pins.rows(found):
        return f"dedup has not yet seen the present state of {', '.join(pins.snapshots(found))}"
    if published is None or published.inputs != pins.rows(pins.of(settled)):
        return f"run {settled.run_id} of dedup is not yet published"
    return None
