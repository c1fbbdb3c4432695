# Everything a newcomer or a CI machine needs. `make` alone prints this file's targets.
# A machine needs python3 (3.11 or newer, with venv and pip), git and make; `talkmesh doctor` names the rest.

PYTHON ?= python3
UV_VERSION := 0.13.9
BIN := .venv/bin
NEWEST := work/newest
RESOLVE := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate \
	--python-version 3.11 --all-extras pyproject.toml
# the stages' `python` in dvc.yaml is the one of .venv, activated or not
export PATH := $(CURDIR)/$(BIN):$(PATH)
export UV_HTTP_TIMEOUT ?= 300
export DVC_NO_ANALYTICS ?= 1
export DO_NOT_TRACK ?= 1

.DEFAULT_GOAL := help
.PHONY: help setup demo pictures test test-all fuzz lint docs flow ablate serve mlflow prefect lock newest audit clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/.stamp ## .venv with the locked packages, the face landmark model, the MLflow database

.venv/.stamp: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "talkmesh needs Python 3.11 or newer: make setup PYTHON=/path/to/python3"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || \
		{ rm -rf .venv; echo "python3 cannot make environments here: apt install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@echo "installing the locked packages: 5 GB, a minute or more"
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	$(BIN)/talkmesh models
	$(BIN)/python -c 'from talkmesh import tracking; tracking.prepare()'
	@touch $@

demo: setup ## the whole chain: a speaker made on the spot, training, scores, a report to look at
	$(BIN)/talkmesh doctor
	$(BIN)/talkmesh sample
	$(BIN)/python -m dvc repro
	@$(BIN)/talkmesh scores

pictures: setup ## the pictures of the README, from a finished make demo
	$(BIN)/python docs/pictures.py

test: setup lint ## what CI runs: ruff, mypy, every test but the slow ones, the whole DAG on tiny video too
	$(BIN)/python -m pytest -m "not slow"

test-all: setup lint ## the slow tests too: whole heads, kept packages, the corpora in TALKMESH_SHARED
	$(BIN)/python -m pytest

fuzz: setup ## COUNT damaged and hostile files (10000) through every loader; failures are kept in work/fuzz
	$(BIN)/python -m benchmarks.fuzz --count $(or $(COUNT),10000)

lint: setup ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: setup ## these pages as a site, in site/
	$(BIN)/python -m mkdocs build --strict

flow: setup ## run the stale stages once under Prefect, side by side where the DAG allows it
	$(BIN)/python -m flows.pipeline

ablate: setup ## run the ablations that params.yaml names, and compare them
	$(BIN)/python -m flows.ablate

serve: setup ## Prefect's server and the schedules of params.yaml, http://127.0.0.1:4200
	$(BIN)/python -m flows.serve

mlflow: setup ## MLflow's pages on this project's runs, http://127.0.0.1:5000
	$(BIN)/python -m talkmesh.tracking

prefect: setup ## Prefect's pages alone, http://127.0.0.1:4200
	$(BIN)/prefect server start

lock: ## resolve the versions of pyproject.toml again into requirements.lock
	$(RESOLVE) --output-file requirements.lock

newest: setup ## the newest versions that pyproject.toml allows: what differs from the lock, and the tests with them
	@mkdir -p $(NEWEST)
	$(RESOLVE) --upgrade --output-file $(NEWEST)/requirements.lock
	@grep -o '^[a-z0-9._-]*==[^ ]*' requirements.lock | sort -u >$(NEWEST)/locked
	@grep -o '^[a-z0-9._-]*==[^ ]*' $(NEWEST)/requirements.lock | sort -u | diff $(NEWEST)/locked - || true
	$(PYTHON) -m venv --clear $(NEWEST)/.venv
	$(BIN)/uv pip install --quiet --python $(NEWEST)/.venv/bin/python -r $(NEWEST)/requirements.lock
	$(BIN)/uv pip install --quiet --python $(NEWEST)/.venv/bin/python --no-deps --no-build-isolation --editable .
	PATH="$(CURDIR)/$(NEWEST)/.venv/bin:$$PATH" $(NEWEST)/.venv/bin/python -m pytest -m "not slow"

audit: setup ## known vulnerabilities of the locked packages; asks PyPI
	$(BIN)/uv tool run pip-audit --disable-pip --require-hashes --requirement requirements.lock

clean: ## remove results and previews; recordings, DVC's cache, work/ and .venv stay
	rm -rf predictions reports models data/clips data/crops data/poses data/renders
