# Everything a newcomer or a CI machine needs. `make` alone prints this file's targets.
# A machine needs python3 (3.11 or newer, with venv and pip), git and make; `talkmesh doctor` names the rest.

PYTHON ?= python3
UV_VERSION := 0.13.9
BIN := .venv/bin
# the stages' `python` in dvc.yaml is the one of .venv, activated or not
export PATH := $(CURDIR)/$(BIN):$(PATH)
export UV_HTTP_TIMEOUT ?= 300
export DVC_NO_ANALYTICS ?= 1
export DO_NOT_TRACK ?= 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all fuzz lint flow ablate serve mlflow prefect lock clean

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
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate \
		--python-version 3.11 --all-extras pyproject.toml --output-file requirements.lock

clean: ## remove results and previews; recordings, DVC's cache, work/ and .venv stay
	rm -rf predictions reports models data/clips data/crops data/poses data/renders
