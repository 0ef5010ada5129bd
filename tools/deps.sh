#!/bin/sh
# deps.sh [LIST]: installs from Debian what LIST (tools/deps.txt) names and this machine lacks; does nothing when all is
# there.
set -eu
list=${1:-$(dirname "$0")/deps.txt}

missing=
while read -r package reason; do
    case $package in '' | '#'*) continue ;; esac
    dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null | grep -q '^ii' || {
        missing="$missing $package"
        printf 'missing: %-18s %s\n' "$package" "$reason"
    }
done <"$list" 2>/dev/null
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
    echo "deps.sh: this is no Debian system (there is no apt-get); install by hand what $list names, then run make again" >&2
    exit 1
fi
if [ "$(id -u)" -eq 0 ]; then
    as_root=
elif command -v sudo >/dev/null 2>&1; then
    as_root=sudo
else
    echo "deps.sh: run as root, or install sudo; what is needed:$missing" >&2
    exit 1
fi

export DEBIAN_FRONTEND=noninteractive
echo "installing:$missing"
$as_root apt-get update -qq || {
    echo "deps.sh: apt-get update failed; check the network and /etc/apt/sources.list" >&2
    exit 1
}
# shellcheck disable=SC2086 # a list of words
$as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null || {
    echo "deps.sh: apt-get could not install:$missing" >&2
    exit 1
}
