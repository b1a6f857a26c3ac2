# Two commands are all a newcomer needs: make demo, make test. Each installs what is missing.
SHELL := /bin/bash
PY := .venv/bin/python
export PATH := $(CURDIR)/.venv/bin:$(PATH)

# libgl1..fonts: Qt renders offscreen; libxcb*, xvfb, xdotool, openbox: the tests click in real windows.
DEBIAN_PACKAGES := python3-venv libgl1 libglib2.0-0 libfontconfig1 fonts-dejavu-core \
  libdbus-1-3 libxkbcommon-x11-0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-randr0 \
  libxcb-render-util0 libxcb-shape0 libxcb-xinerama0 libxcb-xfixes0 xvfb xauth xdotool openbox

.PHONY: help install packages demo test check bench soak recording clean

help:
	@echo "make demo     bring the virtual beamline up, measure a spectrum, look at demo-output/  (KEEP=1 leaves it up)"
	@echo "make test     format, lint, types, import directions and every test"
	@echo "make check    the part of make test that runs nothing"
	@echo "make bench    timed figures as ratios, bench-output/results.json"
	@echo "make soak     the long fault runs"
	@echo "make recording  a typist and three clients at one prompt, into docs/recordings/ (needs tmux)"
	@echo "make install  only what the above need: Debian packages and .venv"

packages:
	@missing=""; for p in $(DEBIAN_PACKAGES); do \
	  dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$p"; done; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" = 0 ]; then sudo=""; elif sudo -n true 2>/dev/null; then sudo="sudo"; else \
	    echo "make: these Debian packages are missing and need root or sudo:"; \
	    echo "  sudo apt-get install$$missing"; echo "then run make again."; exit 1; fi; \
	  echo "make: installing Debian packages:$$missing"; \
	  log=$$(mktemp); { $$sudo apt-get update -q && DEBIAN_FRONTEND=noninteractive $$sudo apt-get install -y -q --no-install-recommends $$missing; } \
	    >$$log 2>&1 || { tail -n 20 $$log; echo "make: apt-get failed, the whole log is $$log"; exit 1; }; rm -f $$log; fi

install: packages .venv/installed

.venv/installed: pyproject.toml constraints.txt docs/examples/javascript/package.json
	@echo "make: installing Python packages into .venv (about a minute)"
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: Python 3.11 or newer is needed, this is $$(python3 -V)"; exit 1; }
	@test -x $(PY) || python3 -m venv .venv
	@$(PY) -m pip install -q -c constraints.txt -e '.[windows,data-worker,science,test]'
	@mkdir -p .venv/javascript && cp docs/examples/javascript/package.json .venv/javascript
	@npm install --prefix .venv/javascript --ignore-scripts --no-audit --no-fund --no-package-lock --loglevel error >/dev/null
	@$(PY) -m compileall -q mamba tango_servers taurus_gui
	@touch $@

demo: install
	@$(PY) -m mamba.cli demo $(if $(KEEP),--keep)

check: install
	@ruff format --check -q . || { echo "format: run .venv/bin/ruff format ."; exit 1; }
	@ruff check -q .
	@mypy
	@lint-imports --no-cache >.venv/imports.log || { cat .venv/imports.log; exit 1; }
	@interrogate -q mamba tango_servers taurus_gui || interrogate -v mamba tango_servers taurus_gui

test: check
	@$(PY) -m pytest -q -m "not soak"

bench: install
	@$(PY) -m tests.bench

soak: install
	@$(PY) -m pytest -q -s -m soak --timeout 3600

recording: install
	@command -v tmux >/dev/null || { echo "make: tmux is needed: sudo apt-get install tmux"; exit 1; }
	@$(PY) -m tests.recording

clean:
	rm -rf .venv demo-output bench-output .mypy_cache .ruff_cache .pytest_cache *.egg-info
