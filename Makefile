# make run   trains a tiny InstructGPT end to end and says which page to open
# make test  proves it: unit tests, the oracles, the end-to-end run on the smallest preset
# Both make .venv from any Python 3.11 to 3.13 first, if it is not there or out of date.

# The first Python of a version we test with that starts: one on the PATH may be a stub that does not.
FITS := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13; do \
	$$p -c '$(FITS)' >/dev/null 2>&1 && { echo $$p; break; }; done)
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
	@$(or $(PYTHON),false) -c '$(FITS)' || { echo "Python 3.11, 3.12 or 3.13 is needed; name one:" \
		"make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "Making .venv with $(PYTHON): about 1.5 GB, a few minutes"
	$(PYTHON) -m venv .venv
	$(VENV) -m pip install --quiet --disable-pip-version-check torch==2.13.0
	$(VENV) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(VENV) -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

clean:
	rm -rf .venv runs build *.egg-info
