# Everything runs in .venv, which is made on first use and again whenever pyproject.toml or
# constraints.txt change. ARGS passes further arguments: make parity ARGS="rightfit --seed 7".

# The first of these that is Python 3.11 or later; make PYTHON=/path/to/python chooses another.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$python && break; done)
BIN := .venv/bin
# Written last, so that an interrupted installation does not count as made.
MADE := .venv/made

# These variables force kernels and block sizes on OpenBLAS that are not this processor's.
OWN := env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE

# The engines whose losses can be read after each step.
LOSSES := minigrad,minigrad-captured,torch,torch-compile,numpy-floor,jax

# The tests that call the most packages.
LOWEST := tests/minigrad/test_safetensors.py tests/test_readme.py tests/parity/test_cli.py tests/parity/test_testing.py \
	tests/parity/test_peers.py tests/parity/test_exact.py tests/parity/test_report.py tests/parity/test_report_plots.py \
	tests/parity/test_sweep_cli.py tests/parity/test_sweep_compare.py tests/parity/test_sweep_dask.py

.DEFAULT_GOAL := help
.PHONY: help setup parity explain test lowest lint evidence bench sample figures fuzz calibrate proof cuda detection \
	peers clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):[^#]*## /  \1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 12

setup: $(MADE) ## make .venv with everything that is needed

$(MADE): pyproject.toml constraints.txt
	@$(or $(PYTHON),false) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Python 3.11 or later is needed, and $(or $(PYTHON),python3) is not that:" \
			"install one, or name it: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	rm -rf .venv
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -c constraints.txt -e '.[dev]'
	touch $@

parity: $(MADE) ## train the three networks on both engines, compare, report in out/
	$(BIN)/parity run --output out $(ARGS)

explain: $(MADE) ## write a page that steps through one training step, out/explain.html
	@mkdir -p out
	$(BIN)/python -m minigrad explain --html out/explain.html $(or $(ARGS),rightfit)

# Tests start many processes: without this each of them would compile all it imports anew.
test: $(MADE) ## run the tests
	env -u PYTHONDONTWRITEBYTECODE $(BIN)/pytest -n auto --dist worksteal $(ARGS)

# Warnings of old packages are nothing of ours.
lowest: ## run some of the tests with the oldest versions that pyproject.toml allows
	$(PYTHON) -m venv --clear build/lowest
	build/lowest/bin/python -m pip install -e . \
		$(shell sed -n 's/.*"\([a-z][a-z0-9-]*\)>=\([^"]*\)".*/\1==\2/p' pyproject.toml)
	build/lowest/bin/pytest -n auto -W default $(or $(ARGS),$(LOWEST))

lint: $(MADE) ## check style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	MYPY_NUM_WORKERS=auto $(BIN)/mypy

evidence: $(MADE) ## say which results are of the code as it is, and how to measure the others again
	$(BIN)/python -m parity.evidence status

# Without ARGS: also on all cores, and with every loss read; the results go into parity/README.md.
bench: $(MADE) ## time every engine, for an hour; the result goes into parity/README.md, without ARGS
	$(OWN) $(BIN)/parity bench --engines all --threads 1 --scaling --products --output out $(ARGS)
ifndef ARGS
	$(OWN) $(BIN)/parity bench --engines all --output out/all-cores
	$(OWN) $(BIN)/parity bench --engines $(LOSSES) --threads 1 --read-losses --output out/losses
	$(BIN)/python -m parity.evidence bench out out/all-cores out/losses
endif

sample: $(MADE) ## put the output of a run into README
	$(OWN) $(BIN)/parity run --output out/sample
	$(BIN)/python -m parity.evidence sample out/sample

# Resumes where it was stopped: a quarter of an hour on two cores, most of it for overfit.
figures: $(MADE) ## train at many seeds on both engines; draw README's picture
	$(BIN)/parity sweep underfit rightfit --seeds 0:1000 --horizons 0 --output out/figures
	$(BIN)/parity sweep overfit --seeds 0:250 --horizons 0 --output out/figures
	$(BIN)/python -m parity.evidence figures out/figures

# Resumes where it was stopped; the threads of two libraries in one process would fight.
fuzz: $(MADE) ## compare operations and random graphs with torch, kill sweeps, for half an hour or more
	MINIGRAD_FUZZ=$(if $(ARGS),1,record) $(BIN)/pytest -n auto \
		$(shell grep -lE "operations import .*\b(FUZZ|EXAMPLES)\b|mark\.dear" tests/test_*.py tests/*/test_*.py) $(ARGS)

proof: $(MADE) ## judge minigrad against torch at 12 seeds in full and 50 quickly, for an hour
	$(OWN) $(BIN)/python -m parity.evidence proof $(ARGS)

cuda: $(MADE) ## judge minigrad against torch on an NVIDIA GPU
	$(BIN)/python -m parity.evidence proof --device cuda --full 1 --quick 4 --workers 1 \
		--output parity/evidence/results/cuda.json $(ARGS)

# Resumes where it was stopped. README has numbers of the result, too, which the tests compare.
calibrate: $(MADE) ## measure the budget: false alarms against z, defects caught; result in out/
	$(OWN) $(BIN)/python -m parity.evidence calibration --output out $(ARGS)
	$(if $(ARGS),,cp out/calibration.json parity/evidence/results/ && cp out/calibration.png .readme/)

# Resumes where it was stopped.
detection: $(MADE) ## plant every defect of the catalogue in a copy, see what finds it, report in out/
	$(BIN)/python -m parity.evidence detection --output out $(ARGS)
	$(if $(ARGS),,cp out/detection.json parity/evidence/results/ && cp out/detection.png .readme/)
	$(if $(ARGS),,$(BIN)/python -m tests.parity.engine_catalogue)

peers: $(MADE) ## judge the other engines against torch; put the result into parity/README.md
	$(OWN) $(BIN)/python -m parity.evidence peers $(ARGS)

clean: ## remove .venv, reports and caches
	rm -rf .venv out build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
