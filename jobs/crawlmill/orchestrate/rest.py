"""The few calls of Airflow's REST API that the launcher and the demo make, on this machine only."""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import quote

import urllib3

from crawlmill.errors import UserError


class Airflow:
    """A client of one Airflow on loopback, whose simple authentication gives everybody a token."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = urllib3.PoolManager(retries=urllib3.Retry(3, backoff_factor=0.5), timeout=30.0)
        self._token = ""

    def healthy(self, *components: str) -> bool:
        """Whether the server answers and says that these components are alive."""
        try:
            answer = self._http.request("GET", f"{self.url}/api/v2/monitor/health", retries=False, timeout=5.0)
            state = answer.json() if answer.status == 200 else {}
        except (urllib3.exceptions.HTTPError, ValueError):
            return False
        return bool(state) and all(state.get(name, {}).get("status") == "healthy" for name in components)

    def call(self, method: str, path: str, body: Any = None, accept: tuple[int, ...] = (200, 201)) -> Any:
        """One call; returns the parsed answer. Raises UserError with Airflow's own words where it refuses, and where it does not answer."""
        try:
            if not self._token:
                self._token = self._http.request("GET", f"{self.url}/auth/token").json()["access_token"]
            headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json", "Content-Type": "application/json"}
            sent = None if body is None else json.dumps(body)
            for pause in (1.0, 2.0, 4.0, 0.0):
                answer = self._http.request(method, f"{self.url}{path}", body=sent, headers=headers)
                if answer.status != 500 or b"Database error" not in answer.data or not pause:
                    break
                time.sleep(pause)  # SQLite was locked by another component for too long, and nothing was done
        except urllib3.exceptions.HTTPError as error:
            raise UserError(f"Airflow at {self.url} does not answer ({error}): see its logs, or start it again") from error
        if answer.status not in accept:
            raise UserError(f"Airflow refused {method} {path}: {answer.status} {answer.data.decode(errors='replace')[:500]}")
        return answer.json() if answer.data else None

    def dags(self) -> set[str]:
        """Ids of the DAGs that have been parsed."""
        return {entry["dag_id"] for entry in self.call("GET", "/api/v2/dags?limit=100")["dags"]}

    def import_errors(self) -> list[str]:
        """What is wrong with DAG files that could not be parsed."""
        return [
            f"{entry['filename']}: {entry['stack_trace'].strip().splitlines()[-1]}"
            for entry in self.call("GET", "/api/v2/importErrors")["import_errors"]
        ]

    def set_pool(self, name: str, pool: dict[str, Any]) -> None:
        """Create a pool, or bring it to these slots."""
        if self.call("GET", f"/api/v2/pools/{quote(name)}", accept=(200, 404)).get("name") == name:
            self.call("PATCH", f"/api/v2/pools/{quote(name)}?update_mask=slots&update_mask=description", {**pool, "pool": name})
        else:
            self.call("POST", "/api/v2/pools", {**pool, "name": name})

    def backfill(
        self, dag: str, first: str, last: str, active: int, reprocess: str = "completed", backwards: bool = False,
        conf: dict[str, Any] | None = None,
    ) -> int:  # fmt: skip
        """Start a backfill over a range of days (ISO dates, inclusive); returns its id.

        `reprocess`: runs that are made again where there is one: `none`, `failed` ones, or `completed` ones, failed or not.
        `backwards`: the newest first. `conf`: parameters of the DAG.
        """
        body = {"dag_id": dag, "from_date": f"{first}T00:00:00Z", "to_date": f"{last}T00:00:00Z", "max_active_runs": active,
                "dag_run_conf": conf or {}, "reprocess_behavior": reprocess, "run_backwards": backwards}  # fmt: skip
        return int(self.call("POST", "/api/v2/backfills", body)["id"])

    def runs(self, dag: str) -> list[dict[str, Any]]:
        """The DAG's runs, newest first."""
        found: list[dict[str, Any]] = self.call("GET", f"/api/v2/dags/{dag}/dagRuns?limit=100&order_by=-run_after")["dag_runs"]
        return found

    def tasks(self, dag: str, run: str) -> list[dict[str, Any]]:
        """The task instances of a run."""
        found: list[dict[str, Any]] = self.call(
            "GET", f"/api/v2/dags/{dag}/dagRuns/{quote(run, safe='')}/taskInstances?limit=500"
        )["task_instances"]
        return found

    def log(self, task: dict[str, Any]) -> list[str]:
        """The lines of a task instance's last attempt."""
        path = f"/api/v2/dags/{task['dag_id']}/dagRuns/{quote(task['dag_run_id'], safe='')}/taskInstances/{task['task_id']}"
        answer = self.call("GET", f"{path}/logs/{task['try_number']}?map_index={task['map_index']}&full_content=true")
        said = []
        for line in answer["content"]:
            said.append(line["event"] if isinstance(line, dict) else str(line))
            said += [error["exc_value"] for error in (line.get("error_detail") or [])[:1]] if isinstance(line, dict) else []
        return said
