"""Before anything is written to a lake in a bucket: does Spark commit by conditional PUT, and does the bucket keep the condition?

Delta's own log stores for S3 lose commits of two drivers without an error, and no setting of theirs changes that. So `s3a://` is written to only with
`crawlmill.ConditionalPutLogStore` (source: `infra/log-store`), and only after it was seen to refuse a second commit of one version.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from crawlmill.errors import UserError
from crawlmill.storage import bucket, lake_files

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SETTING = "spark.delta.logStore.s3a.impl"
CLASS = bucket.spark_settings()[SETTING]
_passed: set[str] = set()  # applications and lakes


def require(spark: SparkSession, lake: str) -> None:
    """Raise UserError unless this session may write to the lake. A folder needs nothing; a bucket is tried once a session."""
    application = f"{spark.sparkContext.applicationId} {lake}"
    if not lake_files.is_bucket(lake) or application in _passed:
        return
    if (found := spark.sparkContext.getConf().get(SETTING)) != CLASS:
        raise UserError(
            f"Spark would write to {lake} with log store {found or 'of Delta'}, which loses commits: set {SETTING} to {CLASS}"
        )
    bucket.probe(lake)
    _try(spark, lake)
    _passed.add(application)


def _try(spark: SparkSession, lake: str) -> None:
    """Commit one version twice, as Delta would."""
    from py4j.protocol import Py4JJavaError

    jvm = spark._jvm
    assert jvm is not None
    conf = spark.sparkContext._jsc.hadoopConfiguration()
    folder = f"_control/probe/{uuid.uuid4()}"
    path = jvm.org.apache.hadoop.fs.Path(f"{lake}/{folder}/0.json")
    lines = jvm.java.util.Collections.singletonList
    try:
        store = jvm.crawlmill.ConditionalPutLogStore(conf)
    except TypeError:
        raise UserError(f"the jar of {CLASS} is not on Spark's class path: run `make s3`, or add it to spark.jars") from None
    try:
        store.write(path, lines("first").iterator(), False, conf)
        try:
            store.write(path, lines("second").iterator(), False, conf)
        except Py4JJavaError as refused:
            if "FileAlreadyExistsException" in str(refused.java_exception.getClass().getName()):
                return
            raise
        raise UserError(
            f"a second commit replaced the first in {lake}: fs.s3a.create.conditional.enabled must be true, and the server must keep conditions"
        )
    except Py4JJavaError as error:
        said = str(error.java_exception.getMessage()).splitlines()[0][:300]
        raise UserError(f"Spark cannot write to {lake} ({said}): check AWS_ENDPOINT_URL, AWS_REGION and the keys") from None
    finally:
        bucket.remove(lake, folder)
