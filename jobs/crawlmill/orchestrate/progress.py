"""Watching runs of a DAG from outside: a line as each stage ends, the failed task's last words when one fails."""

from __future__ import annotations

import time
from typing import Any

from crawlmill.errors import CrawlmillError
from crawlmill.lake import ledger, pins
from crawlmill.orchestrate.rest import Airflow
from crawlmill.orchestrate.service import Say

POLL = 2.0  # seconds
DONE = ("success", "failed")


class Progress:
    """Follows the runs of a DAG until they end."""

    def __init__(self, client: Airflow, lake: str, say: Say) -> None:
        self.client, self.lake, self.say = client, lake, say
        self.said: set[tuple[str, str, str]] = set()
        self.began = time.monotonic()

    def watch(self, dag: str, least: int, limit: float) -> None:
        """Return when at least so many runs exist and none is left unfinished; raise CrawlmillError when a task fails."""
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            runs = self.client.runs(dag)
            for run in reversed(runs):
                self._look(dag, run)
            if len(runs) >= least and all(run["state"] in DONE for run in runs):
                return
            time.sleep(POLL)
        raise CrawlmillError(f"{dag} was not done after {limit:.0f} s; see {self.client.url}/dags/{dag}")

    def _look(self, dag: str, run: dict[str, Any]) -> None:
        if (dag, run["dag_run_id"], "all") in self.said:
            return
        name = run["partition_key"] or run["dag_run_id"]
        for task in sorted(self.client.tasks(dag, run["dag_run_id"]), key=lambda task: task["start_date"] or "9"):
            if task["state"] == "failed":
                raise CrawlmillError(self._failure(name, task))
            key = (run["dag_run_id"], f"{task['task_id']}[{task['map_index']}]", task["state"] or "")
            if key not in self.said:
                self.said.add(key)
                self._say(dag, name, task)
        if run["state"] == "failed":
            raise CrawlmillError(f"run {run['dag_run_id']} of {dag} failed; see {self.client.url}/dags/{dag}")
        if run["state"] in DONE:
            self.said.add((dag, run["dag_run_id"], "all"))

    def _say(self, dag: str, name: str, task: dict[str, Any]) -> None:
        at = f"[{time.monotonic() - self.began:4.0f} s]"
        stage, _, step = task["task_id"].partition(".")
        part = (task["rendered_map_index"] or "").removeprefix(name).strip()
        part = "" if part.isdigit() else part  # the name of a mapped task is not known before its first log line
        if task["state"] == "up_for_retry":
            self.say(f"{at} {name:<17} {stage:<9} attempt {task['try_number']} of {step} failed and is tried again")
        if step == "submit" and task["state"] == "running":
            self.say(f"{at} {name:<17} {stage:<9} running {part}".rstrip())
        if step == "check" and task["state"] == "success":
            run = ledger.verdict(self.lake, stage, pins.EVERY if dag != "ingest_snapshot" else name)
            if run:
                total = {what: sum(count[what] for count in run.counts) for what in ("read", "written", "rejected")}
                rows = ", ".join(f"{number} {what}" for what, number in total.items())
                self.say(f"{at} {name:<17} {stage:<9} {run.verdict}: {rows} in {run.seconds:.0f} s")

    def _failure(self, name: str, task: dict[str, Any]) -> str:
        lines = [line for line in self.client.log(task) if not line.startswith("::")]
        return f"{task['task_id']} of {name} failed; the end of its log:\n" + "\n".join(f"  {line}" for line in lines[-15:])
