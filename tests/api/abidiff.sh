#!/bin/sh
# abidiff.sh SOURCE LIBRARY [--rebase]: the shared library has the binary interface of tests/api/segue.abi, which is
# written again with --rebase: free until the tag 0.2.0, additions alone from then on (docs/abi.md).
set -u
source=$1 library=$2
dump=$source/tests/api/segue.abi
options="--drop-private-types --exported-interfaces-only"
if ! command -v abidw > /dev/null || ! command -v abidiff > /dev/null; then
    echo 'SKIP: abigail-tools is not installed'
    exit 77
fi
# It sees types by their debug information, and link-time optimisation and sanitizers change it.
if ! readelf -SW "$library" | grep -q '\.debug_info'; then
    echo "SKIP: $library has no debug information"
    exit 77
fi
if [ "${3:-}" = --rebase ]; then
    # shellcheck disable=SC2086
    abidw --headers-dir "$source/include/segue" $options --no-corpus-path --no-comp-dir-path --no-show-locs \
        --no-elf-needed \
        --no-write-default-sizes --type-id-style hash --out-file "$dump" "$library"
    exit
fi
failed=0
abidiff --exported-interfaces-only "$dump" "$library" || failed=1
# A struct of another size is found.
other=$(mktemp)
trap 'rm -f "$other"' EXIT
sed "/class-decl name='segue_region'/s/size-in-bits='[0-9]*'/size-in-bits='1152'/" "$dump" > "$other"
if cmp -s "$dump" "$other" || abidiff --exported-interfaces-only "$other" "$library" > /dev/null; then
    echo "FAILED: another size of struct segue_region is not found"
    failed=1
fi
[ "$failed" = 0 ] || echo "If it is meant: tests/api/abidiff.sh SOURCE LIBRARY --rebase, and say so in CHANGELOG.md"
exit "$failed"
