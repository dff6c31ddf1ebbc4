"""What a stage's task tells OpenLineage, where its provider is installed: the Delta tables that it read and wrote, with the versions that the ledger says.

A table is a dataset of namespace `file`, named by its folder, as OpenLineage names files; its version is Delta's. A run that reads a table's snapshots
at several versions names all of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from crawlmill.lake import table

if TYPE_CHECKING:
    from crawlmill.lake.ledger import RunRow

NAMESPACE = "file"


def versions(entries: Iterable[dict[str, Any]]) -> dict[str, str]:
    """Table -> its versions (`12`, or `9,12`) of a run's inputs or outputs, by name."""
    found: dict[str, set[int]] = {}
    for entry in entries:
        found.setdefault(entry["table"], set()).add(int(entry["version"]))
    return {name: ",".join(map(str, sorted(own))) for name, own in sorted(found.items())}


def facets(lake: str, run: RunRow) -> Any:
    """An `OperatorLineage` of a run of the ledger. Raises ImportError where the provider is not installed."""
    from airflow.providers.openlineage.extractors.base import OperatorLineage
    from openlineage.client.event_v2 import InputDataset, OutputDataset
    from openlineage.client.facet_v2 import dataset_version_dataset

    def datasets(kind: Any, entries: Iterable[dict[str, Any]]) -> list[Any]:
        return [
            kind(NAMESPACE, table.path(lake, name), facets={"version": dataset_version_dataset.DatasetVersionDatasetFacet(at)})
            for name, at in versions(entries).items()
        ]

    return OperatorLineage(inputs=datasets(InputDataset, run.inputs), outputs=datasets(OutputDataset, run.outputs))
