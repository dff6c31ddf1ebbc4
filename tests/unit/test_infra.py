"""The files of infra/ agree with the code and with each other. Their own tools judge them in `make infra-check`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from crawlmill.orchestrate import metrics
from crawlmill.orchestrate.service import COMPONENTS
from crawlmill.orchestrate.submit import PODS
from crawlmill.storage import bucket

INFRA = Path(__file__).resolve().parents[2] / "infra"
CONTAINERS = [
    (path.name, container)
    for path in sorted((INFRA / "kubernetes").glob("*.yaml"))
    for document in yaml.safe_load_all(path.read_text())
    for spec in (document.get("spec", {}), document.get("spec", {}).get("template", {}).get("spec", {}) if isinstance(document.get("spec"), dict) else {})
    for container in spec.get("containers", ())
]  # fmt: skip


def properties(path: Path) -> dict[str, str]:
    """The settings of a spark-defaults.conf."""
    lines = [line.split(None, 1) for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]
    return {name: value.strip() for name, value in lines}


def environment(path: Path) -> dict[str, str]:
    lines = [line.partition("=") for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]
    return {name: value for name, _, value in lines}


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load((INFRA / "metrics" / "alerts.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_every_alert_has_its_section_in_the_runbook() -> None:
    sections = re.findall(r"^## (\w+)$", (INFRA / "RUNBOOK.md").read_text(), re.MULTILINE)
    assert sections == [rule["alert"] for rule in alerts()], "in the same order"
    for rule in alerts():
        assert rule["annotations"]["runbook"] == f"infra/RUNBOOK.md#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in ("page", "ticket")


def airflow_metrics() -> set[str]:
    """What Airflow's metrics are called by the collector's Prometheus exporter."""
    from airflow._shared.observability import metrics as told

    known = yaml.safe_load((Path(told.__file__).parent / "metrics_template.yaml").read_text())["metrics"]
    return {f"airflow_{each['name'].replace('.', '_')}" + ("_total" if each["type"] == "counter" else "") for each in known}


def test_alerts_and_the_dashboard_ask_for_metrics_that_there_are() -> None:
    board = json.loads((INFRA / "metrics" / "grafana" / "crawlmill.json").read_text())
    asked = [target["expr"] for panel in board["panels"] for target in panel["targets"]] + [rule["expr"] for rule in alerts()]
    names = {name for expression in asked for name in re.findall(r"\b(?:crawlmill|airflow)_\w+", expression)}
    assert names - set(metrics.HELP) - airflow_metrics() == set()
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


def test_spark_s_settings_have_reasons_and_are_the_same_on_kubernetes() -> None:
    own, pods = properties(INFRA / "spark" / "spark-defaults.conf"), properties(INFRA / "kubernetes" / "spark-defaults.conf")
    assert own.items() <= pods.items()
    assert all(name.startswith(("spark.kubernetes.", "spark.dynamicAllocation.")) for name in pods.keys() - own.keys())
    assert own["spark.delta.logStore.s3a.impl"] == bucket.spark_settings()["spark.delta.logStore.s3a.impl"]
    assert "# " in (INFRA / "spark" / "spark-defaults.conf").read_text().split("spark.sql.extensions")[0]


@pytest.mark.parametrize(("file", "container"), CONTAINERS, ids=lambda value: value if isinstance(value, str) else value["name"])
def test_no_container_has_privileges_or_an_unpinned_image(file: str, container: dict[str, Any]) -> None:
    assert re.fullmatch(r"crawlmill-(airflow|spark):\d+\.\d+\.\d+", container["image"])
    assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    assert {"secretRef": {"name": "crawlmill"}} in container["envFrom"], file


def test_every_component_of_airflow_is_there() -> None:
    services = yaml.safe_load((INFRA / "compose.yaml").read_text())["services"]
    deployed = {container["name"] for _, container in CONTAINERS}
    assert set(COMPONENTS) <= set(services) and set(COMPONENTS) <= deployed
    images = [service["image"] for service in services.values() if "image" in service]
    assert all(re.search(r":v?\d+\.\d+", image) for image in images), images


def test_settings_are_airflow_s_and_hold_no_secret() -> None:
    from airflow.configuration import conf

    found = environment(INFRA / "airflow" / "cluster.env")
    for name in found:
        assert not re.search("SECRET|PASSWORD|SQL_ALCHEMY", name)
        if name.startswith("AIRFLOW__"):
            section, option = name.removeprefix("AIRFLOW__").lower().split("__")
            assert conf.has_option(section, option) or option in conf.configuration_description[section]["options"], name
    assert environment(INFRA / "kubernetes" / "airflow.env") == found
    literals = yaml.safe_load((INFRA / "kubernetes" / "kustomization.yaml").read_text())["configMapGenerator"][0]["literals"]
    assert f"{PODS}=1" in literals


def test_the_images_do_not_run_as_root() -> None:
    lines = (INFRA / "images" / "Dockerfile").read_text().splitlines()
    stages = "\n".join(lines).split("\nFROM ")[1:]
    base = next(stage for stage in stages if " AS base" in stage)
    assert "\nUSER 50000" in base
    for name in ("spark", "airflow"):
        stage = next(stage for stage in stages if stage.startswith(f"base AS {name}"))
        assert "USER root" not in stage and "ENTRYPOINT" in stage


def test_every_jar_of_the_s3_client_is_pinned() -> None:
    lines = (INFRA / "s3-jars.lock").read_text().splitlines()
    assert all(re.fullmatch(r"[0-9a-f]{64}  [\w.-]+\.jar", line) for line in lines)
    assert sum("hadoop-aws-3.5.0" in line for line in lines) == 1 and not any("bundle" in line for line in lines)


@pytest.mark.parametrize("name", ["airflow.env", "cluster.env"])
def test_a_restart_of_the_api_server_costs_no_spark_job(name: str) -> None:
    """A worker ends its task after so many failed heartbeats, about one in 15 s: the default, 3, is less than a restart takes."""
    lines = (INFRA / "airflow" / name).read_text().splitlines()
    settings = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    assert int(settings["AIRFLOW__WORKERS__MAX_FAILED_HEARTBEATS"]) >= 20
