# make lab    set up if needed, then open JupyterLab at lesson 00
# make test   set up if needed, then run every test: units, exercises, every notebook
# Both need Python 3.11-3.13 and nothing else. PYTHON=python3.12 names another Python,
# LABS_TORCH=cpu installs PyTorch without CUDA (Linux), ARGS="..." is passed on.

# an environment that is there keeps its Python
PYTHON ?= $(firstword $(wildcard .venv/bin/python) python3)
BIN := .venv/bin
ARGS ?=
# two workers of one thread, or one worker of several
WORKERS ?= $(if $(filter-out 1,$(OMP_NUM_THREADS)),1,2)

.PHONY: env lab test notebooks mutants slides lint lock benchmarks
.DEFAULT_GOAL := lab

env:
	@$(PYTHON) bootstrap.py

lab: env
	@$(BIN)/labs lab $(ARGS)

test: env
	@OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/python -m pytest -n $(WORKERS) tests notebooks $(ARGS)

notebooks: env
	@OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/python -m pytest -n $(WORKERS) notebooks $(ARGS)

mutants: env
	@$(BIN)/python tests/mutants/run.py $(ARGS)

slides: env
	@$(BIN)/python slides/build.py $(ARGS)

benchmarks: env
	@for file in benchmarks/*.py; do OMP_NUM_THREADS=1 $(BIN)/python $$file || exit 1; done

lint: env
	@$(BIN)/ruff format --check . && $(BIN)/ruff check .

# The lock is compiled for all platforms and Pythons, and names no index.
lock: env
	@$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header --no-annotate pyproject.toml -o requirements.txt
	@$(BIN)/python tests/environment.py > environment.yml
