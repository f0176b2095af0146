# `make quickstart` and `make test` do all set-up by themselves; they share one .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: quickstart test lint wheel docs clean

quickstart: $(VENV)/.stamp-run  ## Profile, search, train, export and verify on this CPU.
	$(BIN)/hwnas quickstart

# Four workers for two cores: tests wait for devices and processes a good part of their time.
test: $(VENV)/.stamp-dev  ## The default test suite.
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder

lint: $(VENV)/.stamp-dev  ## Style, types, layers.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

wheel: $(VENV)/.stamp-dev  ## Build the wheel and try it in a clean environment, away from here.
	$(BIN)/python tools/check_wheel.py

docs: $(VENV)/.stamp-dev  ## The documentation as a site in build/docs; a broken link is an error.
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict --site-dir build/docs

clean:
	rm -rf $(VENV) dist build

$(VENV)/.stamp-run: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.stamp-dev: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@ $(VENV)/.stamp-run
