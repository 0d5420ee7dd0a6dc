#!/bin/sh
# The crates' formatting, lints and pure tests, for `make lint`: check_crates.sh PYTHON
# Skipped by name where the native extension could not be built either; with TIDEMARK_NATIVE=require that is a failure.
set -eu
python=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
cd "$(dirname "$0")/.."

# One profile without debug information for all: what clippy has built is not built again for the tests.
export CARGO_PROFILE_DEV_DEBUG=0 PYO3_PYTHON="$python"

left_out() {
  if [ "${TIDEMARK_NATIVE:-}" = require ]; then
    echo "cargo fmt, clippy and test of $1 are required, and $2" >&2
    exit 1
  fi
  echo "skipped: cargo fmt, clippy and test of $1: $2"
}

check() {  # FOLDER MODULE
  if ! { cargo fmt --version && cargo clippy --version; } >/dev/null 2>&1; then
    left_out "$1" "no cargo with rustfmt and clippy in PATH"
  elif ! "$python" -c "import $2" 2>/dev/null; then
    left_out "$1" "$2 is not installed"
  else
    manifest="--manifest-path $1/Cargo.toml"
    cargo fmt --check $manifest
    [ ! -d "$1/fuzz" ] || cargo fmt --check --manifest-path "$1/fuzz/Cargo.toml"
    cargo clippy --locked --quiet --all-targets $manifest -- -D warnings
    cargo test --locked --quiet --lib --no-default-features $manifest
  fi
}

check cdc/native cdc.source._native
check schemas/native schemas._native
