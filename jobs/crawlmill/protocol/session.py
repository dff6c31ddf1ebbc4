"""The one place where a SparkSession is built and where Spark's settings are written down."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from crawlmill import layout
from crawlmill.errors import UserError
from crawlmill.storage import bucket, lake_files

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

LOG4J = """rootLogger.level = warn
rootLogger.appenderRef.stderr.ref = stderr
appender.stderr.type = Console
appender.stderr.name = stderr
appender.stderr.target = SYSTEM_ERR
appender.stderr.layout.type = PatternLayout
appender.stderr.layout.pattern = %d{HH:mm:ss} %p %c{1}: %m%n%ex
logger.native.name = org.apache.hadoop.util.NativeCodeLoader
logger.native.level = error
logger.plans.name = org.apache.spark.sql.catalyst.util.SparkStringUtils
logger.plans.level = error
logger.checkpoint.name = org.apache.spark.rdd.MapPartitionsRDD
logger.checkpoint.level = error
logger.cached.name = org.apache.spark.sql.execution.CacheManager
logger.cached.level = error
logger.refused.name = org.apache.hadoop.fs.s3a.S3ABlockOutputStream
logger.refused.level = error
logger.pending.name = org.apache.hadoop.fs.s3a.S3AInstrumentation
logger.pending.level = error
"""


# A stage's JVM lives for seconds to minutes: the quick compiler and the serial collector start fastest. With that compiler alone
# the JVM reserves 48 MB for code, which Spark fills in minutes; then it sweeps for ever.
START_FAST = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:ReservedCodeCacheSize=256m"
ARGUMENTS = "driver.args"  # in the folder of spark-defaults.conf: the driver JVM's class path and class archive


SMALL = 32 << 20  # bytes of a stage's input up to which generating and compiling code for its queries costs more than it wins
COMPILED = {
    "spark.sql.adaptive.enabled": "true",
    "spark.sql.codegen.wholeStage": "true",
    "spark.sql.codegen.factoryMode": "FALLBACK",
    "spark.sql.ui.explainMode": "formatted",
}
INTERPRETED = {
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.ui.explainMode": "simple",  # the text of every plan is made, shown or not
}


def settings(directory: Path) -> dict[str, str]:
    """Spark's settings for one machine; a cluster has master, memory, partitions and Delta's jars in its own spark-defaults.conf.

    Args:
        directory: where `write_conf_dir` wrote the driver's arguments.
    """
    return {
        "spark.master": "local[2,4]",  # local[N] never retries a failed task, local[N,4] does
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        # Delta replays its log with 50 tasks by default: seconds a commit on small tables.
        "spark.databricks.delta.snapshotPartitions": "2",
        "spark.sql.shuffle.partitions": "4",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.sources.parallelPartitionDiscovery.parallelism": "4",
        # Web pages are wide: cap an Arrow batch by bytes, not by its 10,000 rows.
        "spark.sql.execution.arrow.maxBytesPerBatch": str(4 << 20),
        "spark.sql.parquet.compression.codec": "zstd",
        "spark.driver.memory": "2g",
        "spark.driver.extraJavaOptions": f'{START_FAST} "@{directory / ARGUMENTS}"',
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.sql.debug.maxToStringFields": "200",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.warehouse.dir": str(layout.home() / ".crawlmill" / "warehouse"),
    }


def driver_arguments(directory: Path, *options: str) -> str:
    """The content of a Java argument file: class path and log of the driver's JVM, and further options.

    Spark's own class path has a folder with files in it and a jar twice, neither of which class data sharing allows, and leaves the
    order of its jars to the file system. The last `-cp` of a command line counts, so this one replaces it.
    """
    spark_jars = sorted(spark_home().glob("jars/*.jar"), key=lambda jar: (not jar.name.startswith("slf4j-api-"), jar.name))
    jars = [str(jar.absolute()) for jar in (*spark_jars, *layout.jars())]
    words = ["-cp", os.pathsep.join(jars), f"-Dlog4j2.configurationFile={(directory / 'log4j2.properties').as_uri()}", *options]
    return "".join(f"{_quoted(word)}\n" for word in words)


def _quoted(word: str) -> str:
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


def spark_home() -> Path:
    """The folder of the Spark that the pyspark package carries."""
    spec = importlib.util.find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise UserError("pyspark is not installed in this Python: run `make setup`")
    return Path(spec.origin).parent


def class_archive() -> Path:
    """Where set-up puts the JVM's archive of loaded classes (`infra/class_archive.py`)."""
    return (layout.cache_dir() / "spark-classes.jsa").absolute()


def sharing(archive: Path) -> tuple[str, ...]:
    """JVM options that use an archive. A JVM whose build or jars are not those that made it silently does without."""
    return (f"-XX:SharedArchiveFile={archive}", "-Xshare:auto", "-Xlog:cds*=off") if archive.is_file() else ()


def write_conf_dir(directory: Path, *options: str) -> Path:
    """Write a SPARK_CONF_DIR: `spark-defaults.conf`, a quiet `log4j2.properties` and the driver's arguments. Returns the folder.

    Args:
        directory: may be in use by another process; a file is replaced whole, and only if it changes.
        options: of the driver's JVM, in place of those that share loaded classes.
    """
    directory = directory.absolute()
    directory.mkdir(parents=True, exist_ok=True)
    _write(directory / "log4j2.properties", LOG4J)
    _write(directory / ARGUMENTS, driver_arguments(directory, *(options or sharing(class_archive()))))
    _write(directory / "spark-defaults.conf", "".join(f"{k} {v}\n" for k, v in settings(directory).items()))
    return directory


def _write(path: Path, content: str) -> None:
    """Write a file that another process may be reading, if it differs."""
    if path.is_file() and path.read_text() == content:
        return
    draft = path.with_name(f"{path.name}.{os.getpid()}.part")
    draft.write_text(content)
    draft.replace(path)


def suit(spark: SparkSession, size: int) -> None:
    """Have the session's queries interpreted where a stage's input is small, compiled where it is not. Rows are the same.

    Args:
        spark: the session; what it was set to before does not count.
        size: bytes of the input's data files.
    """
    for name, value in (INTERPRETED if size <= SMALL else COMPILED).items():
        spark.conf.set(name, value)


def build(app: str, lake: str = "") -> SparkSession:
    """A session with Delta, and with what a lake in a bucket needs. Below spark-submit its settings hold; in a plain Python process ours do."""
    from pyspark.sql import SparkSession

    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("PYSPARK_DRIVER_PYTHON", sys.executable)
    builder = SparkSession.builder.appName(app)
    if "PYSPARK_GATEWAY_PORT" not in os.environ:  # not below spark-submit
        own = write_conf_dir(layout.home() / ".crawlmill" / "spark-conf")
        os.environ.setdefault("SPARK_CONF_DIR", str(own))
        for name, value in settings(own).items():
            builder = builder.config(name, value)
    for name, value in (bucket.spark_settings() if lake_files.is_bucket(lake) else {}).items():
        builder = builder.config(name, value)
    session: SparkSession = builder.getOrCreate()
    session.sparkContext.setLogLevel("WARN")
    if "PYSPARK_GATEWAY_PORT" in os.environ:  # for the task's link to it, see `orchestrate/submit.py`
        print(
            f"Spark application {session.sparkContext.applicationId} {session.sparkContext.uiWebUrl or ''}".rstrip(), flush=True
        )
    return session
