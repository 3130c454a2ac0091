#!/bin/sh
# Fails when a file of the tree names a folder of somebody's machine or the host of a package registry: such a name works
# for one person only. Each pattern is written so that it does not match itself.
set -eu
cd "$(dirname "$0")/../.."

paths='(^|[^[:alnum:]_.~-])/(root|home/[[:alnum:]_-]+|Users/[[:alnum:]_-]+|work)[/]'
hosts='pypi[.]org|pythonhosted[.]org|registry[.]npmjs|proxy[.]golang[.]org|sum[.]golang[.]org|deb[.]debian[.]org|crates[.]io'

files() {
  if git rev-parse --git-dir >/dev/null 2>&1; then
    git ls-files -z --cached --others --exclude-standard
  else
    find . \( -name '.?*' -o -name __pycache__ \) -prune -o -type f -print0
  fi
}

# grep answers 1 where it finds nothing, which is what we want.
found=$(files | xargs -0 grep -nIE "$paths|$hosts" /dev/null || true)
if [ -n "$found" ]; then
  echo "$found" >&2
  echo 'clean_tree: these lines name a path of one machine or a registry host' >&2
  exit 1
fi
