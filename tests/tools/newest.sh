#!/bin/sh
# Builds the newest Prometheus and Alertmanager from the modules pinned beside this file, once per version, and
# prints the folders to put first on PATH, joined by colons. Prints nothing on stdout when there is no Go to build with.
set -eu
cd "$(dirname "$0")"

cache="${XDG_CACHE_HOME:-$HOME/.cache}/tocsin-tools"

say() { echo "newest: $*" >&2; }

# pinned MODULE FOLDER: the version that FOLDER/go.mod requires; needs no Go, so a warm cache is enough.
pinned() { awk -v module="$1" '{ for (i = 1; i < NF; i++) if ($i == module) { print $(i + 1); exit } }' "$2/go.mod"; }

# build NAME VERSION TAGS: leaves the commands that NAME/go.mod lists as tools in the cache, all or none; prints their folder.
build() {
  folder="$cache/$1-$2"
  if [ ! -d "$folder" ]; then
    command -v go >/dev/null 2>&1 || return 3
    mkdir -p "$cache" && fresh=$(mktemp -d "$cache/.$1.XXXXXX") || return 1
    say "building $1 $2"
    (cd "$1" && CGO_ENABLED=0 GOWORK=off go build -mod=readonly -trimpath -buildvcs=false -tags "$3" \
      -ldflags "-s -w -X github.com/prometheus/common/version.Version=$2" -o "$fresh/" tool) >&2 ||
      { rm -rf "$fresh"; return 1; }
    if [ -d "$folder" ]; then rm -rf "$fresh"; else chmod 755 "$fresh" && mv "$fresh" "$folder" || return 1; fi
  fi
  echo "$folder"
}

no_go() {
  [ "$1" -eq 3 ] || exit "$1"
  say "Go is missing (https://go.dev/doc/install): the newest Prometheus and Alertmanager are not tested"
  [ "${CI:-}" != true ] || exit 1
  exit 0
}

# Prometheus 3.15.0 is module version v0.315.0.
prometheus=$(pinned github.com/prometheus/prometheus prometheus | sed -E 's/^v0\.([0-9])0?([0-9]+)\./\1.\2./')
alertmanager=$(pinned github.com/prometheus/alertmanager alertmanager | sed 's/^v//')

first=$(build prometheus "$prometheus" remove_all_sd) || no_go $?
second=$(build alertmanager "$alertmanager" '') || no_go $?
echo "$first:$second"
