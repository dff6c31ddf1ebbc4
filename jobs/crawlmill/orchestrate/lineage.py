"""What a stage's task tells OpenLineage, where its provider is installed: the Delta tables that it read and wrote, with the versions that the ledger says.

A table is a dataset named by its folder, of namespace `file`, or by its key, of namespace `s3://bucket`, as OpenLineage names files and objects, so that
other tools' events meet ours. Its version is Delta's; a run that reads a table's snapshots at several versions names all of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from crawlmill.lake import table
from crawlmill.storage import lake_files

if TYPE_CHECKING:
    from crawlmill.lake.ledger import RunRow


def dataset(lake: str, name: str) -> tuple[str, str]:
    """Namespace and name of a table."""
    path = table.path(lake, name)
    if not lake_files.is_bucket(lake):
        return "file", path
    bucket, _, key = path.partition("://")[2].partition("/")
    return f"s3://{bucket}", key


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
            kind(*dataset(lake, name), facets={"version": dataset_version_dataset.DatasetVersionDatasetFacet(at)})
            for name, at in versions(entries).items()
        ]

    return OperatorLineage(inputs=datasets(InputDataset, run.inputs), outputs=datasets(OutputDataset, run.outputs))
