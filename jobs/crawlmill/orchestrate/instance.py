"""One Airflow on this machine: its folder, its port, its environment."""

from __future__ import annotations

import json
import os
import secrets
import socket
import sys
from dataclasses import asdict, dataclass
from importlib.metadata import entry_points
from pathlib import Path

from crawlmill import layout
from crawlmill.errors import UserError
from crawlmill.protocol import session

PORT = "CRAWLMILL_PORT"  # environment variable: port of the UI


@dataclass(frozen=True)
class Instance:
    """Where an Airflow lives and what it works on.

    Attributes:
        home: its folder: database, logs, process records.
        port: of the UI and the API, on loopback.
        lake: folder of the tables.
        source: where crawl files come from.
        calendar: further list of snapshots, or ''.
    """

    home: Path
    port: int
    lake: str
    source: str
    calendar: str = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def processes(self) -> Path:
        """The folder of process records and component logs."""
        return self.home / "run"

    def save(self) -> None:
        """Write the instance down, for `down` and for a second `up`."""
        self.processes.mkdir(parents=True, exist_ok=True)
        (self.home / "instance.txt").write_text(json.dumps({**asdict(self), "home": str(self.home)}))


def load(home: Path) -> Instance | None:
    """The instance that was last started in this folder."""
    record = home / "instance.txt"
    if not record.is_file():
        return None
    entry = json.loads(record.read_text())
    return Instance(**{**entry, "home": Path(entry["home"])})


def require_free(port: int) -> None:
    """Raise UserError where another program listens on the port, or where it is none."""
    if not 0 < port < 65536:
        raise UserError(f"{port} is not a port: give a number from 1 to 65535 ({PORT} or --port)")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise UserError(
                f"port {port} is taken by another program: choose another one, like `{PORT}={port + 10}`, and start again"
            ) from error


def require_plugin() -> None:
    """Raise UserError where Airflow would not find the crawl calendar."""
    if not any(point.value.endswith(":CrawlmillPlugin") for point in entry_points(group="airflow.plugins")):
        raise UserError("crawlmill is not installed in this Python, so Airflow cannot find its crawl calendar: run `make setup`")


def environment(instance: Instance) -> dict[str, str]:
    """The environment of every component: this process's own, `infra/airflow/airflow.env`, and what depends on the instance."""
    bin_dir = Path(sys.executable).parent
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    return {
        **inherited,
        **_settings(layout.home() / "infra" / "airflow" / "airflow.env"),
        "PATH": f"{bin_dir}{os.pathsep}{os.environ.get('PATH', '')}",
        "AIRFLOW_HOME": str(instance.home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(layout.home() / "dags"),
        "AIRFLOW__API__PORT": str(instance.port),
        "AIRFLOW__API__BASE_URL": instance.url,
        # Without it, tasks on a port other than 8080 fail with empty logs.
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{instance.url}/execution/",
        "AIRFLOW__API_AUTH__JWT_SECRET": _secret(instance.home / "jwt_secret"),
        "AIRFLOW__API__SECRET_KEY": _secret(instance.home / "api_secret"),
        "SPARK_CONF_DIR": str(session.write_conf_dir(instance.home / "spark-conf")),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
        "CRAWLMILL_LAKE": instance.lake,
        "CRAWLMILL_SOURCE": instance.source,
        "CRAWLMILL_CALENDAR": instance.calendar,
    }


def _settings(path: Path) -> dict[str, str]:
    lines = (line.strip() for line in path.read_text().splitlines())
    parts = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value for name, _, value in parts}


def _secret(path: Path) -> str:
    """A random word that this instance's components share, made at the first start and readable by its owner only."""
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(48))
    return path.read_text()
