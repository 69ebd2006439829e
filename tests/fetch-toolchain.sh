#!/bin/sh
# Installs what rust-toolchain.toml names, where it is not there yet. Without rustup, cargo itself says what is missing.
set -eu
command -v rustup >/dev/null || exit 0
cd "$(dirname "$0")/.."
read_toml() { sed -n "s/^$1 = //p" rust-toolchain.toml | tr -d '[]",'; }
channel=$(read_toml channel)
rustup toolchain list | grep -q "^$channel" || rustup toolchain install "$channel" --profile minimal
for target in $(read_toml targets); do
    rustup target list --toolchain "$channel" --installed | grep -qx "$target" ||
        rustup target add --toolchain "$channel" "$target"
done
for component in $(read_toml components); do
    rustup component list --toolchain "$channel" --installed | grep -q "^$component" ||
        rustup component add --toolchain "$channel" "$component"
done
