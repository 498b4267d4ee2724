# make run   trains a tiny InstructGPT end to end and says which page to open
# make test  proves it: unit tests, the oracles, the end-to-end run on the smallest preset
# Both make .venv from any Python 3.11 to 3.13 first, if it is not there or out of date.

PYTHON ?= $(firstword $(foreach version,3.13 3.12 3.11 3,$(shell command -v python$(version) 2>/dev/null)))
PRESET ?= tiny
VENV := .venv/bin/python
export OMP_NUM_THREADS ?= 1
export HF_HUB_DISABLE_PROGRESS_BARS = 1

.PHONY: run test lint mutants clean

run: .venv/ready
	$(VENV) -m instructgpt_lite run --preset $(PRESET)

test: .venv/ready
	$(VENV) -m ruff check .
	$(VENV) -m pytest -q -n 2 --dist loadfile

mutants: .venv/ready
	$(VENV) tools/mutate.py

.venv/ready: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
		{ echo "Python 3.11, 3.12 or 3.13 is needed; name one: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "Making .venv with $(PYTHON): about 1.5 GB, a few minutes"
	$(PYTHON) -m venv .venv
	$(VENV) -m pip install --quiet --disable-pip-version-check torch==2.13.0
	$(VENV) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(VENV) -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

clean:
	rm -rf .venv runs build *.egg-info
