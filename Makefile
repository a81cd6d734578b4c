# Shortcuts for people with make; scripts/start.sh holds the set-up itself. PYTHON=python3.12 picks the interpreter.
.DEFAULT_GOAL := help
export PYTHON ?= python3
BIN := .venv/bin
.PHONY: help venv demo test slow lint format

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*## /make \1\t/p' $(MAKEFILE_LIST) | expand -t 14

venv:  ## set up .venv with the development tools
	bash scripts/start.sh setup

demo:  ## set up, then learn five permuted-digit tasks
	bash scripts/start.sh demo

test:  ## set up, then run the quick tests
	bash scripts/start.sh test

slow: venv  ## the longer tests
	$(BIN)/python -m pytest -m slow

lint: venv  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: venv  ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
