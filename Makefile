.PHONY: setup programs demo test test-long gates
.DEFAULT_GOAL := setup

export PYTHON

setup:
	@tools/setup.sh

demo: setup
	@.venv/bin/screenalyzer demo --data-root data

programs:
	@tools/programs.sh

test: setup programs
	@.venv/bin/python -m pytest

test-long: setup programs
	@.venv/bin/python -m pytest -m long

gates: setup
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports
	@.venv/bin/python tools/sizes.py
	@.venv/bin/python tools/settings_doc.py --check
