# Everything a person or CI runs. Each target does its own set-up first.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules --no-print-directory

SETUP := tests/harness/setup
BUILT := $(or $(CARGO_TARGET_DIR),target)/debug
# Kept up by `make demo KEEP=1`.
KEEP ?=
# More arguments for the program behind a target: make bench ARGS=--help
ARGS ?=

OWN_CRDS := deploy/crds/apim-operator.yaml
EXPOSEDAPI_CRD := deploy/crds-exposedapi/exposedapi.yaml

# Always the whole workspace: cargo unites the features of the crates that it
# is asked for, so building one crate alone would compile wasmtime, kube and
# others a second time with other features.
BUILD := cargo build --locked --workspace
# Evaluated in the recipe, after `setup`.
KUBE := export KUBEBUILDER_ASSETS="$$($(SETUP)/kube-tools)";

.PHONY: help setup build test demo bench chaos chaos-defects fuzz fmt lint deny crds crds-check

help: ## show this
	@echo 'apim-operator: publishes Kubernetes ExposedAPIs in Azure API Management.'
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo 'New here? `make demo` shows the whole thing in a minute, once it is built'
	@echo '(the first build takes some minutes), and needs no cluster and no Azure.'

setup: ## install what is missing: wasm target, kube-apiserver, etcd, kubectl, cargo-deny, registries
	@$(SETUP)/setup

build: setup ## build the operator, its plugins and the test programs
	@$(BUILD)

demo: setup ## run the whole thing locally and show it; KEEP=1 leaves it up
	@$(BUILD)
	@$(KUBE) KEEP='$(KEEP)' $(BUILT)/demo $(ARGS)

test: setup lint ## everything that CI checks: format, lints, tests, licences, CRDs
	@$(BUILD)
	@$(KUBE) cargo test --locked --workspace --no-fail-fast
	@$(MAKE) chaos-defects ARGS='--only 1'
	@$(MAKE) crds-check deny

chaos: setup ## run SEEDS=1000 random fault schedules; more with ARGS, such as --seed 7
	@$(BUILD) --bin chaos --bin apim-operator
	@$(KUBE) $(BUILT)/chaos --seeds '$(or $(SEEDS),1000)' $(ARGS)

chaos-defects: setup ## build operators with known mistakes, each of which chaos must find in 100 seeds
	@$(BUILD) --features chaos/defects --bin chaos
	@$(KUBE) $(BUILT)/chaos --defects --seeds 100 $(ARGS)

fuzz: setup ## 10000 damaged plugins against the host, and documents against the gateway; CASES=n for more
	@FUZZ_CASES='$(or $(CASES),10000)' cargo test --locked --workspace --test host -- \
	  --ignored --nocapture many_generated_plugins
	@FUZZ_CASES='$(or $(CASES),10000)' cargo test --locked --workspace --test gateway -- fuzzed::

lint: setup ## check the format, and clippy with warnings denied
	@cargo fmt --all --check
	@cargo clippy --locked --workspace --all-targets -- --deny warnings

fmt: ## format the code
	@cargo fmt --all

deny: setup ## check licences, sources and banned crates of all dependencies
	@PATH="$$($(SETUP)/cargo-deny):$$PATH" cargo deny --locked check --hide-inclusion-graph bans licenses sources

crds: setup ## write the CRDs in deploy/ anew from the Rust types
	@$(BUILD)
	@mkdir -p $(dir $(OWN_CRDS) $(EXPOSEDAPI_CRD))
	@$(BUILT)/apim-operator crd > $(OWN_CRDS)
	@$(BUILT)/apim-operator crd --exposedapi > $(EXPOSEDAPI_CRD)

crds-check:
	@$(BUILD)
	@$(BUILT)/apim-operator crd | diff -u $(OWN_CRDS) - \
	  || { echo '$(OWN_CRDS) is not what the types say: run `make crds`' >&2; exit 1; }
	@$(BUILT)/apim-operator crd --exposedapi | diff -u $(EXPOSEDAPI_CRD) - \
	  || { echo '$(EXPOSEDAPI_CRD) is not what the types say: run `make crds`' >&2; exit 1; }

bench: setup ## measure, in release mode, and print a table
	@cargo build --locked --release --workspace
	@$(KUBE) $(or $(CARGO_TARGET_DIR),target)/release/bench $(ARGS)
