# Every target sets up .venv by itself and then works.
PYTHON ?= python3
EXP    ?= flow_digits
ARGS   ?=
VENV   := .venv
BIN    := $(VENV)/bin

.PHONY: run test test-slow reproduce crash mutations venv lint peers pins accelerator

run: venv
	$(BIN)/python -m launch --exp $(EXP) $(ARGS)

test: venv
	$(BIN)/python -m pytest $(ARGS)

test-slow: venv
	$(BIN)/python -m pytest -m 'slow and not peers' $(ARGS)

reproduce: venv
	$(BIN)/python -m tests.programs.reproduce $(ARGS)

# Measures everything on whatever accelerator is there: make accelerator ARGS='--out DIR --data GENJAX_DATA'
accelerator: venv
	$(BIN)/python -m benchmarks.accelerator $(ARGS)

# Kills an experiment again and again and compares what is left: make crash EXP=vae_digits ARGS='--kills 5'
crash: venv
	$(BIN)/python -m tests.programs.crash $(EXP) $(ARGS)

# Puts faults in one at a time and sees that the suite catches each.
mutations: venv
	$(BIN)/python -m tests.programs.mutations $(ARGS)

lint: venv
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

venv: $(VENV)/ready

$(VENV)/ready: requirements.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit("genjax needs Python 3.11 or newer, and $(PYTHON) is %d.%d: make PYTHON=python3.12" % v[:2])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r requirements.txt
	touch $@

# PyTorch, gensim, hmmlearn and the other peers that benchmarks/ and the tests marked `peers` compare with.
peers: venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-peers.txt

# Needs uv. One version of each package for every Python, so that all users run what the tests ran.
pins:
	uv pip compile --universal --fork-strategy fewest --python-version 3.11 --generate-hashes --no-header -o requirements.txt requirements.in
