#!/bin/sh
# Checks the committed rules, their tests and the Alertmanager files with the promtool and amtool on PATH.
set -eu
cd "$(dirname "$0")/../.."

# check COMMAND ARGUMENT... FILE...: runs it over the files; a glob that matches nothing is no file, hence no check.
check() {
  for last in "$@"; do :; done
  [ -e "$last" ] || return 0
  if ! command -v "$1" >/dev/null 2>&1; then
    echo "artefacts: $1 is missing, skipped: $*" >&2
    [ "${CI:-}" != true ]
    return
  fi
  "$@"
}

check promtool check rules --lint-fatal rules/*.yml
# Two at a time, a thread each and seldom collecting garbage: each file is a world of its own.
if command -v promtool >/dev/null 2>&1; then
  printf '%s\0' rules/tests/*.yml | GOMAXPROCS=1 GOGC=400 xargs -0 -n 1 -P 2 promtool test rules
else
  check promtool test rules rules/tests/*.yml
fi
for file in alertmanager/*.yml; do
  check amtool check-config "$file"
done
