#!/bin/sh
# Prints each Python that can run this project, newest first, one of a kind: "3.13 /path/to/python3.13".
# Each candidate is started, because a shim on PATH may stand for an interpreter that is not there.
set -eu

data="${XDG_DATA_HOME:-$HOME/.local/share}"
probe='import ensurepip, sys, venv; print("%d.%d" % sys.version_info[:2])'

for minor in 3.14 3.13 3.12 3.11; do
  for python in "python$minor" python3 "$HOME/.pyenv/versions/$minor".*/bin/python3 \
    "$data/uv/python/cpython-$minor".*/bin/python3; do
    path=$(command -v "$python" 2>/dev/null) || continue
    [ "$("$path" -c "$probe" 2>/dev/null)" = "$minor" ] || continue
    echo "$minor $path"
    break
  done
done
