"""What nobody may reach by a parameter: a predicate, a path, a shell, a template. One list of attacks, through every entry."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from crawlmill import layout
from crawlmill.cli import cli
from crawlmill.contracts import contract
from crawlmill.errors import CrawlmillError, UserError
from crawlmill.lake import table
from crawlmill.lake.snapshot import parse, parse_shards
from crawlmill.protocol import command, stage
from tests.fixtures import canary, open_pages, seen
from tests.fixtures.attacks import ATTACKS, SNAPSHOT, SOME

ROOT = Path(__file__).resolve().parents[2]
EACH = pytest.mark.parametrize("attack", ATTACKS.values(), ids=list(ATTACKS))
VIEWER = {"x-role": "viewer"}


@EACH
def test_the_one_place_that_knows_ids_refuses(attack: str) -> None:
    with pytest.raises(UserError, match="snapshot id"):
        parse(attack)
    with pytest.raises(UserError, match="snapshot id"):
        table.partition(attack)
    with pytest.raises(UserError):
        contract.load(attack)
    if attack.strip():
        with pytest.raises(UserError, match="shards"):
            parse_shards(attack)


@pytest.mark.parametrize("name", stage.PER_SNAPSHOT)
def test_no_job_starts_with_one(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("crawlmill.protocol.session.build", None)
    for attack in SOME if name == "extract" else SOME[:1]:
        for words in (["--snapshot", attack], [f"--snapshot={attack}"], ["--snapshot", SNAPSHOT, "--shards", attack or "x"]):
            assert command.main(stage.load(name), [*words, "--lake", str(tmp_path / "lake"), "--source", str(tmp_path)]) == 2, (
                words
            )
            said = capsys.readouterr().err
            assert said.startswith("crawlmill: user error: ") and "Traceback" not in said
    assert not list(tmp_path.iterdir())


def verbs() -> list[tuple[str, click.Parameter]]:
    """Every parameter of a verb that takes a snapshot, a table, a release or shards."""
    context = click.Context(cli)
    asked = {"snapshot", "snapshots", "tables", "table", "shards", "metavar"}
    found = []
    for name in sorted(
        {*cli.list_commands(context)} - {"check"}
    ):  # it looks at everything else before, and says "wrong" at the end
        verb = cli.get_command(context, name)
        assert verb
        found += [
            (name, each)
            for each in verb.params
            if each.name in asked or (name, each.name) in {("history", "name"), ("release", "name")}
        ]
    return found


# What else a verb asks for before it looks at anything.
BESIDE = {
    "answer": ["--because", "x"], "release": [], "load-scores": ["rows.jsonl"], "fit-scores": ["--scorer", "s"], "sample": [], "export": ["--out", "o"],
    "train-scorer": ["--out", "o.bin"], "fit-thresholds": ["-o", "o.tsv"],
}  # fmt: skip


@pytest.mark.parametrize(("verb", "parameter"), verbs(), ids=lambda value: getattr(value, "name", value))
def test_no_verb_takes_one(
    verb: str, parameter: click.Parameter, lake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table.create_all(lake)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("crawlmill.protocol.session.build", None)
    Path("rows.jsonl").write_text('{"id": "x", "scorer": "s", "version": "1", "value": 1}\n')
    before = sorted(tmp_path.rglob("*"))
    for attack in SOME[:2]:
        given = [parameter.opts[0], attack] if isinstance(parameter, click.Option) else ["--", attack]
        if verb == "release":
            given = ["--", "r1", attack] if parameter.name == "snapshots" else ["--", attack, SNAPSHOT]
        if parameter.name == "shards":
            given += ["--", SNAPSHOT]
        where = ["--lake", lake]
        done = CliRunner().invoke(cli, [verb, *BESIDE.get(verb, []), *where, *given])
        assert isinstance(done.exception, CrawlmillError) or done.exit_code == 2, (
            attack[:60],
            done.exit_code,
            done.output[-500:],
            done.exception,
        )
    assert sorted(tmp_path.rglob("*")) == before


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from starlette.testclient import TestClient

    from crawlmill.orchestrate.pages import app

    lake = seen.make(str(tmp_path_factory.mktemp("attacked") / "lake"))
    patch = pytest.MonkeyPatch()
    patch.setenv("CRAWLMILL_LAKE", lake)
    yield TestClient(app.build(open_pages.by_header()), base_url="http://airflow.example", raise_server_exceptions=True)
    patch.undo()


ASKED = {
    "/why": ("page",), "/report": ("snapshot",), "/table": ("name", "version"), "/run": ("dag_id", "run_id"), "/stage": ("dag_id", "run_id", "task_id"),
    "/workbench": ("snapshot", "language", "way", "rule", "limit", "pattern", "expression", "a", "b", "seed"),
}  # fmt: skip


@pytest.mark.full
@pytest.mark.parametrize("path", ASKED)
def test_no_page_does_anything_with_any_of_them_but_show_it_as_text(pages: Any, path: str) -> None:
    ask(pages, path, list(ATTACKS.values()), ASKED[path])


@pytest.mark.parametrize("path", ASKED)
def test_no_page_does_anything_with_one_but_show_it_as_text(pages: Any, path: str) -> None:
    ask(pages, path, [ATTACKS["markup"], ATTACKS["upwards"]], ASKED[path][:3])


def ask(pages: Any, path: str, attacks: list[str], names: tuple[str, ...]) -> None:
    whole = {"/run": {"dag_id": "ingest_snapshot", "run_id": "backfill__1"}, "/report": {}, "/table": {"name": "corpus"},
             "/stage": {"dag_id": "ingest_snapshot", "run_id": "backfill__1", "task_id": "gate.check"}}.get(path, {})  # fmt: skip
    for name in names:
        for attack in attacks:
            answer = pages.get(path, params={**whole, name: attack}, headers=VIEWER)
            assert answer.status_code in (200, 400, 404, 414, 422), (name, attack[:60], answer.status_code)
            assert (
                "<script>alert" not in answer.text and ' onmouseover="alert' not in answer.text and "root:x:" not in answer.text
            )
            if "text/html" in answer.headers["content-type"]:
                assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_a_lake_s_folder_has_no_control_characters() -> None:
    for root in ("/tmp/x\n", "/tmp/\x00x", "/tmp/x\x1b[2J", "s3a://bucket/x\n", "s3a://bucket/../x y"):
        with pytest.raises(UserError, match="lake"):
            layout.lake_root(root)


def test_a_source_s_password_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for root in ("https://user:hidden@crawl.example/", "http://hidden@crawl.example/x", "s3://key:hidden@crawl"):
        with pytest.raises(UserError, match="give it without") as told:
            layout.source_root(root)
        assert "hidden" not in str(told.value)
    assert layout.source_root("https://crawl.example/a@b") == "https://crawl.example/a@b"


def test_a_secret_is_found_wherever_it_got(tmp_path: Path) -> None:
    """The canary of other tests sings."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"a": [{"b": "x sk-1 y"}]}), tmp_path / "rows.parquet", compression="zstd")
    (tmp_path / "log.json").write_text('{"userMetadata": "sk-1"}')
    (tmp_path / "sk-1.txt").write_text("")
    (tmp_path / "clean").write_text("")
    assert len(canary.seen(tmp_path, "sk-1")) == 3 and canary.seen(tmp_path, "sk-2") == []


# Code that runs what it reads, a call or an import each; ruff's S rules hold most of it too, but with exceptions a line.
FORBIDDEN_CALLS = {"eval", "exec", "__import__", "os.system", "os.popen", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "torch.load",
                   "joblib.load", "pickle.load", "pickle.loads", "marshal.loads", "dill.load"}  # fmt: skip
SAFE = {"jobs/crawlmill/sample_crawl/texts.py": ["yaml.load"]}  # with either of PyYAML's safe loaders
FORBIDDEN_IMPORTS = {"pickle", "cPickle", "dill", "joblib", "marshal", "shelve", "torch"}


def strange(source: str) -> list[str]:
    """What a module does that none of ours may do."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            name, loader = ast.unparse(node.func), [ast.unparse(each.value) for each in node.keywords if each.arg == "Loader"]
            found += [name] if name in FORBIDDEN_CALLS and not (loader and loader[0].endswith("SafeLoader")) else []
            for keyword in node.keywords:
                if keyword.arg in ("shell", "allow_pickle") and not (
                    isinstance(keyword.value, ast.Constant) and keyword.value.value is False
                ):
                    found.append(f"{name}({keyword.arg}=…)")
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            found += [name for name in names if name.partition(".")[0] in FORBIDDEN_IMPORTS]
    return found


def test_nothing_runs_what_it_reads() -> None:
    files = [path for folder in ("jobs", "dags", "infra") for path in (ROOT / folder).rglob("*.py")]
    assert len(files) > 200
    assert {str(path.relative_to(ROOT)): bad for path in files if (bad := strange(path.read_text(encoding="utf-8")))} == SAFE


@pytest.mark.parametrize(
    "line",
    [
        "eval(x)",
        "import pickle",
        "from joblib import load",
        "yaml.load(f)",
        "subprocess.run(x, shell=True)",
        "np.load(f, allow_pickle=True)",
    ],
)
def test_what_is_forbidden_is_found(line: str) -> None:
    assert strange(line)
