#!/usr/bin/env bash
# What a container of the Spark image runs: a master, a worker, or what Spark on Kubernetes asks of an image (`driver …`, `executor`).
# The variables SPARK_* of the last two are those that Spark's Kubernetes back end sets in its pods.
set -euo pipefail

deploy=org.apache.spark.deploy
role=${1:-}
[ $# -gt 0 ] && shift

case $role in
  master)
    exec "$SPARK_HOME/bin/spark-class" $deploy.master.Master --host "${SPARK_LOCAL_IP:-0.0.0.0}" --port 7077 --webui-port 8080 "$@" ;;
  worker) # worker spark://master:7077 --cores N --memory Ng
    exec "$SPARK_HOME/bin/spark-class" $deploy.worker.Worker --webui-port 8081 --work-dir "${SPARK_WORKER_DIR:-/tmp/work}" "$@" ;;
  history)
    exec "$SPARK_HOME/bin/spark-class" $deploy.history.HistoryServer "$@" ;;
  driver)
    exec "$SPARK_HOME/bin/spark-submit" --conf "spark.driver.bindAddress=$SPARK_DRIVER_BIND_ADDRESS" --deploy-mode client "$@" ;;
  executor)
    mapfile -t options < <(env | sort -t= -k1.18n | sed -n 's/^SPARK_JAVA_OPT_[0-9]*=//p')
    exec "$JAVA_HOME/bin/java" "${options[@]}" -Xms"$SPARK_EXECUTOR_MEMORY" -Xmx"$SPARK_EXECUTOR_MEMORY" \
      -cp "${SPARK_EXTRA_CLASSPATH:+$SPARK_EXTRA_CLASSPATH:}$SPARK_HOME/jars/*" \
      org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend \
      --driver-url "$SPARK_DRIVER_URL" --executor-id "$SPARK_EXECUTOR_ID" --cores "$SPARK_EXECUTOR_CORES" --app-id "$SPARK_APPLICATION_ID" \
      --hostname "$SPARK_EXECUTOR_POD_IP" --resourceProfileId "$SPARK_RESOURCE_PROFILE_ID" --podName "$SPARK_EXECUTOR_POD_NAME" ;;
  *)
    echo "spark.sh: give master, worker URL, history, or what Spark on Kubernetes gives; not '$role'" >&2
    exit 2 ;;
esac
