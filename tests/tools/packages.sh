#!/bin/sh
# Installs the servers that the end-to-end tests and the demo start, if they are missing and this is Debian with root.
# Elsewhere it says what to install; the tests that need it skip themselves, except in CI, where a skip would hide them.
set -eu

# missing PACKAGE COMMAND...: prints PACKAGE unless one of the COMMANDs is there.
missing() {
  package=$1
  shift
  for command in "$@"; do
    if command -v "$command" >/dev/null 2>&1; then return; fi
  done
  echo "$package"
}

all_missing() {
  {
    missing prometheus prometheus
    missing prometheus promtool
    missing prometheus-alertmanager alertmanager prometheus-alertmanager
    missing prometheus-alertmanager amtool
    missing victoria-metrics victoria-metrics victoria-metrics-prod
    # Debian keeps its programs off PATH, a folder for each version.
    missing postgresql initdb /usr/lib/postgresql/*/bin/initdb
  } | sort -u | xargs
}

packages=$(all_missing)
[ -n "$packages" ] || exit 0

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
  echo "tools: missing: $packages; please install them (on Debian: apt-get install --no-install-recommends $packages)" >&2
  [ "${CI:-}" != true ] || exit 1
  exit 0
fi

log=$(mktemp)
policy=/usr/sbin/policy-rc.d
cleanup() {
  rm -f "$log"
  if [ -n "${own_policy:-}" ]; then rm -f "$policy"; fi
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# Packages start their service unless this policy says no (101); ours is in place only while they are installed.
if [ ! -e "$policy" ]; then
  own_policy=yes
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
fi

install() {
  # shellcheck disable=SC2086 # one word per package
  DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends \
    -o DPkg::Lock::Timeout=300 $packages >"$log" 2>&1 </dev/null
}

echo "tools: installing $packages"
# The package lists may be absent or too old; they are fetched only then.
if ! install && ! { apt-get update --quiet >"$log" 2>&1 && install; }; then
  cat "$log" >&2
  echo "tools: apt-get could not install $packages" >&2
  exit 1
fi

# Nothing that the tests brought starts at the next boot.
if command -v systemctl >/dev/null 2>&1; then
  for package in $packages; do
    systemctl disable "$package" >/dev/null 2>&1 || true
  done
fi

packages=$(all_missing)
[ -z "$packages" ] || { echo "tools: still missing after the installation: $packages" >&2; exit 1; }
