"""Contracts: the standard's documents, what is derived from them, and clear words for malformed ones."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from crawlmill import layout
from crawlmill.contracts import contract, contract_file, spark_types
from crawlmill.errors import UserError
from crawlmill.upkeep import migration

TABLES = (
    "bands", "clusters", "contamination", "corpus", "crawl_files", "documents", "duplicate_lines", "external_scores", "languages", "line_counts", "links",
    "llm_answers", "page_index", "pairs", "quality", "recycled", "rejects", "removals", "rewrite_steps", "rewrites", "runs", "signals", "signatures",
    "verdicts",
)  # fmt: skip
SCHEMAS = layout.schemas_dir()  # read before a test moves the home folder
ACROSS_SNAPSHOTS = ("pairs", "quality", "removals", "runs")
OF_A_SNAPSHOT = ("line_counts", "page_index")  # no shards: a line belongs to no document


def document(table: str = "languages") -> dict[str, Any]:
    loaded = yaml.safe_load((SCHEMAS / f"{table}.yaml").read_text(encoding="utf-8"))
    assert isinstance(loaded, dict)
    return loaded


def parse(changed: dict[str, Any], table: str = "languages") -> contract.Contract:
    return contract_file.parse(yaml.safe_dump(changed), table, f"schemas/{table}.yaml")


def test_every_table_has_a_contract() -> None:
    assert contract.all_tables() == TABLES
    for table in TABLES:
        found = contract.load(table)
        partitions = () if table in ACROSS_SNAPSHOTS else ("snapshot",) if table in OF_A_SNAPSHOT else ("snapshot", "shard")
        assert found.partition_columns[:2] == partitions
        assert found.columns[: len(partitions)] == partitions
        assert all(column.description.endswith(".") for column in found.fields)


def test_checks_names_and_expectations() -> None:
    languages = contract.load("languages")
    assert languages.checks["language_form"] == "language RLIKE '^[a-z]{3}$'"
    assert [rule["severity"] for rule in languages.expectations] == ["critical", "warning", "warning"]
    assert {rule["answer_on_timeout"] for rule in languages.expectations} == {None, "hold"}
    assert contract.load("clusters").properties["delta.enableChangeDataFeed"] == "true"


def test_expectations_are_few_and_never_of_columns_alone() -> None:
    """Great Expectations passes column checks on an empty frame."""
    for table in TABLES:
        rules = contract.load(table).expectations
        assert len(rules) <= (5 if table in ("documents", "crawl_files", "removals") else 3), table
        counted = any("row_count" in rule["type"] or "unexpected_rows" in rule["type"] for rule in rules)
        empty_is_fine = table in ("rejects", "rewrite_steps", "recycled")  # a snapshot without rejects, a recipe without hooks
        assert counted or empty_is_fine or not rules, table


def test_an_enum_becomes_a_check_unless_an_expectation_judges_the_labels() -> None:
    assert contract.load("clusters").checks["kind_vocabulary"] == "kind IN ('survivor', 'exact', 'near')"
    rejects = contract.load("rejects")
    assert "reason_vocabulary" not in rejects.checks
    known = next(rule for rule in rejects.expectations if rule["name"] == "reasons_known")
    reasons = next(column.enum for column in rejects.fields if column.name == "reason")
    assert known["kwargs"]["value_set"] == list(reasons)


def test_struct_is_in_order_and_nullable() -> None:
    struct = contract.load("verdicts").struct()
    assert struct.simpleString() == (
        "struct<snapshot:string,shard:int,id:string,language:string,language_script:string,eligible:boolean,"
        "failed:array<struct<rule:string,signal:string,value:double,op:string,limit:double>>,"
        "flagged:array<struct<rule:string,signal:string,value:double,op:string,limit:double>>,recipe_key:string>"
    )
    assert all(field.nullable for field in struct)
    assert struct["eligible"].metadata["comment"] == "True where no rule failed."


def test_signals_are_those_that_are_measured() -> None:
    from crawlmill.text.signals import LINES, SCORES, SIGNALS

    assert contract.load("signals").columns[5:] == (*SIGNALS, LINES, SCORES)


def test_vocabularies_are_those_of_the_code() -> None:
    from crawlmill.sources.reasons import REASONS
    from crawlmill.text.hooks import OUTCOMES

    def vocabulary(table: str, column: str) -> dict[str, str]:
        return next(found.enum for found in contract.load(table).fields if found.name == column)

    assert vocabulary("rejects", "reason") == REASONS
    assert tuple(vocabulary("rewrite_steps", "outcome")) == OUTCOMES


@pytest.mark.parametrize("name", ["string", "array<struct<a:string,b:map<string,bigint>>>", "map<string,array<int>>"])
def test_types_there_and_back(name: str) -> None:
    assert spark_types.name(spark_types.parse(name)) == name


@pytest.mark.parametrize(
    "name",
    ["", "text", "array<>", "array<string", "array<string>>", "map<string>", "struct<>", "struct<a>", "struct<a:string", "int;"],
)
def test_wrong_types(name: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        spark_types.parse(name)


def columns(changed: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = changed["schema"][0]["properties"]
    return found


def rules(changed: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = changed["schema"][0]["quality"]
    return found


def plausible(changed: dict[str, Any]) -> dict[str, Any]:
    return next(rule for rule in rules(changed) if rule["name"] == "scores_plausible")


def test_malformed_contracts_name_file_and_field() -> None:
    def broken(change: Any, *words: str) -> None:
        changed = document()
        change(changed)
        with pytest.raises(UserError) as caught:
            parse(changed)
        message = str(caught.value)
        assert "\n" not in message
        for word in ("schemas/languages.yaml", *words):
            assert word in message

    broken(lambda d: d.update(name="other"), "name", "'languages'")
    broken(lambda d: d.update(version="1"), "version", "1.0.0")
    broken(lambda d: d.update(kind="Other"), "kind")
    broken(lambda d: d.pop("schema"), "schema")
    broken(lambda d: d.update(schema={}), "schema")
    broken(lambda d: columns(d)[3].update(physicalType="text"), "language", "physicalType", "unknown type 'text'")
    broken(lambda d: columns(d)[3].update(logicalType="integer"), "logicalType", "goes with string")
    broken(lambda d: columns(d)[3].pop("description"), "description")
    broken(lambda d: columns(d)[3].update(desciption="misspelt"), "desciption")
    broken(lambda d: columns(d)[3].update(required="maybe"), "required")
    broken(lambda d: plausible(d).update(severity="fatal"), "scores_plausible", "severity", "critical")
    broken(lambda d: plausible(d).pop("customProperties"), "answerOnTimeout")
    broken(lambda d: plausible(d).update(engine="soda"), "engine", "soda")
    broken(lambda d: plausible(d)["implementation"]["kwargs"].update(column="nope"), "nope")
    broken(lambda d: plausible(d).update(implementation="text"), "implementation")
    broken(lambda d: rules(d)[0].update(implementation={"type": "x"}), "snapshot_form")
    broken(lambda d: rules(d)[0].update(name="Bad name'"), "lower case")
    assert rules(document())[-1]["engine"] == "crawlmill"
    broken(lambda d: rules(d)[-1].update(implementation="text"), "language_mix_near_baseline", "implementation")
    broken(lambda d: rules(d)[-1].update(severity="fatal"), "severity")
    broken(lambda d: rules(d)[-1].pop("customProperties"), "answerOnTimeout")


def test_not_yaml_and_unknown_table(tmp_path: Path) -> None:
    for text in ("a: [", "", "- 1", "text"):
        with pytest.raises(UserError, match="x.yaml"):
            contract_file.parse(text, "x", "x.yaml")
    with pytest.raises(UserError, match="'nothing' has no contract.*languages"):
        contract.load("nothing")


def test_reading_contracts_imports_neither_spark_nor_gx() -> None:
    code = (
        "import sys; from crawlmill import docs; from crawlmill.contracts import audit, contract; contract.load('documents'); "
        "print([name for name in ('pyspark', 'great_expectations', 'pandas') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_create_is_atomic_and_only_once(lake: str) -> None:
    workers = [
        subprocess.Popen(
            [
                sys.executable,
                "-c",
                "import sys; from crawlmill.contracts import contract; print(contract.create(sys.argv[1], 'runs'))",
                lake,
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    assert sorted(worker.communicate()[0].strip() for worker in workers) == ["False", "False", "False", "True"]
    log = Path(lake) / "runs" / "_delta_log"
    assert [path.name for path in log.iterdir()] == ["00000000000000000000.json"]
    actions = [json.loads(line) for line in (log / "00000000000000000000.json").read_text().splitlines()]
    assert [next(iter(action)) for action in actions] == ["commitInfo", "protocol", "metaData"]


def test_a_lake_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="table .*file/runs cannot be written"):
        contract.create(str(tmp_path / "file"), "runs")


class TestMigrate:
    """An existing table against a contract that changed."""

    @pytest.fixture
    def schemas(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lake: str) -> Path:
        folder = tmp_path / "home" / "schemas"
        folder.mkdir(parents=True)
        monkeypatch.setenv("CRAWLMILL_HOME", str(folder.parent))
        self.write(folder, document())
        contract.create(lake, "languages")
        return folder

    @staticmethod
    def write(folder: Path, changed: dict[str, Any], version: str = "1.0.0") -> None:
        (folder / "languages.yaml").write_text(yaml.safe_dump({**changed, "version": version}))
        contract.forget()

    @pytest.fixture(autouse=True)
    def fresh(self) -> Any:
        yield
        contract.forget()

    @staticmethod
    def fill(lake: str) -> None:
        import pyarrow as pa
        from deltalake import write_deltalake

        row = ("CC-MAIN-2026-43", 0, "<urn:uuid:1>", "eng", "Latn", 0.9, None, None, 1.0, 0.9, "0")
        names = [name for name in contract.load("languages").columns if name != "note"]
        table = pa.table({name: [value] for name, value in zip(names, row, strict=True)})
        kinds = {"shard": pa.int32(), "runner_up": pa.string(), "runner_up_score": pa.float64()}
        schema = pa.schema([(field.name, kinds.get(field.name, field.type)) for field in table.schema])
        # Constraints with Spark's functions bind Spark; deltalake, which cannot read them, takes this row into a table without.
        write_deltalake(f"{lake}/languages", table.cast(schema), mode="append")

    def test_up_to_date(self, schemas: Path, lake: str) -> None:
        assert contract.migrate(lake, "languages") is False

    def test_new_nullable_column_comment_and_check(self, schemas: Path, lake: str) -> None:
        from deltalake import DeltaTable

        changed = document()
        columns(changed).append({"name": "note", "logicalType": "string", "physicalType": "string", "description": "A note."})
        columns(changed)[3]["description"] = "Another comment."
        rules(changed)[0]["implementation"] = "snapshot <> ''"
        self.write(schemas, changed, "1.1.0")
        assert contract.migrate(lake, "languages") is True
        assert contract.migrate(lake, "languages") is False
        state = DeltaTable(f"{lake}/languages")
        found = {field["name"]: field for field in json.loads(state.schema().to_json())["fields"]}
        assert found["note"]["nullable"] is True
        assert found["language"]["metadata"]["comment"] == "Another comment."
        assert state.metadata().configuration["delta.constraints.snapshot_form"] == "snapshot <> ''"
        assert state.metadata().configuration["crawlmill.contract"] == "1.1.0"
        assert state.version() == 1

    def test_what_would_change_is_told_and_nothing_done(self, schemas: Path, lake: str) -> None:
        assert migration.steps(lake) == []
        changed = document()
        columns(changed).append({"name": "note", "logicalType": "string", "physicalType": "string", "description": "A note."})
        rules(changed)[0]["implementation"] = "snapshot <> ''"
        self.write(schemas, changed, "1.1.0")
        (step,) = migration.steps(lake)
        assert str(step) == (
            "languages: contract 1.0.0 to 1.1.0: new column note (string); new CHECK snapshot_form: snapshot <> ''"
        )
        assert contract.held(lake, "languages").version == "1.0.0"  # type: ignore[union-attr]
        columns(changed).pop(3)
        changed["schema"][0]["quality"] = []
        self.write(schemas, changed, "2.0.0")
        (step,) = migration.steps(lake)
        assert "column language is gone: the table is emptied" in str(step) and "CHECK snapshot_form goes" not in str(step)
        said: list[str] = []
        migration.migrate(lake, lambda: pytest.fail("no rows have to be looked at"), said.append)
        assert said == [str(step)] and migration.steps(lake) == []

    def test_a_table_that_is_not_there_is_created(self, schemas: Path, tmp_path: Path) -> None:
        (step,) = migration.steps(str(tmp_path / "empty"))
        assert str(step) == "languages: is created, contract 1.0.0"

    def test_settings_made_by_hand_stay(self, schemas: Path, lake: str) -> None:
        from deltalake import DeltaTable

        DeltaTable(f"{lake}/languages").alter.set_table_properties({"delta.checkpointInterval": "50"})
        changed = document()
        columns(changed)[3]["description"] = "Another comment."
        self.write(schemas, changed)
        assert contract.migrate(lake, "languages") is True
        assert DeltaTable(f"{lake}/languages").metadata().configuration["delta.checkpointInterval"] == "50"

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (lambda found: found.pop(3), "column language is gone"),
            (lambda found: found[3].update(name="lang"), "column language is gone; new column lang is required"),
            (
                lambda found: found[5].update(physicalType="string", logicalType="string"),
                "column language_score was double and is string",
            ),
            (lambda found: found[6].update(required=True), "column runner_up became required"),
            (lambda found: found[1].pop("partitioned"), "partition columns were"),
        ],
    )
    def test_breaking_changes_need_a_major_version(self, schemas: Path, lake: str, change: Any, words: str) -> None:
        changed = document()
        change(columns(changed))
        changed["schema"][0]["quality"] = []
        self.write(schemas, changed, "1.5.0")
        for refused in (lambda: contract.migrate(lake, "languages"), lambda: migration.steps(lake)):
            with pytest.raises(UserError, match=f"table languages: {words}.*version 2.0.0"):
                refused()

    def test_a_major_version_empties_the_table_and_keeps_its_history(self, schemas: Path, lake: str) -> None:
        from deltalake import DeltaTable

        bare = document()
        bare["schema"][0]["quality"] = []
        self.write(schemas, bare)
        assert contract.migrate(lake, "languages") is True
        self.fill(lake)
        before = DeltaTable(f"{lake}/languages").version()
        columns(bare)[5].update(physicalType="string", logicalType="string")
        self.write(schemas, bare, "2.0.0")
        assert contract.migrate(lake, "languages") is True
        assert contract.migrate(lake, "languages") is False
        state = DeltaTable(f"{lake}/languages")
        assert state.to_pyarrow_table().num_rows == 0
        assert str(state.to_pyarrow_table().schema.field("language_score").type).startswith("string")
        assert DeltaTable(f"{lake}/languages", version=before).to_pyarrow_table().num_rows == 1

    def test_a_later_contract_is_not_taken_back(self, schemas: Path, lake: str) -> None:
        self.write(schemas, document(), "1.2.0")
        contract.migrate(lake, "languages")
        self.write(schemas, document(), "1.1.0")
        with pytest.raises(UserError, match=r"follows contract 1.2.0, this code has 1.1.0"):
            contract.migrate(lake, "languages")

    def test_the_table_of_somebody_else_is_left_alone(self, schemas: Path, tmp_path: Path) -> None:
        import pyarrow as pa
        from deltalake import DeltaTable, write_deltalake

        write_deltalake(f"{tmp_path}/other/languages", pa.table({"mine": [1, 2, 3]}))
        with pytest.raises(UserError, match=r"other/languages is a Delta table that crawlmill did not make: give another folder"):
            contract.migrate(f"{tmp_path}/other", "languages")
        assert DeltaTable(f"{tmp_path}/other/languages").to_pyarrow_table().to_pydict() == {"mine": [1, 2, 3]}

    def test_absent_table(self, schemas: Path, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="there is no table languages"):
            contract.migrate(str(tmp_path / "nowhere"), "languages")
