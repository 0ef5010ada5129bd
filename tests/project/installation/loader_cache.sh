#!/usr/bin/env bash
# loader_cache.sh SCRIPT BUILD: what an installation does so that the loader finds the library. ldconfig and id are
# stood in for.
set -uo pipefail
. "$(dirname "$0")/../../support/check.sh"
script=$1 build=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

printf '#!/bin/sh\necho "$USER_ID"\n' > "$work/id"
printf '#!/bin/sh\necho ldconfig >> "%s/calls"\nexit "$STATUS"\n' "$work" > "$work/ldconfig"
chmod +x "$work/id" "$work/ldconfig"

# USER_ID STATUS: runs the script; prints how often ldconfig ran, and the script's status.
outcome() {
    rm -f "$work/calls"
    USER_ID=$1 STATUS=$2 PATH=$work:$PATH "$script" > "$work/said" 2>&1
    local status=$?
    echo "$(cat "$work/calls" 2> /dev/null | wc -l) $status"
}
check "root runs ldconfig once" "1 0" "$(outcome 0 0)"
check "who is not root does not" "0 0" "$(outcome 1000 0)"
check "that it fails does not fail the installation" "1 0" "$(outcome 0 1)"
installs() {
    meson install -C "$build" --no-rebuild --dry-run "$@" 2>&1 | grep -c 'Running custom install script.*loader_cache'
}
check "an installation runs it" 1 "$(installs)"
check "one for another root does not" 0 "$(installs --destdir "$work/root")"

check_end
