"""The launcher: processes that are started and stopped by id, ports that are taken, an Airflow that is not there."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
import pytest
from urllib3 import HTTPResponse

from crawlmill.errors import UserError
from crawlmill.orchestrate import instance as instances
from crawlmill.orchestrate import processes, service
from crawlmill.orchestrate.instance import Instance
from crawlmill.orchestrate.rest import Airflow
from tests.conftest import ROOT

SLEEP = [sys.executable, "-c", "import time; print('started', flush=True); time.sleep(600)"]


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which somebody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_down_without_up_says_so(tmp_path: Path) -> None:
    said: list[str] = []
    assert service.down(tmp_path, said.append) is False
    assert said == ["nothing to stop: Airflow is not up"]


def test_a_taken_port_is_named_with_the_remedy(taken: int) -> None:
    with pytest.raises(
        UserError, match=rf"port {taken} is taken by another program: choose another one, like `CRAWLMILL_PORT={taken + 10}`"
    ):
        instances.require_free(taken)


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_port_that_is_none_is_refused(port: int) -> None:
    with pytest.raises(UserError, match="is not a port"):
        instances.require_free(port)


def test_of_two_ups_at_once_the_second_finds_what_the_first_has_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A start stops what is left in its folder; it must not be what another start is about to finish."""
    started, said = list[Instance](), list[str]()

    def start(found: Instance) -> Instance:
        time.sleep(0.5)
        started.append(found)
        return found

    monkeypatch.setattr(service, "start", start)
    monkeypatch.setattr(service, "standing", lambda state: started[0] if started else None)
    both = [threading.Thread(target=service.up, args=(8080, tmp_path, said.append)) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join(30)
    assert len(started) == 1 and sorted(line.partition(":")[0] for line in said) == [
        "Airflow is already up",
        "Airflow is up",
        "another `crawlmill up` is starting Airflow here",
    ]


def test_up_on_a_taken_port_starts_nothing(tmp_path: Path, taken: int) -> None:
    with pytest.raises(UserError, match="is taken"):
        service.up(taken, tmp_path)
    assert processes.running(tmp_path / "airflow" / "run") == {}


def test_processes_are_found_and_stopped_by_their_record(tmp_path: Path) -> None:
    processes.start("first", SLEEP, tmp_path, {})
    processes.start("second", SLEEP, tmp_path, {})
    assert set(processes.running(tmp_path)) == {"first", "second"}
    assert processes.stop(tmp_path, grace=5) == ["first", "second"]
    assert processes.running(tmp_path) == {}
    assert processes.stop(tmp_path) == []


def test_a_process_of_a_name_takes_the_place_of_an_older_one(tmp_path: Path) -> None:
    older = processes.start("one", SLEEP, tmp_path, {})
    newer = processes.start("one", SLEEP, tmp_path, {})
    assert not older.is_running() or older.status() == psutil.STATUS_ZOMBIE
    assert processes.running(tmp_path)["one"].pid == newer.pid
    processes.stop(tmp_path, grace=5)


def test_a_process_that_ignores_the_signal_and_its_children_are_killed(tmp_path: Path) -> None:
    stubborn = (
        "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        f"print(subprocess.Popen({SLEEP!r}, start_new_session=True).pid, flush=True); time.sleep(600)"
    )
    process = processes.start("stubborn", [sys.executable, "-c", stubborn], tmp_path, {})
    log = tmp_path / "stubborn.log"
    while not (child := log.read_text().split()):
        time.sleep(0.05)
    processes.stop(tmp_path, grace=0.5)
    assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    assert not psutil.pid_exists(int(child[0])) or psutil.Process(int(child[0])).status() == psutil.STATUS_ZOMBIE


def test_a_process_id_that_was_given_to_another_process_is_left_alone(tmp_path: Path) -> None:
    processes.start("ours", SLEEP, tmp_path, {})
    record = tmp_path / "ours.json"
    true_record = record.read_text()
    record.write_text(true_record.replace('"created": ', '"created": 9'))
    assert processes.running(tmp_path) == {}
    record.write_text(true_record)
    processes.stop(tmp_path, grace=5)


def test_an_instance_is_remembered(tmp_path: Path) -> None:
    made = Instance(tmp_path / "airflow", 8090, "/lake", "http://127.0.0.1:1/", "")
    assert instances.load(made.home) is None
    made.save()
    assert instances.load(made.home) == made
    assert service.standing(tmp_path) is None, "remembered, but not running"


def test_the_environment_follows_the_port_and_leaves_other_airflows_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgresql://somebody@else/airflow")
    made = Instance(tmp_path / "airflow", 8090, "/lake", "/mirror")
    env = instances.environment(made)
    assert env["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://127.0.0.1:8090/execution/"
    assert env["AIRFLOW__API__HOST"] == "127.0.0.1" and env["CRAWLMILL_LAKE"] == "/lake"
    assert "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN" not in env
    assert '"host":"local[2,4]"' in env["AIRFLOW_CONN_SPARK_DEFAULT"], "no connection would silently mean YARN"
    assert (Path(env["SPARK_CONF_DIR"]) / "spark-defaults.conf").is_file()
    assert env["AIRFLOW__API_AUTH__JWT_SECRET"] == instances.environment(made)["AIRFLOW__API_AUTH__JWT_SECRET"]
    assert ((made.home / "jwt_secret").stat().st_mode & 0o077) == 0


def test_the_launcher_imports_no_airflow() -> None:
    code = (
        "import sys; from crawlmill.orchestrate import demo, service; print('airflow' in sys.modules, 'pyspark' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split() == [
        "False",
        "False",
    ]


def test_a_backfill_needs_an_airflow(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no Airflow is up: start one with `crawlmill up`"):
        service.backfill(date(2026, 1, 1), date(2026, 3, 31), state=tmp_path)


def test_a_backfill_is_asked_of_the_airflow_that_is_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def call(self: Airflow, method: str, path: str, body: Any = None, accept: Any = ()) -> Any:
        asked.append((self.url, method, path, body))
        return {"id": 7}

    monkeypatch.setattr(service, "standing", lambda state: Instance(tmp_path, 8090, "/lake", "/mirror"))
    monkeypatch.setattr(Airflow, "call", call)
    said: list[str] = []
    chosen = service.backfill(date(2026, 1, 1), date(2026, 3, 31), 3, "failed", tmp_path, said.append)
    assert chosen == ["CC-MAIN-2026-04", "CC-MAIN-2026-08", "CC-MAIN-2026-12"]
    url, method, path, body = asked[0]
    assert (url, method, path) == ("http://127.0.0.1:8090", "POST", "/api/v2/backfills")
    assert (body["max_active_runs"], body["reprocess_behavior"]) == (3, "failed")
    assert (body["from_date"], body["to_date"]) == ("2026-01-01T00:00:00Z", "2026-03-31T00:00:00Z")
    assert body["run_backwards"] is False and body["dag_run_conf"] == {}
    service.backfill(date(2026, 1, 1), date(2026, 3, 31), state=tmp_path, backwards=True)
    assert asked[1][3]["run_backwards"] is True
    assert "backfill 7 of 3 snapshots" in said[0] and "http://127.0.0.1:8090" in said[0]
    with pytest.raises(UserError, match=r"no snapshot began between .* nearest are .*CC-MAIN-2026-04 \(2026-01-12\)"):
        service.backfill(date(2026, 1, 1), date(2026, 1, 2), state=tmp_path)
    with pytest.raises(UserError, match="is after"):
        service.backfill(date(2026, 2, 1), date(2026, 1, 1), state=tmp_path)


def test_a_dry_run_lists_the_snapshots_of_the_range(monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import CliRunner

    from crawlmill.verbs import service_cli

    monkeypatch.delenv("CRAWLMILL_CALENDAR", raising=False)
    done = CliRunner().invoke(service_cli.backfill, ["2026-01-01", "2026-02-28", "--dry-run"])
    assert done.output == "CC-MAIN-2026-04  2026-01-12\nCC-MAIN-2026-08  2026-02-06\n"
    assert CliRunner().invoke(service_cli.backfill, ["2026-01-01", "soon", "--dry-run"]).exit_code == 2


def test_an_airflow_that_does_not_answer_is_named() -> None:
    client = Airflow("http://127.0.0.1:9")
    client._http.connection_pool_kw["retries"] = False
    with pytest.raises(UserError, match=r"Airflow at http://127\.0\.0\.1:9 does not answer"):
        client.dags()


def test_a_database_that_was_locked_is_asked_again_and_other_errors_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    locked = HTTPResponse(b'{"detail":{"reason":"Database error"}}', status=500)
    answers = [locked, locked, HTTPResponse(b'{"name": "spark"}', status=201), HTTPResponse(b"{}", status=500)]
    client = Airflow("http://127.0.0.1:9")
    client._token = "known"
    monkeypatch.setattr(client._http, "request", lambda *_, **__: answers.pop(0))
    monkeypatch.setattr(time, "sleep", lambda _: None)
    assert client.call("POST", "/api/v2/pools", {}) == {"name": "spark"}
    with pytest.raises(UserError, match="Airflow refused POST /api/v2/pools: 500"):
        client.call("POST", "/api/v2/pools", {})


@pytest.fixture
def setup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The set-up script, with a cache of two small jars of its own."""
    spec = importlib.util.spec_from_file_location("crawlmill_setup", ROOT / "infra" / "setup.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "CACHE", tmp_path)
    monkeypatch.setattr(module, "JARS", {name: hashlib.sha256(name.encode()).hexdigest() for name in ("a.jar", "b.jar")})
    return module


def test_set_up_knows_its_jars_again_and_notices_other_ones(
    setup: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "jars"
    assert not setup.jars_are_right(folder), "there are none"
    folder.mkdir()
    for name in setup.JARS:
        (folder / name).write_text(name)
    hashed: list[Path] = []
    right = setup.sha256
    monkeypatch.setattr(setup, "sha256", lambda path: hashed.append(path) or right(path))
    assert setup.jars_are_right(folder) and len(hashed) == 2
    assert setup.jars_are_right(folder) and len(hashed) == 2, "by size and time"
    (folder / "a.jar").write_text("a.j")
    assert not setup.jars_are_right(folder), "cut off"
    (folder / "a.jar").unlink()
    assert not setup.jars_are_right(folder), "gone"


def test_down_needs_no_set_up_where_there_is_none(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    done = subprocess.run(["make", "--no-print-directory", "down"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("nothing to stop") and [entry.name for entry in tmp_path.iterdir()] == ["Makefile"]
