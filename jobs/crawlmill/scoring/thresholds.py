"""Least scores by language from the scores of a crawl itself: FineWeb-2's rule, as a table of limits for the gate.

A fixed least score is too strict for a language that the model is never sure about and lax for one that it always is. FineWeb-2 (Penedo
et al. 2025, arXiv 2506.20920, section on language identification) takes the median of a language's scores less one standard deviation, at
least .3 and at most .9.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

import numpy as np

from crawlmill import rowfile
from crawlmill.errors import UserError
from crawlmill.lake import ledger
from crawlmill.recipes import limit_table

LEAST, MOST = 0.3, 0.9
UNDETERMINED = "und"
Scores = dict[tuple[str, str], list[float]]  # (language, script) -> scores


def threshold(scores: Iterable[float]) -> float:
    """Median less one (population) standard deviation of at least one score, within LEAST and MOST."""
    values = np.fromiter(scores, dtype=np.float64)
    return float(min(MOST, max(LEAST, np.median(values) - values.std())))


def fit(scores: Mapping[tuple[str, str], list[float]], min_documents: int) -> dict[str, tuple[float, int]]:
    """The threshold and the number of documents by label, where there are so many documents.

    A language that is written in one script only has a row for all scripts (`deu`), others one for each (`srp_Cyrl`, `srp_Latn`).
    """
    enough = {label: values for label, values in scores.items() if len(values) >= min_documents and label[0] != UNDETERMINED}
    written = defaultdict(list)
    for language, script in enough:
        written[language].append(script)
    return {
        language if len(written[language]) == 1 else f"{language}_{script}": (round(threshold(values), 3), len(values))
        for (language, script), values in sorted(enough.items())
    }


def of_file(name: str, column: str) -> Scores:
    """Scores of rows with language, script and score (JSON lines or Parquet). Raises UserError where a row has no such column."""
    found: Scores = defaultdict(list)
    for number, row in enumerate(rowfile.read(name), 1):
        if "language" not in row or column not in row:
            raise UserError(f"{name} row {number} has no language and {column}: give what `crawlmill identify` wrote")
        if row[column] is not None:
            found[str(row["language"]), str(row.get("language_script") or "")].append(float(row[column]))
    return found


def of_snapshot(lake: str, snapshot: str, column: str) -> Scores:
    """Scores of a snapshot's table `languages` at the version that passed. Raises UserError where identify has not passed."""
    import pyarrow.dataset as ds
    from deltalake import DeltaTable

    run = ledger.released(lake, "identify", snapshot)
    if run is None:
        raise UserError(f"identify has not passed for {snapshot}: ingest the snapshot first, or give a file")
    table = DeltaTable(f"{lake}/languages", version=run.output("languages")).to_pyarrow_dataset()
    found: Scores = defaultdict(list)
    columns = ["language", "language_script", column]
    for batch in table.to_batches(columns=columns, filter=ds.field("snapshot") == snapshot):
        for language, script, score in zip(*(batch.column(name).to_pylist() for name in columns), strict=True):
            if score is not None:
                found[language, script].append(score)
    return found


def table(fitted: Mapping[str, tuple[float, int]], source: str, column: str) -> str:
    """The fitted thresholds as a table for `gate.limits_from`; the gate's rule has the name of the column of scores."""
    head = [
        f"Least {column} by language: median less one standard deviation, at least {LEAST:g} and at most {MOST:g} (FineWeb-2's rule),",
        f"from {source}. Written by `crawlmill fit-thresholds`; use it as `gate: {{limits_from: [fineweb2.tsv, THIS FILE]}}`.",
    ]
    rows: dict[str, tuple[str, Mapping[str, limit_table.Limit], str]] = {
        label: (f"{count} documents", {column: limit}, "") for label, (limit, count) in fitted.items()
    }
    return limit_table.write(head, [column], rows)


def scores_of(lake: str | None, snapshot: str | None, file: str | None, column: str) -> tuple[Scores, str]:
    """Scores of a file, else of a snapshot in the lake, and what they are."""
    if (file is None) == (snapshot is None):
        raise UserError("give either --snapshot or a file with `crawlmill identify`'s rows, not both and not neither")
    if file is not None:
        return of_file(file, column), file
    return of_snapshot(str(lake), str(snapshot), column), f"snapshot {snapshot}"
