# Two commands are all a newcomer needs: make demo, make test. Each installs what is missing.
SHELL := /bin/bash
PY := .venv/bin/python
export PATH := $(CURDIR)/.venv/bin:$(PATH)

# libgl1..fonts: Qt renders offscreen; libxcb*: Qt in a window on a screen.
DEBIAN_PACKAGES := python3-venv libgl1 libglib2.0-0 libfontconfig1 fonts-dejavu-core \
  libdbus-1-3 libxkbcommon-x11-0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-randr0 \
  libxcb-render-util0 libxcb-shape0 libxcb-xinerama0 libxcb-xfixes0
# Clicks in real windows; another Qt for tango-milonga; a site's real Tango database and what its programs stand on.
TEST_PACKAGES := xvfb xauth xdotool openbox libegl1 libtango9 libmariadb3 mariadb-server-core
# Programs of a site that the tests start themselves: unpacked into .venv/debian, since installing them starts services.
UNPACKED_PACKAGES := tango-db tango-starter tango-test
EXTRAS := windows,data-worker,science
TEST_EXTRAS := $(EXTRAS),azimuthal,test

.PHONY: help install install-tests packages test-packages demo test check bench soak recording clean

help:
	@echo "make demo     bring the virtual beamline up, measure a spectrum, look at demo-output/  (KEEP=1 leaves it up)"
	@echo "make test     format, lint, types, import directions and every test"
	@echo "make check    the part of make test that runs nothing"
	@echo "make bench    timed figures as ratios, bench-output/results.json"
	@echo "make soak     the long fault runs"
	@echo "make recording  a typist and three clients at one prompt, into docs/recordings/ (needs tmux)"
	@echo "make install  only what the demo needs: Debian packages and .venv; make install-tests: also what the tests need"

# $(call install_packages,NAMES): those that are missing, as root or with sudo.
define install_packages
missing=""; for p in $(1); do \
  dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$p"; done; \
if [ -n "$$missing" ]; then \
  if [ "$$(id -u)" = 0 ]; then sudo=""; elif sudo -n true 2>/dev/null; then sudo="sudo"; else \
    echo "make: these Debian packages are missing and need root or sudo:"; \
    echo "  sudo apt-get install$$missing"; echo "then run make again."; exit 1; fi; \
  echo "make: installing Debian packages:$$missing"; \
  log=$$(mktemp); { $$sudo apt-get update -q && DEBIAN_FRONTEND=noninteractive $$sudo apt-get install -y -q --no-install-recommends $$missing; } \
    >$$log 2>&1 || { tail -n 20 $$log; echo "make: apt-get failed, the whole log is $$log"; exit 1; }; rm -f $$log; fi
endef

packages:
	@$(call install_packages,$(DEBIAN_PACKAGES))

test-packages: packages
	@$(call install_packages,$(TEST_PACKAGES))

install: packages .venv/installed

install-tests: packages test-packages .venv/installed-tests .venv/debian/installed

# $(call install_python,EXTRAS): ours and what it needs. Byte code is made by all processors, pip would take one; like
# pip it does not mind a file of somebody else's that is no Python.
define install_python
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: Python 3.11 or newer is needed, this is $$(python3 -V)"; exit 1; }; \
test -x $(PY) || python3 -m venv .venv; \
$(PY) -m pip install -q --no-compile -c constraints.txt -e '.[$(1)]' && \
$(PY) -m compileall -q -j 0 mamba tango_servers taurus_gui && { $(PY) -m compileall -qq -j 0 -x '/tests/' .venv/lib || true; }
endef

.venv/installed: pyproject.toml constraints.txt
	@echo "make: installing Python packages into .venv (about a minute)"
	@$(call install_python,$(EXTRAS))
	@touch $@

# tango-milonga, an administration console that the tests drive, stands apart: its Qt must not meet Taurus' own.
.venv/installed-tests: pyproject.toml constraints.txt docs/examples/javascript/package.json
	@echo "make: installing Python packages, also those of the tests, into .venv (about two minutes)"
	@$(call install_python,$(TEST_EXTRAS))
	@$(PY) -m pip install -q --no-compile --no-deps -c constraints.txt --upgrade --target .venv/milonga tango-milonga PySide6_Essentials shiboken6 qasync
	@mkdir -p .venv/javascript && cp docs/examples/javascript/package.json .venv/javascript
	@npm install --prefix .venv/javascript --ignore-scripts --no-audit --no-fund --no-package-lock --loglevel error >/dev/null
	@touch .venv/installed $@

.venv/debian/installed: | .venv/installed-tests
	@echo "make: unpacking Debian's $(UNPACKED_PACKAGES) into .venv/debian"
	@mkdir -p .venv/debian/download && cd .venv/debian/download && apt-get download -q $(UNPACKED_PACKAGES) >log 2>&1 \
	  || { cat log; echo "make: they could not be downloaded; try 'sudo apt-get update' first"; exit 1; }
	@for p in .venv/debian/download/*.deb; do dpkg -x $$p .venv/debian; done
	@touch $@

demo: install
	@$(PY) -m mamba.cli demo $(if $(KEEP),--keep)

check: install-tests
	@ruff format --check -q . || { echo "format: run .venv/bin/ruff format ."; exit 1; }
	@ruff check -q .
	@mypy
	@lint-imports --no-cache >.venv/imports.log || { cat .venv/imports.log; exit 1; }
	@interrogate -q mamba tango_servers taurus_gui || interrogate -v mamba tango_servers taurus_gui

# Tests that measure time come last, one at a time; the order of the others is made in tests/conftest.py.
test: check
	@failed=0; \
	$(PY) -m pytest -q -m "not soak and not alone" -n 3 --dist loadfile --no-loadscope-reorder --max-worker-restart 0 || failed=1; \
	$(PY) -m pytest -q -m "alone and not soak" $$(grep -rl --include='test_*.py' mark.alone tests) || failed=1; \
	exit $$failed

bench: install-tests
	@$(PY) -m tests.bench

# Tiled reads our files in a Python of its own: more than a gigabyte, and other versions of what we need, but for bluesky.
.venv/tiled/installed: | .venv/installed-tests
	@echo "make: installing Tiled into .venv/tiled (about a minute)"
	@test -x .venv/tiled/bin/python || python3 -m venv .venv/tiled
	@.venv/tiled/bin/python -m pip install -q 'tiled[server]==0.2.20' $$(grep ^bluesky= constraints.txt) h5py hdf5plugin
	@touch $@

soak: install-tests .venv/tiled/installed
	@$(PY) -m pytest -q -s -m soak --timeout 3600

recording: install-tests
	@command -v tmux >/dev/null || { echo "make: tmux is needed: sudo apt-get install tmux"; exit 1; }
	@$(PY) -m tests.recording

clean:
	rm -rf .venv demo-output bench-output .mypy_cache .ruff_cache .pytest_cache *.egg-info
