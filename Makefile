# Every target sets up what it needs. `make help` lists them.
SHELL := bash
.ONESHELL:
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3.11
unexport PYTHONDONTWRITEBYTECODE
# Spark, Airflow and Python workers all come from the environment that `make setup` made.
RUN = source infra/env.sh &&

.PHONY: help setup s3 demo up down test test-full style lint infra-check audit docs clean

help:  ## This list.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup:  ## Python environment, Delta jars, language model, Java; once.
	@command -v $(PYTHON) >/dev/null || { echo "setup: $(PYTHON) is not on PATH: install Python 3.11" >&2; exit 1; }
	@$(PYTHON) infra/setup.py

s3: setup  ## What Spark needs for a lake in a bucket (s3a://); once.
	@$(PYTHON) infra/object_storage.py

demo: setup  ## Sample crawl through the real Airflow, then the funnel.
	@$(RUN) crawlmill demo

up: setup  ## Start Airflow and leave it running.
	@$(RUN) crawlmill up

down:  ## Stop what `make up` or `make demo` started.
	@[ -x .venv/bin/crawlmill ] || { echo "nothing to stop: there is no .venv, so nothing of it can be running"; exit 0; }
	$(RUN) crawlmill down

# Workers begin with the groups that take longest, as tests/conftest.py orders them; xdist would begin with those of most tests.
PYTEST = python -m pytest -n 2 --dist loadgroup --no-loadscope-reorder

# Types and the drift of generated pages are tests, so that they share the two workers with the others.
test: style  ## Lint, types and all tests that are fast enough for every commit.
	@$(RUN) $(PYTEST) -m "not full"

test-full: style  ## All tests, the long ones too; infra/TEST-FULL.md is what they gave.
	@mkdir -p .crawlmill
	rc=0; $(RUN) $(PYTEST) --junitxml=.crawlmill/test-full.xml || rc=$$?
	$(RUN) python tests/results.py .crawlmill/test-full.xml
	exit $$rc

style: setup
	@$(RUN) ruff check . && ruff format --check -q .

lint: style  ## Lint, types, drift of generated pages.
	@$(RUN) mypy && python -m crawlmill.docs --check

infra-check: setup  ## Images, compose file and Kubernetes manifests, judged by their own tools.
	@$(RUN) infra/check.sh

audit: setup  ## Known weaknesses of what the lock file names, by the registry's advisories.
	@$(RUN) uv tool run --quiet pip-audit --requirement infra/requirements.lock --require-hashes --disable-pip

docs: setup  ## Write the generated pages.
	@$(RUN) python -m crawlmill.docs

clean: down  ## Remove the sample lake and Airflow's state, not the environment.
	@rm -rf .crawlmill
