"""Make the archive of classes that the JVM of a stage loads, and write the settings that use it. Called by `infra/setup.py`.

A JVM that starts a stage on little data spends most of its time on finding, parsing and verifying some twenty thousand classes. Class
data sharing maps them from a file instead. The file is made here, at the exit of a JVM that has run the stages once, on one crawl file.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from crawlmill import layout
from crawlmill.errors import CrawlmillError
from crawlmill.protocol import session

PYTHONS = ("PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON")  # whoever set up notebooks for PySpark has the second in the environment
LIMIT = 300.0  # seconds for the training run; an idle machine with two cores needs fewer than sixty


def main(target: Path) -> int:
    """Make the archive `target`, then `.cache/spark-conf`, which uses it. Returns 0, or the exit code of the training run where that failed."""
    target.unlink(missing_ok=True)
    draft = target.with_suffix(f".{os.getpid()}.part")
    with tempfile.TemporaryDirectory(prefix="crawlmill-classes-") as scratch:
        conf = session.write_conf_dir(Path(scratch) / "conf", f"-XX:ArchiveClassesAtExit={draft}", "-Xlog:cds*=off")
        code = _run(
            ["spark-submit", str(Path(__file__).resolve()), scratch],
            {**os.environ, "SPARK_CONF_DIR": str(conf), "SPARK_LOCAL_IP": "127.0.0.1", **dict.fromkeys(PYTHONS, sys.executable)},
        )
    if code == 0 and draft.is_file():
        draft.replace(target)
    draft.unlink(missing_ok=True)
    session.write_conf_dir(layout.cache_dir() / "spark-conf")
    return 0 if target.is_file() else code or 1


def _run(command: list[str], env: dict[str, str]) -> int:
    """Run a command in a process group of its own, and end the whole group where it takes too long."""
    with subprocess.Popen(command, env=env, start_new_session=True) as child:
        try:
            return child.wait(LIMIT)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            print(f"the training run took more than {LIMIT:.0f} s", flush=True)
            return 124


def train(folder: Path) -> None:
    """The stages once, in this session, on a crawl file of the sample: below spark-submit, whose JVM writes the archive when it ends.

    `publish` only begins: one file alone covers too little of the sample for its expectation, and a person would have to answer. What the
    others load serves it too; a run on all files would cost every set-up more than its submits gain.
    """
    from crawlmill import sample_crawl
    from crawlmill.protocol import local_run
    from crawlmill.protocol.stage import Job
    from crawlmill.recipes import recipe

    sample_crawl.write(folder / "sample")
    (folder / "recipe.yaml").write_text("extends: default\nextract: {files: 1}\n")
    job = Job(str(folder / "lake"), recipe.load(folder / "recipe.yaml"), str(folder / "sample"), "CC-MAIN-2026-43")
    try:
        local_run.run(job)
    except CrawlmillError as error:  # publish asks for an answer; what was loaded until then is worth an archive
        print(f"the training run ended early: {error}", flush=True)


if __name__ == "__main__":
    if "PYSPARK_GATEWAY_PORT" in os.environ:
        train(Path(sys.argv[1]))
    else:
        sys.exit(main(session.class_archive()))
