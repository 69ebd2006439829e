# `make demo` and `make test` do all the set-up that they need: rustup reads rust-toolchain.toml, cargo fetches crates.

.DEFAULT_GOAL := help
.PHONY: help demo test unit tools lint doc bench clean

help: ## what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-6s %s\n", $$1, $$2 }' Makefile

demo: ## from a signed push to a settled chain, on this machine, in one command
	cargo run --locked -- demo

test: tools ## every test: functions, units, and the runtime as a real process
	cargo test --locked --workspace --quiet

tools: ## the servers that tests start, pinned by hash, into .tools/
	@tests/fetch-tools.sh

lint: ## formatting and clippy, warnings denied
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- --deny warnings

doc: ## the documentation, warnings denied
	RUSTDOCFLAGS="--deny warnings" cargo doc --locked --workspace --no-deps

bench: ## the machine's limits beside the runtime's figures
	cargo run --locked --release -- bench

clean: ## what was built and fetched
	cargo clean
	rm -rf .tools
