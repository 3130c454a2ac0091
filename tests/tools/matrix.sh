#!/bin/sh
# The unit tests on every other Python there is, but for those that ask promtool, whose answer is the same; then the
# end-to-end tests and the committed rules with the newest Prometheus and Alertmanager; before these, more of what proves
# that Tocsin acts at most once (tests/proof). Further arguments go to pytest.
set -eu
cd "$(dirname "$0")/../.."

version='import sys; print("%d.%d" % sys.version_info[:2])'
main=$(.venv/bin/python -c "$version")

# All of CI has 25 minutes: there the oldest other Python stands for those in between.
others() { tests/tools/pythons.sh | awk -v main="$main" '$1 != main'; }
wanted() { if [ "${CI:-}" = true ]; then others | sort -t . -k 2 -n | head -n 1; else others; fi; }

wanted | while read -r minor python; do
  ${MAKE:-make} --no-print-directory ".venv-$minor/.stamp" PYTHON="$python" </dev/null
  echo "matrix: unit tests on Python $minor"
  WITHOUT_SERVERS=true ".venv-$minor/bin/python" -m pytest -m 'not e2e' --ignore tests/proof "$@" </dev/null
done

# Not in CI, for the same reason: `make test` has killed twenty times by then.
if [ "${CI:-}" != true ]; then
  echo "matrix: ten times as many kills as in the tests"
  TOCSIN_PROOF=matrix .venv/bin/python -m pytest -rP tests/proof "$@"
fi

newest=$(tests/tools/newest.sh)
[ -n "$newest" ] || exit 0
PATH="$newest:$PATH"
export PATH
echo "matrix: end-to-end tests on $(prometheus --version 2>&1 | sed 1q), $(alertmanager --version 2>&1 | sed 1q)"
tests/tools/artefacts.sh
# Each of these starts servers of its own: more at a time would only wait for one another.
.venv/bin/python -m pytest -m e2e "$@" --numprocesses 2
