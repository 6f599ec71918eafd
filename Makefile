# Everything happens in .venv; each target sets up what it needs.
PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --progress-bar off
# tests/conftest.py says what a worker runs, and in which order.
PYTEST := $(BIN)/python -m pytest -q
export JUPYTER_PREFER_ENV_PATH = 1
# Each of hundreds of kernels would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: lab demo format check lint types unit test test-all docs bench bench-peers security-table usage-table screenshots hosted-demo constraints clean

# Open JupyterLab on the quickstart. In a container, where one is root, Jupyter wants to be told that this is meant.
LAB_OPTIONS ?= $(if $(filter 0,$(shell id -u)),--allow-root)
lab: .venv/ready
	$(BIN)/jupyter lab $(LAB_OPTIONS) --LabApp.default_url=/lab/tree/notebooks/quickstart.ipynb

# The quickstart without a browser: prints every answer, leaves the executed notebook and an HTML page.
demo: .venv/ready
	$(BIN)/python notebooks/demo.py

# Imports in order, and the code as ruff writes it.
format: .venv/ready-test
	$(BIN)/ruff check --select I --fix .
	$(BIN)/ruff format .

check: lint types

lint: .venv/ready-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/ready-test
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

# What to run while one works: about a minute.
unit: check
	$(PYTEST) -n 2 tests/unit

# Every check and every test. Kernels, servers and pages often wait: three at a time keep two cores busy. What
# takes a minute of the checks runs beside them, and is shown behind.
test: lint
	@log=$$(mktemp); $(MAKE) --no-print-directory types >$$log 2>&1 & types=$$!; failed=0; \
	$(MAKE) --no-print-directory .venv/compiled; \
	$(PYTEST) -n 3 || failed=1; \
	node --test tests/js/ || failed=1; \
	wait $$types || failed=1; \
	cat $$log; rm $$log; exit $$failed

# And what takes too long for every run: with the oldest and the newest of what we depend on, say.
test-all: test docs
	$(PYTEST) -m slow

# The reference of the API, from the docstrings, and docs/: as a site in build/site.
docs: .venv/ready-docs
	$(BIN)/mkdocs build --strict --quiet
	@echo "build/site/index.html"

# The README's figures, as one table, in about ten minutes: ONLY=cells has one bench of it, UPDATE=1 writes it into
# the README. Syncs of the disk are counted by strace, and the table says so where it is missing.
bench: .venv/ready-test
	$(BIN)/python tests/bench $(if $(ONLY),--only $(ONLY)) $(if $(UPDATE),--update)

# The same beside other packages, each in an environment of its own in build/peers.
bench-peers: .venv/ready-test
	$(BIN)/python tests/bench --peers $(if $(UPDATE),--update)

# How busy texts of all kinds keep a page: the table of docs/security.md.
security-table: .venv/ready-test
	$(BIN)/python tests/bench/bench_busy.py

# What servers tell of tokens and money, and what the meter makes of it: the table of docs/usage.md.
usage-table: .venv/ready-test
	$(BIN)/python tests/bench/usage_table.py

# Pictures of what a cell shows, in docs/screenshots.
screenshots: .venv/ready-test
	$(BIN)/python tests/browser/screenshots.py

# HostedAgent by hand and offline: a stand-in for Anthropic's server that answers by the embedded model.
hosted-demo: .venv/ready-test
	$(BIN)/python tests/servers/hosted_demo.py

# The versions that the tests and docs are made with: the newest that the oldest Python we support can have.
constraints: .venv/ready-test
	$(BIN)/uv pip compile -q --upgrade --no-header --no-annotate --python-version 3.11.0 --all-extras pyproject.toml -o constraints.txt

.venv/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "praison_nb needs Python 3.11 or newer: make PYTHON=python3.11 …"; exit 1; }
	$(PYTHON) -m venv .venv
	touch $@

# JupyterLab's extension is copied when the package is installed.
EXTENSION := $(wildcard praison_nb/notebook/labextension/* praison_nb/notebook/labextension/*/*)

# To try it out, whatever fits, by pip alone; for tests, the versions in constraints.txt.
.venv/ready: .venv/python pyproject.toml $(EXTENSION)
	$(INSTALL) -e '.[local,lab]'
	touch $@

.venv/ready-test: .venv/python pyproject.toml constraints.txt
	.ci/install $(BIN)/python -c constraints.txt -e '.[local,lab,analysis,test]'
	touch .venv/ready $@

# What the tests import, and they themselves, compiled once: workers and kernels that import at the same time would
# each do it, and to compile whatever is installed takes three times as long.
.venv/compiled: .venv/ready-test
	@$(PYTEST) --collect-only >/dev/null && $(BIN)/python -c 'import jupyterlab.labapp, notebook.app' && touch $@

.venv/ready-docs: .venv/ready-test
	$(INSTALL) -c constraints.txt -e '.[docs]'
	touch $@

# All that was made here. What praison_nb keeps elsewhere (README, "Where files are") stays.
clean:
	rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find . \( -name __pycache__ -o -name .ipynb_checkpoints \) -prune -exec rm -rf {} +
