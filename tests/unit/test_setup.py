"""Set-up of a machine: what uv trusts; the driver's JVM, its class path, its archive of loaded classes, and what happens without one."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from crawlmill.protocol import session
from tests.conftest import ROOT


def module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"infra_{name}", ROOT / "infra" / f"{name}.py")
    assert spec and spec.loader
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with Delta's jars by name and no archive."""
    folder = tmp_path / "a cache"
    (folder / "jars").mkdir(parents=True)
    (folder / "jars" / "delta.jar").touch()
    monkeypatch.setenv("CRAWLMILL_CACHE", str(folder))
    return folder


def words(conf: Path) -> list[str]:
    lines = (conf / session.ARGUMENTS).read_text().splitlines()
    assert all(line[0] == line[-1] == '"' for line in lines)
    return [line[1:-1] for line in lines]


def test_the_class_path_has_every_jar_once_and_no_folder(cache: Path, tmp_path: Path) -> None:
    found = words(session.write_conf_dir(tmp_path / "conf"))
    jars = [Path(jar) for jar in found[found.index("-cp") + 1].split(os.pathsep)]
    assert {jar.suffix for jar in jars} == {".jar"} and all(jar.is_file() for jar in jars)
    assert len({jar.name for jar in jars}) == len(jars) > 200
    assert jars[0].name.startswith("slf4j-api-") and jars[-1] == cache / "jars" / "delta.jar"


def test_an_archive_is_used_where_there_is_one(cache: Path, tmp_path: Path) -> None:
    conf = session.write_conf_dir(tmp_path / "conf")
    assert not any("Shared" in word for word in words(conf))
    session.class_archive().touch()
    session.write_conf_dir(conf)
    assert f"-XX:SharedArchiveFile={cache / 'spark-classes.jsa'}" in words(conf)
    session.write_conf_dir(conf, "-XX:ArchiveClassesAtExit=x")
    assert "-XX:ArchiveClassesAtExit=x" in words(conf) and not any("Shared" in word for word in words(conf))


def test_settings_that_do_not_change_are_not_written_again(cache: Path, tmp_path: Path) -> None:
    conf = session.write_conf_dir(tmp_path / "conf")
    before = {path.name: path.stat().st_ino for path in conf.iterdir()}
    assert sorted(before) == ["driver.args", "log4j2.properties", "spark-defaults.conf"]
    session.write_conf_dir(conf)
    assert {path.name: path.stat().st_ino for path in conf.iterdir()} == before


@pytest.mark.skipif(not (os.environ.get("JAVA_HOME") or shutil.which("java")), reason="no Java")
@pytest.mark.parametrize("archive", [None, b"", b"no archive at all" * 999])
def test_java_reads_the_arguments_and_is_silent_about_an_archive_that_is_none(
    archive: bytes | None, cache: Path, tmp_path: Path
) -> None:
    if archive is not None:
        session.class_archive().write_bytes(archive)
    conf = session.write_conf_dir(tmp_path / 'with "quotes" and blanks')
    java = Path(os.environ["JAVA_HOME"]) / "bin" / "java" if os.environ.get("JAVA_HOME") else "java"
    arguments = [java, "-cp", "nothing", f"@{conf / session.ARGUMENTS}", "org.apache.spark.launcher.Main"]
    done = subprocess.run(arguments, capture_output=True, text=True)
    assert "Not enough arguments" in done.stderr and "warning" not in (done.stdout + done.stderr).lower()


def dump(env: dict[str, str], content: bytes) -> list[str]:
    """Write the archive that a JVM with these settings would; returns the JVM's words."""
    found = words(Path(env["SPARK_CONF_DIR"]))
    target = next(word.removeprefix("-XX:ArchiveClassesAtExit=") for word in found if "ArchiveClassesAtExit" in word)
    Path(target).write_bytes(content)
    return found


def test_a_training_run_that_fails_leaves_settings_without_an_archive(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = module("class_archive")
    seen: list[Any] = []
    monkeypatch.setattr(tool, "_run", lambda command, env: seen.append(dump(env, b"half")) or 1)
    session.class_archive().write_bytes(b"older")
    assert tool.main(session.class_archive()) == 1
    assert not any("SharedArchiveFile" in word for word in seen[0])
    assert sorted(path.name for path in cache.iterdir()) == ["jars", "spark-conf"]
    assert not any("Shared" in word for word in words(cache / "spark-conf"))


def test_a_training_run_that_ends_well_leaves_the_archive(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = module("class_archive")
    monkeypatch.setattr(tool, "_run", lambda command, env: 0 * len(dump(env, b"whole")))
    assert tool.main(session.class_archive()) == 0
    assert session.class_archive().read_bytes() == b"whole"
    assert sorted(path.name for path in cache.iterdir()) == ["jars", "spark-classes.jsa", "spark-conf"]
    assert f"-XX:SharedArchiveFile={session.class_archive()}" in words(cache / "spark-conf")


def test_a_training_run_without_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    tool = module("class_archive")
    monkeypatch.setattr(tool, "LIMIT", 0.2)
    assert tool._run([sys.executable, "-c", "import time; time.sleep(60)"], dict(os.environ)) == 124


@pytest.fixture
def setup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The set-up of a machine that has everything but the archive; its Python only fails."""
    loaded = module("setup")
    folder, java = tmp_path / "cache", tmp_path / "java"
    (java / "lib" / "server").mkdir(parents=True)
    (java / "lib" / "server" / "libjvm.so").write_text("a JVM")
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    (tmp_path / "venv" / "bin" / "python").symlink_to("/bin/false")
    (tmp_path / "venv" / "crawlmill.stamp").write_text("packages")
    folder.mkdir()
    (folder / "java_home").write_text(str(java))
    (folder / "jars.stamp").write_text("jars")
    monkeypatch.setattr(loaded, "CACHE", folder)
    monkeypatch.setattr(loaded, "VENV", tmp_path / "venv")
    return loaded


def test_set_up_goes_on_without_an_archive_and_asks_for_it_once(setup: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    setup.take_classes()
    said = capsys.readouterr().out
    assert "no archive of classes could be made, so stages start more slowly" in said and "classes.log says why" in said
    setup.take_classes()
    assert capsys.readouterr().out == ""


def test_another_java_or_other_packages_make_the_archive_anew(setup: ModuleType) -> None:
    states = {setup.classes_state()}
    for path in (
        setup.VENV / "crawlmill.stamp",
        setup.CACHE / "jars.stamp",
        Path(setup.CACHE.parent / "java/lib/server/libjvm.so"),
    ):
        path.write_text("others")
        states.add(setup.classes_state())
    assert len(states) == 4 and all(len(state) == len(hashlib.sha256().hexdigest()) for state in states)


def test_uv_trusts_what_pip_does(setup: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle, empty = tmp_path / "bundle.pem", tmp_path / "empty"
    bundle.touch()
    empty.mkdir()
    for name in ("SSL_CERT_FILE", "PIP_CERT"):
        monkeypatch.delenv(name, raising=False)
    without = setup.ssl.get_default_verify_paths()._replace(cafile=None, capath=str(empty))
    monkeypatch.setattr(setup.ssl, "get_default_verify_paths", lambda: without)
    assert setup.certificates() == {}, "a machine without authorities: uv's own"
    monkeypatch.setattr(setup.ssl, "get_default_verify_paths", lambda: without._replace(cafile=str(bundle)))
    assert setup.certificates() == {"UV_SYSTEM_CERTS": "1"}
    monkeypatch.setenv("PIP_CERT", str(bundle))
    assert setup.certificates() == {"SSL_CERT_FILE": str(bundle)}
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    assert setup.certificates() == {}, "uv reads it itself"
