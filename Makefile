# The commands that people and the build machine share. They need python3 and make; everything else is installed here:
# uv (into .uv/ when there is none) and the environment (.venv/, from uv.lock).

.PHONY: demo test check fast docs environment clean
.DEFAULT_GOAL := help

UV = $(shell if uv --version >/dev/null 2>&1; then echo uv; else echo .uv/bin/uv; fi)
BIN = .venv/bin
DEMO = runs/demo

# Compiled bytecode is kept: the command line starts in half the time with it, torch in half the time as well.
unexport PYTHONDONTWRITEBYTECODE

help:
	@echo "make demo    set up, then train, evaluate and label real images ($(DEMO)/)"
	@echo "make test    set up, then check style and types, run every test"
	@echo "make check   style and types only"
	@echo "make fast    the tests that train nothing"
	@echo "make docs    write the reference pages of verbs, recipes and networks from the code"

demo: environment
	$(BIN)/sightline demo --out $(DEMO)

test: check
	$(BIN)/python -m pytest

check: environment
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

fast: environment
	$(BIN)/python -m pytest -m "not slow"

docs: environment
	$(BIN)/python docs/make_reference.py
	$(BIN)/python docs/make_architectures.py

environment: .venv/.complete

.venv/.complete: pyproject.toml uv.lock
	@if ! uv --version >/dev/null 2>&1 && ! test -x .uv/bin/uv; then \
	  echo "uv is not installed: putting it into .uv/"; \
	  command -v python3 >/dev/null || { echo "python3 is needed and was not found. Install Python 3.11 or newer." >&2; exit 1; }; \
	  python3 -m venv .uv || { rm -rf .uv; echo "python3 cannot make an environment: its venv module is missing." \
	    "Install it (Debian, Ubuntu: apt install python3-venv), or install uv (https://docs.astral.sh/uv)." >&2; exit 1; }; \
	  .uv/bin/pip install --quiet --disable-pip-version-check uv || { rm -rf .uv; \
	    echo "uv could not be installed with pip; is there a network connection?" >&2; exit 1; }; \
	fi
	@# Shards in the cloud and Ray bring a hundred packages with them; the tests that need them say so when they skip.
	$(UV) sync --locked --extra parquet --extra tensorboard
	@$(BIN)/python -m compileall -q -j 0 sightline
	@# Libraries hold files for other versions of Python, which do not compile here and are not needed.
	@$(BIN)/python -m compileall -qq -j 0 $$($(BIN)/python -c \
	  'import sysconfig; print(*(sysconfig.get_path("purelib") + "/" + name for name in ("torch", "torchvision", "numpy", "PIL", "typer", "rich", "yaml")))') || true
	@touch $@

clean:
	rm -rf .venv .uv .mypy_cache .pytest_cache .ruff_cache .hypothesis
