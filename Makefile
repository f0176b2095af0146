# `make quickstart` and `make test` do all set-up by themselves; they share one .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# The tests that say most for the least time, for the other Pythons.
QUICK := tests/test_platforms.py tests/test_shown.py tests/test_space.py tests/test_budget.py tests/statistics \
	tests/tables tests/blocks tests/search/test_one_process.py tests/export/test_tflite.py

.PHONY: quickstart test examples lint wheel dist pythons docs clean

quickstart: $(VENV)/.stamp-run  ## Profile, search, train, export and verify on this CPU.
	$(BIN)/hwnas quickstart

# Three workers for two cores: tests wait for devices and processes part of their time.
test: $(VENV)/.stamp-dev  ## The default test suite.
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

examples: $(VENV)/.stamp-dev  ## The examples and notebooks, on settings that are good for their form alone.
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile -m "slow or not slow" tests/test_examples.py tests/test_notebooks.py

lint: $(VENV)/.stamp-dev  ## Style, types, layers.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/ruff check --preview --select PLW1514 hwnas profilers tools  # encodings: Windows has its own
	$(BIN)/mypy
	$(BIN)/lint-imports

wheel: $(VENV)/.stamp-dev  ## Build the wheel and try it in a clean environment, away from here.
	$(BIN)/python tools/check_wheel.py

dist: $(VENV)/.stamp-dev  ## The same, and what an index gets, with a list of all that it runs on, in dist.
	$(BIN)/python tools/check_wheel.py --keep dist

pythons:  ## With every other Python that is here: everything is imported, and a good part of the tests run.
	@set -e; found=$$($(PYTHON) tools/other_pythons.py); for python in $$found; do \
		env=build/$$($$python -c 'import sys; print(f"python{sys.version_info.major}.{sys.version_info.minor}")'); \
		echo "$$python, in $$env"; \
		test -x $$env/bin/python || $$python -m venv $$env; \
		$$env/bin/python -m pip install --quiet --no-compile --editable '.[phone,search,serve]' pandas pytest pytest-xdist; \
		OMP_NUM_THREADS=1 $$env/bin/python -m pytest --quiet --numprocesses 4 $(QUICK); \
	done

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
