# The menu. Every line is one chore of xtask/; `make help` prints this.
.PHONY: help first demo test test-full test-kernels bpf bench
.DEFAULT_GOAL := help

help: ## show this menu
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 16

# What the first chore itself needs; the chores install the rest.
first:
	@command -v cargo >/dev/null || { echo "error: Rust 1.89 or newer is needed: cargo is not there" >&2; \
		echo "  hint: curl https://sh.rustup.rs -sSf | sh" >&2; exit 1; }
	@command -v cc >/dev/null || { echo "    apt-get install build-essential"; s=$$([ "$$(id -u)" = 0 ] || echo sudo); \
		{ $$s apt-get update -qq && $$s apt-get install -qq --yes --no-install-recommends build-essential; } >/dev/null \
		|| { echo "  hint: as root: apt-get install build-essential" >&2; exit 1; }; }

demo: first ## a real Kafka, an order service, and what obi sees of it; Ctrl-C ends it
	@cargo xtask demo

test: first ## every check and test, pairwise cells of the end-to-end table
	@cargo xtask test

test-full: first ## the same, every cell
	@cargo xtask test --full

bench: first ## what the agent costs, agent on and off in turn; what the analyzer, the model and the decoder cost by themselves
	@cargo xtask bench

test-kernels: first ## every BPF program on the running kernel and, under QEMU, on Debian's 6.1 and 6.12
	@cargo xtask kernels

bpf: first ## rebuild the committed BPF object (sets its toolchain up in .cache)
	@cargo xtask bpf
