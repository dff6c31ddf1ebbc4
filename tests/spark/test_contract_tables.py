"""Tables made without Spark, used by Spark: readable, replaceable by partition, guarded by NOT NULL and CHECK, with comments and feed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from crawlmill.contracts import contract

SNAPSHOT, OTHER = "CC-MAIN-2026-43", "CC-MAIN-2026-38"
A, B = "9e107d9d372bb6826bd81d3542a419d6", "e4d909c290d0fb1ca068ffaddf22cbd0"
SURVIVOR = (SNAPSHOT, 0, "<urn:uuid:1>", A, A, "<urn:uuid:1>", "survivor", 1.0)
COPY = (SNAPSHOT, 0, "<urn:uuid:2>", A, A, "<urn:uuid:1>", "exact", 1.0)


def write(
    spark: Any, lake: str, table: str, rows: list[tuple[Any, ...]], where: str = f"snapshot = '{SNAPSHOT}' AND shard IN (0)"
) -> None:
    frame = spark.createDataFrame(rows, contract.load(table).struct())
    frame.write.format("delta").mode("overwrite").option("replaceWhere", where).save(f"{lake}/{table}")


def read(spark: Any, lake: str, table: str, **options: Any) -> Any:
    return spark.read.format("delta").options(**options).load(f"{lake}/{table}")


def test_every_table_takes_and_gives_its_columns(spark: Any, lake: str) -> None:
    for table in contract.all_tables():
        assert contract.create(lake, table)
        found = read(spark, lake, table)
        assert found.schema.simpleString() == contract.load(table).struct().simpleString()
        assert {field.name: field.metadata.get("comment") for field in found.schema} == {
            column.name: column.description for column in contract.load(table).fields
        }


def test_replacing_partitions_and_the_change_feed(spark: Any, lake: str) -> None:
    contract.create(lake, "clusters")
    write(spark, lake, "clusters", [SURVIVOR])
    write(spark, lake, "clusters", [(OTHER, *SURVIVOR[1:])], f"snapshot = '{OTHER}'")
    write(spark, lake, "clusters", [SURVIVOR, COPY])
    assert sorted((row["snapshot"], row["id"]) for row in read(spark, lake, "clusters").collect()) == [
        (OTHER, "<urn:uuid:1>"),
        (SNAPSHOT, "<urn:uuid:1>"),
        (SNAPSHOT, "<urn:uuid:2>"),
    ]
    changes = read(spark, lake, "clusters", readChangeFeed="true", startingVersion=3)
    assert sorted(row["_change_type"] for row in changes.collect()) == ["delete", "insert", "insert"]
    write(spark, lake, "clusters", [])
    assert read(spark, lake, "clusters").count() == 1


def test_bad_rows_are_refused_by_name(spark: Any, lake: str) -> None:
    contract.create(lake, "clusters")
    for row, position, value, words in [
        (COPY, 5, None, "NOT NULL constraint violated for column: survivor_id"),
        (SURVIVOR, 5, "<urn:uuid:9>", "survivor_is_itself"),
        (SURVIVOR, 6, "cousin", "kind_vocabulary"),
    ]:
        with pytest.raises(Exception, match=words):
            write(spark, lake, "clusters", [(*row[:position], value, *row[position + 1 :])])
    assert read(spark, lake, "clusters").isEmpty()


def test_every_check_can_be_analysed(spark: Any, lake: str) -> None:
    """A misspelt expression would fail the first write of the pipeline."""
    for table in contract.all_tables():
        frame = spark.createDataFrame([], contract.load(table).struct())
        for expression in contract.load(table).checks.values():
            assert frame.where(expression).columns  # analysed at once, run never


def test_a_column_added_by_migration_is_null_in_old_rows(spark: Any, lake: str, tmp_path: Any, monkeypatch: Any) -> None:
    import yaml

    from crawlmill import layout

    text = yaml.safe_load((layout.schemas_dir() / "clusters.yaml").read_text())
    contract.create(lake, "clusters")
    write(spark, lake, "clusters", [SURVIVOR])
    note = {"name": "note", "logicalType": "string", "physicalType": "string", "required": False, "description": "A note."}
    text["schema"][0]["properties"].append(note)
    text["version"] = "1.1.0"
    (tmp_path / "home" / "schemas").mkdir(parents=True)
    (tmp_path / "home" / "schemas" / "clusters.yaml").write_text(yaml.safe_dump(text))
    with monkeypatch.context() as moved:
        moved.setenv("CRAWLMILL_HOME", str(tmp_path / "home"))
        assert contract.migrate(lake, "clusters")
        write(spark, lake, "clusters", [(OTHER, *SURVIVOR[1:], "new")], f"snapshot = '{OTHER}'")
        with pytest.raises(Exception, match="content_form"):
            write(spark, lake, "clusters", [(OTHER, *SURVIVOR[1:3], "short", *SURVIVOR[4:], "new")], f"snapshot = '{OTHER}'")
    assert {row["snapshot"]: row["note"] for row in read(spark, lake, "clusters").collect()} == {SNAPSHOT: None, OTHER: "new"}


def test_rows_that_a_new_check_would_refuse_stop_the_migration(spark: Any, lake: str, tmp_path: Any, monkeypatch: Any) -> None:
    import yaml

    from crawlmill import layout
    from crawlmill.errors import UserError
    from crawlmill.upkeep import migration

    text = yaml.safe_load((layout.schemas_dir() / "clusters.yaml").read_text())
    contract.create(lake, "clusters")
    write(spark, lake, "clusters", [SURVIVOR, COPY])
    rule = {
        "name": "alone",
        "type": "custom",
        "engine": "deltaCheck",
        "description": "No copies.",
        "implementation": "kind = 'survivor'",
    }
    text["schema"][0]["quality"].append(rule)
    text["version"] = "1.99.0"
    (tmp_path / "home" / "schemas").mkdir(parents=True)
    (tmp_path / "home" / "schemas" / "clusters.yaml").write_text(yaml.safe_dump(text))
    with monkeypatch.context() as moved:
        moved.setenv("CRAWLMILL_HOME", str(tmp_path / "home"))
        with pytest.raises(UserError, match="1 rows of table clusters break the new CHECK alone"):
            migration.migrate(lake, lambda: spark, print)
        write(spark, lake, "clusters", [SURVIVOR])
        said: list[str] = []
        migration.migrate(lake, lambda: spark, said.append)
        assert len(said) == 1 and "new CHECK alone: kind = 'survivor'" in said[0]
        with pytest.raises(Exception, match="alone"):
            write(spark, lake, "clusters", [SURVIVOR, COPY])


def test_ledgers_only_grow(spark: Any, lake: str) -> None:
    contract.create(lake, "quality")
    row = {
        "snapshot": SNAPSHOT, "stage": "gate", "table": "verdicts", "version": 1, "run_id": "r", "expectation": "e", "severity": "info",
        "description": "d", "success": True, "checked_at": datetime(2026, 10, 20, tzinfo=UTC),
    }  # fmt: skip
    values = [tuple(row.get(name) for name in contract.load("quality").columns)]
    frame = spark.createDataFrame(values, contract.load("quality").struct())
    frame.write.format("delta").mode("append").save(f"{lake}/quality")
    with pytest.raises(Exception, match="DELTA_CANNOT_MODIFY_APPEND_ONLY"):
        spark.sql(f"DELETE FROM delta.`{lake}/quality`")
