# Two commands do all the set-up: make demo, make test.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test lint check fix docs bench bench-objectives migration clean

demo: $(VENV)/.train
	$(BIN)/samespace demo --again
	@echo "To run samespace yourself, first, in this folder:  . $(BIN)/activate"

# a process for each core, each with one thread: tests are many and small
test: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/cog --check docs/reference/cli.md

check: lint test

fix: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/.dev
	$(BIN)/cog -r docs/reference/cli.md

bench: $(VENV)/.dev
	$(BIN)/python benchmarks/promote.py
	$(BIN)/python benchmarks/search.py
	$(BIN)/python benchmarks/search.py --n 1000
	$(BIN)/python benchmarks/ranking.py
	$(BIN)/python -m benchmarks.false_certification
	$(BIN)/python -m benchmarks.recalibrated_thresholds

# hours on two cores; make bench-objectives DATA=../shared/data/images
DATA ?= ../shared/data/images
bench-objectives: $(VENV)/.dev
	$(BIN)/python -m benchmarks.step_time
	$(BIN)/python -m benchmarks.cifar100 --data $(DATA)
	$(BIN)/python -m benchmarks.cifar100_chain --data $(DATA) --protocol steps
	$(BIN)/python -m benchmarks.cifar100_chain --data $(DATA) --protocol replacement
	$(BIN)/python -m benchmarks.cifar100_chain --data $(DATA) --protocol architectures
	$(BIN)/python -m benchmarks.beyond

# make migration m="what changes"
migration: $(VENV)/.dev
	$(BIN)/python tools/make_migration.py "$(m)"

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.train: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(INSTALL) -e ".[train]"
	touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(INSTALL) -e ".[dev]"
	touch $@ $(VENV)/.train

clean:
	rm -rf $(VENV) samespace-demo build dist
