#!/usr/bin/env bash
# library_alone.sh SOURCE: where pkg-config knows cmocka alone, what needs more is left out with a message, and the rest
# is configured; where all is asked for, that is an error. Nothing is compiled.
set -uo pipefail
. "$(dirname "$0")/../../support/check.sh"
source=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

mkdir "$work/known"
cp "$(pkg-config --variable=pcfiledir cmocka)/cmocka.pc" "$work/known/"
export PKG_CONFIG_LIBDIR=$work/known
unset PKG_CONFIG_PATH

# NAME OPTION...: configures a build of this name.
setup() {
    meson setup "$work/$1" "$source" "${@:2}" >"$work/$1.log" 2>&1
}
says() {
    grep -q -e "$2" "$work/$1.log" && echo yes || cat "$work/$1.log"
}
has() {
    grep -q -e " / $1\$" "$work/tests" && echo yes || echo no
}

setup auto
check "configures" 0 $?
check "the command is left out" yes \
    "$(says auto 'Message: tools is left out: without .*libelf-dev, .*libjansson-dev, liblzma-dev ')"
check "a test is left out" yes "$(says auto 'Message: without libelf-dev: tests left out: handler_rules')"
check "a demo is left out" yes "$(says auto 'Message: without liblua5.4-dev: left out: segue demo lua')"
meson test -C "$work/auto" --no-rebuild --list >"$work/tests" 2>/dev/null
check "which is not there" "no no" "$(has handler_rules) $(has differential)"
check "others are" "yes yes yes" "$(has decode) $(has handler) $(has example_device)"

setup full -Dfull=true
check "all of it is not there" 1 $?
setup tools -Dtools=true
check "nor is a part that is asked for" 1 $?

check_end
