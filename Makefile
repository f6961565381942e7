# A fresh machine needs only python3 with venv: each target makes .venv and installs first.
PYTHON ?= python3
BIN := .venv/bin
WORKERS ?= auto
BENCH_OPTIONS = $(if $(CHECKPOINT),--checkpoint "$(CHECKPOINT)") $(if $(LM),--lm "$(LM)") \
	$(if $(ONLY),--only $(ONLY))

.PHONY: demo test test-all check docs bench install clean

# Synthesise the built-in corpus, train on it, recognise its test part, score that.
demo: .venv/installed
	$(BIN)/python train.py -cn=demo trainer.override=true
	$(BIN)/python inference.py -cn=inference_demo inferencer.override=true
	@echo "Curves and spectrograms: saved/demo/plots"
	$(BIN)/python calc_wer_cer.py --dir_path data/saved/demo/test

# What a change is tested with, in minutes.
test: .venv/installed-dev
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m "not slow and not exhaustive" tests

# The same, and whole programs, several ranks, the documentation, the browser, and KenLM.
test-all: test .venv/tried-lm
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m "slow and not exhaustive" tests

check: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=tools $(BIN)/lint-imports

# The pages of docs/ with a reference made from docstrings and configs; a warning is an error.
docs: .venv/installed-dev
	$(BIN)/sphinx-build -W --keep-going -q -b html -c docs . docs/_build/html
	@echo "docs/_build/html/index.html"

# Measure and render benchmarks/RESULTS.md. Optional: CHECKPOINT=PATH, LM=PATH of an ARPA file,
# SPEECH_DATA=folder with LibriSpeech/, ONLY="planning ranks".
bench: .venv/installed
	$(BIN)/python -m benchmarks.bench $(BENCH_OPTIONS)

install: .venv/installed

.venv/bin/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 15) else \
		"Python %d.%d is too %s: this needs 3.11 to 3.14, as in make PYTHON=python3.13 demo" \
		% (*v, "old" if v < (3, 11) else "new"))'
	$(PYTHON) -m venv .venv

.venv/installed: requirements.txt | .venv/bin/python
	@echo "Installing requirements.txt into .venv (some minutes the first time) ..."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

.venv/installed-dev: requirements.txt requirements-serve.txt requirements-onnx.txt \
		requirements-docs.txt requirements-subwords.txt requirements-sweep.txt \
		requirements-dev.txt | .venv/bin/python
	@echo "Installing requirements-dev.txt into .venv (some minutes the first time) ..."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@ .venv/installed

# KenLM is compiled: without a compiler, the tests that compare with it are skipped.
.venv/tried-lm: requirements-lm.txt | .venv/installed-dev
	@echo "Installing requirements-lm.txt into .venv, to compare with ..."
	-$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-lm.txt
	@touch $@

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
