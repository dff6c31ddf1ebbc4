"""The same DAGs on a cluster leave the same rows: PostgreSQL, Airflow's workers, Spark's master and workers, an S3 server, all on loopback."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fixtures import postgres

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.full
@pytest.mark.e2e
def test_the_sample_on_a_cluster_is_the_sample_on_one_machine(tmp_path: Path) -> None:
    if postgres.programs() is None or importlib.util.find_spec("psycopg2") is None:
        pytest.skip("no PostgreSQL on this machine: install its server and `pip install crawlmill[cluster]`")
    subprocess.run([sys.executable, ROOT / "infra" / "object_storage.py"], check=True)
    env = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW") and name != "SPARK_CONF_DIR"}
    log = tmp_path / "log"
    with log.open("w") as errors:
        command = [sys.executable, "-m", "tests.fixtures.cluster_run", str(tmp_path), "1"]
        program = subprocess.Popen(
            command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True
        )
        try:
            out, _ = program.communicate(timeout=3_600)
        finally:  # everything it started is of its group, or was stopped by it
            if program.poll() is None:
                os.killpg(program.pid, signal.SIGKILL)
    assert program.returncode == 0, log.read_text()[-6_000:]
    found = json.loads(out.splitlines()[-1])
    assert found["lacking"] is None
    assert set(found["database"]) == {"success"} and found["database"]["success"] >= 2
    assert all(count > 0 for count in found["executors"].values()) and len(found["executors"]) == 2
    assert found["differing"] == []
    assert found["counts"]["corpus"] > 100
