#!/usr/bin/env bash
# tutorials.sh BUILD SOURCE: the commands of docs/examples.md (indented, behind a $) do what stands below them, with the
# files of an installation under DESTDIR alone. What stands there may leave lines out.
set -uo pipefail
. "$(dirname "$0")/../../support/check.sh"
build=$1 source=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

meson install -C "$build" --no-rebuild --quiet --destdir "$work/root" > "$work/log" 2>&1
check "installs" 0 "$?$(tail -3 "$work/log" | grep -v '^$' | grep -i error)"
pc=$(find "$work/root" -name segue.pc)
command=$(find "$work/root" -path '*/bin/segue')
document=$(find "$work/root" -path '*/doc/segue/docs/examples.md')
libraries=$(dirname "$(dirname "$pc")")
export LD_LIBRARY_PATH=$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} PATH=$(dirname "$command"):$PATH
export PKG_CONFIG_SYSROOT_DIR=$work/root PKG_CONFIG_LIBDIR=$libraries/pkgconfig
cmp -s "$document" "$source/docs/examples.md"
check "the document is installed" 0 $?

# What belongs to the compiler or to a version of Capstone or objdump.
bare() {
    sed -E -e '/^at 0x/d' -e '/^ +0x[0-9a-f]+  /d' -e '/^ +(capstone|objdump) /d' -e '/^rows /s/, disputed .*//' \
        -e 's/^(capstone|lock)([a-z-]+) +[0-9]+/\1\2 N/' -e 's/^patching: [0-9]+ /patching: N /' \
        -e 's/: [0-9]+ sites/: N sites/'
}

# Whether the lines of the first file are in the second, in their order: prints the first that is not.
in_order() {
    awk 'NR == FNR { line[++count] = $0; next } at < count && $0 == line[at + 1] { at++ }
        END { if (at < count) print line[at + 1] }' "$1" "$2"
}

run() {
    local status expected=0
    # A check ends so if rows are outside every class.
    grep -q '^outside every class  *[1-9]' "$work/said" && expected=1
    sh -c "$1" > "$work/out" 2>&1 < /dev/null
    status=$?
    check "$1: ends with its status" $expected "$status$([ $status -le 1 ] || tail -3 "$work/out")"
    bare < "$work/out" > "$work/found"
    bare < "$work/said" > "$work/expected"
    check "$1: prints what the document says" "" "$(in_order "$work/expected" "$work/found")"
}

# SECTION: its commands, in a folder with its program.
tutorial() {
    local name=$1 line shown=
    mkdir "$work/$name"
    cd "$work/$name" || exit 1
    cp "$(dirname "$document")/../examples/$name.c" .
    sed -n "/^## $name\$/,/^## /p" "$document" > ../section
    sed -n '/^    class mine/,/^$/s/^    //p' ../section > mine.txt
    while IFS= read -r line; do
        case $line in
        '    $ '*)
            [ -z "$shown" ] || run "$shown"
            shown=${line#'    $ '}
            : > "$work/said"
            ;;
        '    '*)
            [ -z "$shown" ] || printf '%s\n' "${line#    }" >> "$work/said"
            ;;
        *)
            [ -z "$shown" ] || run "$shown"
            shown=
            ;;
        esac
    done < ../section
}
tutorial patching
tutorial my_decoder

check_end
