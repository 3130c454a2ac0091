#!/bin/sh
# venv.sh FOLDER [PYTHON]: a virtual environment with everything in requirements-dev.lock, each file checked against its
# hash, and this project as an editable install. Keeps an environment that works; PYTHON defaults to the newest there is.
set -eu
cd "$(dirname "$0")/../.."
folder=$1
python=${2:-}

if ! "$folder/bin/python" -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
  [ -n "$python" ] || python=$(tests/tools/pythons.sh | sed -n '1s/^[^ ]* //p')
  if [ -z "$python" ]; then
    echo "setup: Python 3.11 to 3.14 with venv and ensurepip is needed (on Debian: apt-get install python3 python3-venv)" >&2
    exit 1
  fi
  rm -rf "$folder"
  "$python" -m venv "$folder"
fi

echo "setup: installing requirements-dev.lock into $folder ($("$folder/bin/python" --version))"
"$folder/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check --only-binary :all: --require-hashes \
  -r requirements-dev.lock
# pip compiles one file after the other, the tests of others too, and takes longer for that than for the rest.
"$folder/bin/python" -m compileall -q -j 0 -x '/tests?/' "$folder"/lib/python3.*/site-packages ||
  echo "setup: not everything was compiled, which only takes time when it is used" >&2
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-index --no-deps --no-build-isolation --editable .
