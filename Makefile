# A thin front over ./setup, Meson and scripts/. Building by hand: ./setup && scripts/configure build && ninja -C build

MAKEFLAGS += --no-print-directory

.PHONY: build setup browser demo start check torture bench fuzz clean help

build: setup
	@scripts/configure build
	@ninja -C build

setup:
	@./setup

browser: setup
	@./setup --browser

demo: build ## certificates for a device and a server through real protocols, from a CA of your own; minutes
	@scripts/demo

start: build ## run the server on a house of this checkout's own (var/house)
	@scripts/start

check: build browser ## everything that must hold: tests, sanitizers, lint, layout, system tests
	@scripts/check

torture: build ## 200 kills and 200 power cuts on the running program under load; ten minutes
	@tests/torture/torture.py

bench: setup ## measure this machine
	@scripts/bench

fuzz: setup ## run every fuzz target for two minutes, then show how much of its parser each reaches; over an hour
	@scripts/fuzz run
	@scripts/fuzz coverage

clean: ## remove what was built (not var/, not the OpenSSL in the user's cache)
	@rm -rf build

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s  %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
