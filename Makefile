# The menu. Every line is one chore of xtask/; `make help` prints this.
.PHONY: help demo test test-full test-kernels bpf bench
.DEFAULT_GOAL := help

help: ## show this menu
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 16

demo: ## a real Kafka, an order service, and what obi sees of it; Ctrl-C ends it
	@cargo xtask demo

test: ## every check and test, pairwise cells of the end-to-end table
	@cargo xtask test

test-full: ## the same, every cell
	@cargo xtask test --full

bench: ## what the agent costs: a fixed load, agent on and off in turn
	@cargo xtask bench

test-kernels: ## every BPF program on the running kernel and, under QEMU, on Debian's 6.1 and 6.12
	@cargo xtask kernels

bpf: ## rebuild the committed BPF object (sets its toolchain up in .cache)
	@cargo xtask bpf
