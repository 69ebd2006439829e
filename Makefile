# `make demo` and `make test` do all the set-up that they need, from rustup, crates.io and PyPI.

.DEFAULT_GOAL := help
.PHONY: help demo test tools toolchain lint doc bench clean

help: ## what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-6s %s\n", $$1, $$2 }' Makefile

demo: toolchain ## from a signed push to a verified release and back, on this machine, in one command
	cargo run --locked -- demo

test: toolchain tools ## every test: functions, units, and the runtime as a real process
	cargo test --locked --workspace --quiet

# rustup reads rust-toolchain.toml by itself, but not where RUSTUP_AUTO_INSTALL is 0.
toolchain: ## the compiler and the wasm target that rust-toolchain.toml names
	@tests/fetch-toolchain.sh

tools: ## the servers that tests start, pinned by hash, into .tools/
	@tests/fetch-tools.sh

lint: toolchain ## formatting and clippy, warnings denied
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- --deny warnings

doc: toolchain ## the documentation, warnings denied
	RUSTDOCFLAGS="--deny warnings" cargo doc --locked --workspace --no-deps

bench: toolchain ## the machine's limits beside the runtime's figures
	cargo run --locked --release -- bench

clean: ## what was built and fetched
	cargo clean
	rm -rf .tools
