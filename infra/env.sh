# Sourced by the Makefile and by hand (`source infra/env.sh`): the environment of every crawlmill command.
_home="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
export PATH="$_home/.venv/bin:$PATH"
[ -f "$_home/.cache/java_home" ] && JAVA_HOME="$(cat "$_home/.cache/java_home")" && export JAVA_HOME
export PYSPARK_PYTHON="$_home/.venv/bin/python" PYSPARK_DRIVER_PYTHON="$_home/.venv/bin/python"
# Set-up wrote Spark's settings there, with Delta: `spark-submit jobs/gate.py` works by hand. Your own SPARK_CONF_DIR stays.
[ -z "${SPARK_CONF_DIR:-}" ] && [ -d "$_home/.cache/spark-conf" ] && export SPARK_CONF_DIR="$_home/.cache/spark-conf"
unset PYTHONDONTWRITEBYTECODE _home
