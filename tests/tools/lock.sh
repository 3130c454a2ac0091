#!/bin/sh
# lock.sh [--upgrade]: resolves pyproject.toml into the two lock files, for every Python and platform at once. Pins that
# still fit are kept unless --upgrade is given. uv lives in a folder that is thrown away afterwards.
set -eu
cd "$(dirname "$0")/../.."

temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT
.venv/bin/python -m venv "$temporary"
"$temporary/bin/python" -m pip install --quiet --disable-pip-version-check uv

# One version for all Pythons (fewest): the type checker and the tests see the same numpy everywhere.
lock() {
  "$temporary/bin/uv" pip compile pyproject.toml --quiet --universal --python-version 3.11 --fork-strategy fewest \
    --generate-hashes --no-emit-index-url --custom-compile-command 'make lock' "$@"
}
lock "$@" --output-file requirements.lock
lock "$@" --output-file requirements-dev.lock --extra jobs --group dev --constraint requirements.lock
