# Two commands do everything: `make book` and `make test`. `make help` lists the rest.
# Every step that fails says what failed and what to do.

# The Python that .venv is made with: the first that is new enough, or the one that you name.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && exit; done; echo python3)
PORT ?= 8000
BIN := .venv/bin
FIRST := _build/html/intro.html
SOURCES := $(wildcard *.yml *.bib *.md *.ipynb chapters/*) \
	$(shell find web rflib -type f -not -path '*/node_modules/*' -not -name '*.pyc' 2>/dev/null)

# $(call step,what it does,command,what to do when it fails): no commas in the three.
step = @printf '\n== %s\n' '$(1)'; { $(2); } || { printf '\nFAILED: %s\nWhat to do: %s\n' '$(1)' '$(3)' >&2; exit 1; }

# Where it is set, every process compiles torch anew and takes half of its time for that.
unexport PYTHONDONTWRITEBYTECODE
# Several targets side by side, for what waits on the network or works on one core only.
beside = @$(MAKE) --no-print-directory -j 3

.DEFAULT_GOAL := help
.PHONY: help book serve test lint types fast doctests slow nbval site lab check-lab browser packages programs code execute check-notebooks \
	address assignments format bench wheel check-links clean distclean
.DELETE_ON_ERROR:

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# --- the environment -----------------------------------------------------------------------------

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { \
	  echo "FAILED: no '$(PYTHON)' here. What to do: install Python 3.11 or newer, or name it: make $(or $(MAKECMDGOALS),book) PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "FAILED: '$(PYTHON)' is $$($(PYTHON) -V 2>&1 | head -n 1); the book needs Python 3.11 or newer. What to do: name another one: make $(or $(MAKECMDGOALS),book) PYTHON=python3.12" >&2; exit 1; }
	$(call step,make the virtual environment .venv with $(PYTHON),rm -rf .venv && $(PYTHON) -m venv .venv,where the message above speaks of ensurepip: install the venv package of your system (Debian and Ubuntu: apt install python3-venv) and run the same command again)

.venv/.installed: requirements.txt pyproject.toml | $(BIN)/python
	$(call step,install requirements.txt into .venv (once; a few minutes the first time),$(BIN)/python -m pip install --disable-pip-version-check --no-compile -r requirements.txt,read the last lines above; without a network nothing can be installed. The same command goes on where it stopped)
	$(call step,install rflib from this folder (editable; without dependencies),$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e .,read the last lines above: pyproject.toml is what pip reads)
	@# Compiled once, here: workers that grade start by the dozen and may write nothing.
	@$(BIN)/python -c 'import torch'
	@$(BIN)/python -c 'import matplotlib.font_manager'  # makes its cache now, not in a notebook's output
	@touch $@

# --- the book ------------------------------------------------------------------------------------

book: _build/.built  ## build the book into _build/html (makes .venv first) and say where to look
	@printf '\nThe book is built. Its first page:\n  %s\n  file://%s\nmake serve opens it in a browser.\n' '$(FIRST)' '$(CURDIR)/$(FIRST)'

# Always with --all: a page that Sphinx takes from its cache shows an old table of contents and hides its warnings.
_build/.built: $(SOURCES) | .venv/.installed
	$(call step,build the book,$(BIN)/jupyter-book build . --all -W -n --keep-going,a warning counts as an error: the lines marked WARNING or ERROR above name file and line. Mend them and run make book again)
	@touch $@

serve: book  ## build, serve on http://127.0.0.1:8000 (PORT=...) and open the browser
	@$(BIN)/python -c 'import webbrowser; webbrowser.open("http://127.0.0.1:$(PORT)/intro.html")' || true
	@echo 'http://127.0.0.1:$(PORT)/intro.html  (Ctrl-C ends it)'
	@$(BIN)/python -m http.server $(PORT) --bind 127.0.0.1 --directory _build/html || { \
	  echo 'FAILED: serve the book. What to do: where the port is taken, choose another: make serve PORT=8001' >&2; exit 1; }

lab: .venv/.jupyterlab  ## open the notebooks in JupyterLab (the first time installs it into .venv)
	@$(BIN)/python -m jupyterlab

# Not in requirements.txt: as many packages as half of those, and nothing else needs them.
.venv/.jupyterlab: .venv/.installed
	$(call step,install JupyterLab into .venv (once),$(BIN)/python -m pip install --disable-pip-version-check --no-compile --constraint requirements.txt jupyterlab==4.6.6,read the last lines above; without a network nothing can be installed)
	@touch $@

# --- the tests -----------------------------------------------------------------------------------

test:  ## everything: lint, types, rflib, notebooks, the built site in Chromium
	$(beside) .venv/.installed packages
	$(beside) code book programs
	@$(MAKE) --no-print-directory fast slow
	@printf '\nAll of it passed.\n'

code: lint types doctests

packages:
	@$(PYTHON) tests/chromium.py --packages || true  # what it brought is looked for by "browser"

# One after the other: two programs that install packages at a time would be one too many.
programs:
	@$(MAKE) --no-print-directory browser
	@$(MAKE) --no-print-directory sandbox

lint: .venv/.installed  ## ruff: rules and format
	$(call step,ruff check,$(BIN)/ruff check .,make format mends most of it; the rest stands above by file and line)
	$(call step,ruff format --check,$(BIN)/ruff format --check .,make format)

types: .venv/.installed  ## mypy --strict on rflib and grading
	$(call step,mypy --strict rflib grading,$(BIN)/mypy --strict rflib grading,mend the types at the lines above)

fast: .venv/.installed browser sandbox  ## the tests that take under a minute
	$(call step,tests that are not slow,NO_SKIPS=1 $(BIN)/python -m pytest -x -q -n 2 --dist loadfile tests -m "not slow",run the one that failed alone: $(BIN)/python -m pytest -x PATH::NAME)

doctests: .venv/.installed  ## the examples in the docstrings of rflib
	$(call step,doctests of rflib,$(BIN)/python -m pytest -q --doctest-modules rflib,the docstring above shows another result than the code gives: one of them is wrong)

slow: book browser sandbox  ## the slow tests, every notebook by nbval and the built site among them
	$(call step,slow tests; every notebook by nbval; the built site in Chromium,NO_SKIPS=1 $(BIN)/python -m pytest -x -q -n 2 --dist worksteal tests -m slow,run the one that failed alone: $(BIN)/python -m pytest -x PATH::NAME)

nbval: .venv/.installed  ## of the slow tests those that run every notebook alone, as in Colab, and compare with its stored outputs
	$(call step,notebooks by nbval against their stored outputs; each alone as in Colab,NO_SKIPS=1 $(BIN)/python -m pytest -q -n 2 --dist worksteal tests/test_colab.py,where the new output is the right one: make execute and look at git diff)

site: book browser  ## of the slow tests those of the built book in headless Chromium
	$(call step,the built site in Chromium,NO_SKIPS=1 $(BIN)/python -m pytest -x -q -n 2 --dist worksteal tests -m site,run the one that failed alone: $(BIN)/python -m pytest -x PATH::NAME)

check-lab: .venv/.jupyterlab browser  ## every live figure in a real JupyterLab with a kernel (a few minutes; not part of make test)
	$(call step,live figures in JupyterLab,$(BIN)/python -m pytest -x -q tests/site/lab.py,run the one that failed alone: $(BIN)/python -m pytest -x tests/site/lab.py -k NAME)

browser: .venv/.installed
	$(call step,find Chromium; get one where there is none,$(BIN)/python tests/chromium.py,install Chromium or Chrome by hand and name it: make test CHROMIUM=/path/to/chromium)

# --- grading -------------------------------------------------------------------------------------

.PHONY: grade gradescope sandbox

grade: .venv/.installed  ## grade a class: make grade A=1 SUBMISSIONS=folder-or-zip OPTIONS="-j 4" (--help lists them)
	@$(BIN)/python -m grading '$(A)' '$(SUBMISSIONS)' $(OPTIONS)

gradescope: .venv/.installed  ## the autograder for Gradescope: make gradescope A=1
	@$(BIN)/python -m grading.gradescope '$(A)'

sandbox: .venv/.installed  ## get bubblewrap where there is none and try whether students' code can be confined here
	$(call step,get bubblewrap and try it,$(BIN)/python -m grading.sandbox,install bubblewrap by hand (apt install bubblewrap) and read what stands above)

# --- the notebooks -------------------------------------------------------------------------------

execute: .venv/.installed  ## execute intro.ipynb and chapters/*.ipynb and write their outputs (twice gives the same bytes)
	$(call step,execute the notebooks,$(BIN)/python web/execute.py,the notebook and the cell are named above)

check-notebooks: .venv/.installed  ## execute them and compare with the committed bytes; writes nothing
	$(call step,execute the notebooks and compare,$(BIN)/python web/execute.py --check,where the new output is the right one: make execute)

address: .venv/.installed  ## set the public address once: make address REPOSITORY=https://github.com/you/name
	$(call step,set the public address,$(BIN)/python web/execute.py --address '$(REPOSITORY)',say it so: make address REPOSITORY=https://github.com/you/name)

# --- the course ----------------------------------------------------------------------------------

# SECRET reaches the program through its environment, so that no command line shows it.
assignments: .venv/.installed  ## the course assignments, numbers drawn from SECRET: SECRET=... make assignments
	$(call step,release the assignments into _build/assignments,$(BIN)/python -m grading.release,the message above says what is missing; chapters/for-instructors.md says more)

# --- the rest ------------------------------------------------------------------------------------

format: .venv/.installed  ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/.installed  ## rflib.trace beside the alternatives: the tables (twenty minutes; installs them under _build/bench)
	$(call step,benchmarks,$(BIN)/python benchmarks/bench.py,the message above says which measurement broke)

wheel: .venv/.installed  ## rflib as a wheel in dist/
	$(call step,build the wheel,$(BIN)/python -m build --wheel --no-isolation .,read the last lines above: pyproject.toml is what is built)

check-links: .venv/.installed  ## ask the web whether the outside links of the book still live (needs a network)
	$(call step,check the outside links,$(BIN)/jupyter-book build . --builder linkcheck,mend the links marked broken above; those that only time out may live)

clean:  ## remove what was built; keep .venv
	rm -rf _build build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

distclean: clean  ## remove .venv as well
	rm -rf .venv
