#!/bin/sh
# The crate's formatting, lints and pure tests, for `make lint`: check.sh PYTHON
# Skipped by name where the native engine could not be built either; with TIDEMARK_NATIVE=require that is a failure.
set -eu
python=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
cd "$(dirname "$0")"

why=
if ! { cargo fmt --version && cargo clippy --version; } >/dev/null 2>&1; then
  why="no cargo with rustfmt and clippy in PATH"
elif ! (cd ../.. && "$python" -c "import cdc.source._native") 2>/dev/null; then
  why="the native engine is not installed"
fi
if [ -n "$why" ]; then
  if [ "${TIDEMARK_NATIVE:-}" = require ]; then
    echo "cargo fmt, clippy and test are required, and $why" >&2
    exit 1
  fi
  echo "skipped: cargo fmt, clippy and test of cdc/native: $why"
  exit 0
fi

# One profile without debug information for all: what clippy has built is not built again for the tests.
export CARGO_PROFILE_DEV_DEBUG=0 PYO3_PYTHON="$python"
cargo fmt --check
cargo fmt --check --manifest-path fuzz/Cargo.toml
cargo clippy --locked --quiet --all-targets -- -D warnings
cargo test --locked --quiet --lib --no-default-features
