# The two commands of a fresh machine are `make demo` and `make test`; each sets up what it needs.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# make PYTHON=/path/to/python3.12 ... says which Python .venv is made with, else one of the PATH is.
# More arguments for pytest or the bench, e.g. make test ARGS="-k rollback".
ARGS ?=
# How many tests run at once: those on the engine mostly wait for it.
JOBS ?= 4
# How many steps of each verb `make kill` kills it at.
KILLS ?= 40

# Which soak it is; none means another one each time.
SEED ?=

checked := src tests compose/demo/demo.py compose/demo/project.py $(wildcard bench/*.py)

# How long each target is fuzzed, and which (all of them).
MINUTES ?= 1
TARGETS ?=

.PHONY: help setup demo test kill soak lint fuzz bench lock-requirements lock-demo clean

help: ## say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-18s %s\n", $$1, $$2 }' Makefile

setup: ## make .venv, and see to it that a Docker Engine and Compose answer
	@.ci/python-environment
	@.ci/engine
	@.ci/compose-plugin

demo: setup ## run the main job on a real compose project
	@PYTHON_IMAGE="$$(.ci/base-image demo)"; export PYTHON_IMAGE; .venv/bin/python compose/demo/demo.py

test: setup ## run every test, also those that need the engine
	@.ci/test-tools
	@.ci/base-image tests
	.venv/bin/python -m pytest --numprocesses $(JOBS) $(ARGS)

kill: setup ## kill each verb at KILLS of its steps (or all) and at random times, and take its power away
	@.ci/test-tools
	@.ci/base-image tests
	VENVCTL_KILLS=$(KILLS) .venv/bin/python -m pytest --numprocesses $(JOBS) $(ARGS) \
		tests/faults/test_row_01.py tests/faults/test_row_02.py

# How long it lasts, unless MINUTES=5 or so is said.
soak: MINUTES = 60
soak: setup ## have a daemon live through random saves, crashes and an engine that goes (MINUTES=60 SEED=1)
	@.ci/base-image tests
	SOAK_MINUTES="$(MINUTES)" SOAK_SEED="$(SEED)" .venv/bin/python -m pytest -s tests/engine/soak $(ARGS)

lint: ## check form, style and types
	@.ci/python-environment
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy $(checked)

fuzz: setup ## feed rubbish to whatever reads foreign bytes, e.g. MINUTES=8 TARGETS="wheel archive"
	.venv/bin/uv pip install --quiet --python .venv/bin/python --require-hashes -r .ci/fuzz-requirements.txt
	.venv/bin/python tests/fuzz/run.py --minutes $(MINUTES) --jobs $(JOBS) --work build/fuzz $(TARGETS)

bench: setup ## measure venvctl beside its peers
	@.ci/base-image tests
	.venv/bin/python bench $(ARGS)

# Resolved for every platform and for each Python from 3.11 on; no index is named in them.
compile = UV_CUSTOM_COMPILE_COMMAND="make $@" .venv/bin/uv pip compile --quiet --universal \
	--python-version 3.11 --generate-hashes --no-emit-index-url

lock-requirements: ## pin anew what venvctl is developed with
	@.ci/python-environment
	$(compile) --upgrade pyproject.toml .ci/requirements.in --output-file .ci/requirements.txt
	$(compile) --upgrade .ci/fuzz-requirements.in --output-file .ci/fuzz-requirements.txt

lock-demo: ## pin anew what the demo's application imports, in its two versions
	@.ci/python-environment
	$(compile) --upgrade compose/demo/requirements.in --output-file compose/demo/requirements.update.lock
	$(compile) --upgrade compose/demo/requirements.in --constraint compose/demo/older.txt \
		--output-file compose/demo/requirements.lock

clean: ## remove what was made here (never an engine, image or volume)
	rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
