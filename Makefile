# Every target installs first if needed; nothing but Python 3.11+ and make is assumed.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: install demo test check bench clean

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "karat needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[train,serve,ray,trl,grade,dev]'
	$(BIN)/python -m karat.rewards.default_model
	touch $(STAMP)

demo: $(STAMP)
	@# Status 1 says that problems were found; the built-in world holds some on purpose.
	$(BIN)/karat check --out karat-demo || [ $$? -eq 1 ]
	@# Is this machine's grader beaten by any of 247 known cheats, and does it leave 194 honest programs alone?
	$(BIN)/karat grade builtin:cheats builtin:cheats --out karat-demo/known.jsonl --overwrite --reruns 0 --wall-s 2 \
		--report karat-demo/known
	@# A right answer is a proxy for right steps. Under the same pressure, which of the two leaves more gold?
	$(BIN)/karat stress builtin:steps --proxy answer --against process --gold gold --out karat-demo/steps || [ $$? -eq 1 ]

test: $(STAMP)
	@# Two processes with a thread each: two with two would fight for two cores.
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadfile tests

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_layers.py

bench: $(STAMP)
	$(BIN)/python benchmarks/run_all.py

clean:
	rm -rf $(VENV) karat-demo
