# SPOT: every target does the set-up that it needs (first time: downloads, about 190 MB; later: offline, at once).
#   make run      one winter day in about half a minute   DAY=2024-05-12  PRICES=FILE  DEVICES=0  SEED=…  ARGS="…"
#   make test     the tests, in tiers                      T=tests/unit/wire  K=expression  ARGS="…"
#   make flash    a board on a cable                    BOARD=pico  PORT=/dev/ttyACM0  HOUSE=home  CONFIG=folder  ARGS="…"
#   make soak     the adversary goes on                SEEDS=1-100  YEARS=10  ARGS="…"   make mutants: it is tested
#   make bench · make lint · make doctor · make gen · make test-rp2040 · make clean
SHELL := /bin/sh
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.SUFFIXES:

# The first Python from 3.11 on; only looked for when there is something to set up.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.14; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo $$p; exit; }; done)
PY := .venv/bin/python
SPOT := .venv/bin/spot
# For the jobs only: the set-up itself must not run from the environment that it makes.
WITH = PATH="$(CURDIR)/.venv/bin:$(CURDIR)/.toolchain/bin:$$PATH"

NO_PYTHON = Python 3.11 or later is needed and was not found: install it, or set PYTHON=…
TOOLCHAIN = PYTHONPATH=host_tools $(or $(PYTHON),$(error $(NO_PYTHON))) -m spot_host.toolchain
VENV_STAMP := .venv/spot-stamp.json
TOOLS_STAMP := .toolchain/spot-stamp

help:
	@sed -n '2,6s/^# *//p' Makefile

# Set-up. The stamps make a second call cost nothing.
setup: $(VENV_STAMP)
	@$(TOOLCHAIN) setup && touch $(TOOLS_STAMP)

$(VENV_STAMP): requirements.lock pyproject.toml
	@$(TOOLCHAIN) python
	@touch $@

$(TOOLS_STAMP): $(VENV_STAMP) host_tools/spot_host/toolchain/runtimes.py
	@$(TOOLCHAIN) runtimes
	@touch $@

# The main jobs.
RUN_OPTIONS = $(if $(DAY),--day $(DAY)) $(if $(LINK),--link $(LINK)) $(if $(SEED),--seed $(SEED)) \
	$(if $(PRICES),--prices $(PRICES)) $(if $(DEVICES),--devices $(DEVICES))

run: $(TOOLS_STAMP)
	@$(WITH) $(SPOT) run $(strip $(RUN_OPTIONS)) $(ARGS)

test: $(TOOLS_STAMP)
	@$(WITH) $(PY) -m tests.tiers $(T) $(if $(K),-k "$(K)") $(ARGS)

# Of the device suite what an emulated chip has the time for: one test of each kind, about two minutes.
RP2040_COMMANDS = off_and_on_move_the_contact_in_time a_status_says_start_power_and_end_as_they_are a_revoke_takes_it_back \
	a_limit_below_its_power_opens_an_on_off_device_and_it_says_partly a_command_survives_a_power_cut
RP2040_DEVICE = it_registers_with_what_it_can_do its_power_is_that_of_the_reference objects_can_be_read \
	the_button_overrides_a_set_point
RP2040_SUITE = $(RP2040_COMMANDS:%=tests/hil/test_commands.py::test_%) $(RP2040_DEVICE:%=tests/hil/test_device.py::test_%)

test-rp2040: $(TOOLS_STAMP)
	@$(WITH) $(PY) -m tests.rp2040.build
	@$(WITH) $(PY) -m tests.tiers $(or $(T),tests/rp2040 $(RP2040_SUITE)) --target rp2040 -n 2 --dist loadfile \
		-o faulthandler_timeout=900 $(ARGS)

# The heap of a whole App over CYCLES turns with flapping links: flat, or it fails.
soak-heap: $(TOOLS_STAMP)
	@$(WITH) $(PY) -m tests.unix.app.soak_heap $(CYCLES)

soak: $(VENV_STAMP)
	@$(WITH) $(SPOT) sim soak --seeds $(or $(SEEDS),1-100) $(if $(YEARS),--years $(YEARS)) $(ARGS)
	@SPOT_UPDATE_FLEET=200 $(WITH) $(PY) -m tests.tiers tests/sim/test_update_fleet.py

mutants: $(VENV_STAMP)
	@$(WITH) $(PY) -m tests.sim.adversary.mutations $(ARGS)

bench: $(TOOLS_STAMP)
	@$(WITH) $(PY) -m tests.bench $(B) $(ARGS)

lint: $(VENV_STAMP)
	@failed=0; $(PY) -m ruff check . || failed=1; $(TOOLCHAIN) compile || failed=1; \
		$(TOOLCHAIN) types || failed=1; exit $$failed

gen: $(VENV_STAMP)
	@$(PY) -m spot_host.profile.generate
	@$(PY) -m tests.sim.bad_input.document
	@$(PY) -m spot_host.board_pages

# A board on a cable: docs/flashing.md. HOUSE: enrols it where it is new; CONFIG: the folder of a device.
FLASH_OPTIONS = --board $(or $(BOARD),$(error BOARD=… is missing: a folder of boards/)) $(if $(PORT),--port $(PORT)) \
	$(if $(HOUSE),--home $(HOUSE)) $(if $(CONFIG),--config $(CONFIG))

flash: $(TOOLS_STAMP)
	@$(WITH) $(SPOT) flash $(strip $(FLASH_OPTIONS)) $(ARGS)

doctor:
	@$(TOOLCHAIN) doctor

# After a change of dependencies in pyproject.toml; needs uv.
lock:
	@uv pip compile pyproject.toml --extra dev --generate-hashes --no-emit-index-url --no-annotate --no-header \
		--universal --python-version 3.11 -q -o requirements.lock
	@{ echo "# Every Python package that SPOT needs on a workstation, pinned with hashes. Written by: make lock"; \
		cat requirements.lock; } > requirements.lock.new && mv requirements.lock.new requirements.lock

# clean: what make made in this folder. distclean: the downloads in the user's cache as well.
clean:
	@rm -rf .venv .toolchain out build dist .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

distclean:
	@$(TOOLCHAIN) forget
	@$(MAKE) clean

.PHONY: help setup run test test-rp2040 flash soak mutants bench soak-heap lint gen doctor lock clean distclean
