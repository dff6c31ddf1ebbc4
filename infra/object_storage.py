"""What Spark needs for a lake in a bucket: Hadoop's S3 client with the few parts of Amazon's SDK that it uses, and our log store.

`make s3` puts them into `.cache/s3-jars`; neither the demo nor `make test` needs them. The client comes without Amazon's bundle of all services
(660 MB): 16 MB are enough. The log store is compiled by Eclipse's compiler, which is a jar and needs no JDK. Every jar is checked against `s3-jars.lock`.
Standard library only.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import setup

SDK = "software.amazon.awssdk"
COMPILER = "org.eclipse.jdt_ecj-3.40.0.jar"
PACKAGES = (
    "org.apache.hadoop:hadoop-aws:3.5.0",  # of the Hadoop that pyspark 4.2.0 carries
    *(f"{SDK}:{part}:2.35.4" for part in ("s3", "sts", "s3-transfer-manager", "apache-client", "netty-nio-client")),
    "org.eclipse.jdt:ecj:3.40.0",
)
# Spark brings these itself, mostly newer; the first is the bundle of all services.
LEFT_OUT = (f"{SDK}:bundle", "org.slf4j:slf4j-api", "commons-logging:commons-logging", "commons-codec:commons-codec")
LOCK = setup.HERE / "s3-jars.lock"
SOURCE = setup.HERE / "log-store"
TARGET = setup.CACHE / "s3-jars"
LOG_STORE = "crawlmill-log-store.jar"


def locked() -> dict[str, str]:
    """The name of each jar with its sha256."""
    lines = (line.split() for line in LOCK.read_text().splitlines())
    return {name: digest for digest, name in lines}


def state() -> str:
    """What tells whether the jars there are those that this code would make."""
    sources = sorted(SOURCE.rglob("*.java"))
    parts = [LOCK.read_text(), *(path.read_text() for path in sources)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def take(target: Path = TARGET) -> None:
    """Put the jars into a folder; nothing is done where they are there already."""
    stamp = target / "stamp"
    if stamp.is_file() and stamp.read_text() == state():
        return
    setup.say("taking Hadoop's S3 client and building the log store (20 MB, half a minute)")
    with tempfile.TemporaryDirectory() as scratch:
        resolve(Path(scratch))
        target.mkdir(parents=True, exist_ok=True)
        for old in target.glob("*"):
            old.unlink()
        for name, digest in locked().items():
            jar = Path(scratch) / "ivy" / "jars" / name
            if not jar.is_file() or setup.sha256(jar) != digest:
                setup.stop(f"{name} is not the file that infra/s3-jars.lock pins: the registry served something else")
            if name != COMPILER:
                jar.replace(target / name) if jar.stat().st_dev == target.stat().st_dev else (target / name).write_bytes(
                    jar.read_bytes()
                )
        build(Path(scratch) / "ivy" / "jars" / COMPILER, Path(scratch) / "classes", target / LOG_STORE)
    stamp.write_text(state())


def resolve(scratch: Path) -> None:
    """The packages with what they need, by Spark's own resolver."""
    nothing = scratch / "nothing.py"
    nothing.write_text("")
    java = (setup.CACHE / "java_home").read_text()
    setup.call(
        setup.VENV / "bin" / "spark-submit", "--master", "local[1]", "--conf", f"spark.jars.ivy={scratch}/ivy",
        "--packages", ",".join(PACKAGES), "--exclude-packages", ",".join(LEFT_OUT), nothing,
        JAVA_HOME=java, SPARK_LOCAL_IP="127.0.0.1", PATH=f"{setup.VENV / 'bin'}:{os.environ['PATH']}", **setup.trust(java, str(scratch)),
    )  # fmt: skip


def build(compiler: Path, classes: Path, jar: Path) -> None:
    """Compile the log store into a jar; the same sources give the same bytes."""
    spark = next((setup.VENV / "lib").glob("python3*/site-packages/pyspark/jars"))
    paths = [
        *spark.glob("hadoop-client-api-*.jar"),
        *spark.glob("jackson-*.jar"),
        *(setup.CACHE / "jars").glob("io.delta_delta-storage-*.jar"),
    ]
    java = Path((setup.CACHE / "java_home").read_text()) / "bin" / "java"
    command = [java, "-jar", compiler, "-17", "-proc:none", "-cp", os.pathsep.join(map(str, paths)), "-d", classes, SOURCE]
    done = subprocess.run(
        [str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        setup.stop(f"the log store cannot be compiled:\n{done.stdout[-3000:]}")
    with zipfile.ZipFile(jar, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(classes.rglob("*.class")):
            archive.writestr(zipfile.ZipInfo(path.relative_to(classes).as_posix()), path.read_bytes())


def write_settings() -> None:
    """Spark's settings anew, with these jars on the driver's class path."""
    setup.call(setup.VENV / "bin" / "python", "-c",
               "from crawlmill import layout; from crawlmill.protocol import session; session.write_conf_dir(layout.cache_dir() / 'spark-conf')",
               CRAWLMILL_HOME=str(setup.HOME), CRAWLMILL_CACHE=str(setup.CACHE))  # fmt: skip


if __name__ == "__main__":
    if len(sys.argv) > 1:  # an image's own folder of jars
        take(Path(sys.argv[1]))
    else:
        take()
        if (setup.CACHE / "spark-conf").is_dir():
            write_settings()
