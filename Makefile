# A fresh machine needs only python3 with venv: each target makes .venv and installs first.
PYTHON ?= python3
BIN := .venv/bin
WORKERS ?= auto

.PHONY: demo test check install clean

# Synthesise the built-in corpus, train on it, recognise its test part, score that.
demo: .venv/installed
	$(BIN)/python train.py -cn=demo trainer.override=true
	$(BIN)/python inference.py -cn=inference_demo inferencer.override=true
	@echo "Curves and spectrograms: saved/demo/plots"
	$(BIN)/python calc_wer_cer.py --dir_path data/saved/demo/test

test: .venv/installed-dev
	$(BIN)/python -m pytest -n $(WORKERS) tests

check: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

install: .venv/installed

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/installed: requirements.txt | .venv/bin/python
	@echo "Installing requirements.txt into .venv (some minutes the first time) ..."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

.venv/installed-dev: requirements.txt requirements-dev.txt | .venv/bin/python
	@echo "Installing requirements-dev.txt into .venv (some minutes the first time) ..."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@ .venv/installed

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
