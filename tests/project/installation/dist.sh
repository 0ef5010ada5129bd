#!/usr/bin/env bash
# dist.sh SOURCE: the release is the same bytes when it is made again, and is a subproject with the wrap that is made
# beside it, without a network.
set -uo pipefail
. "$(dirname "$0")/../../support/check.sh"
source=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if ! git -C "$source" rev-parse -q --verify HEAD > /dev/null 2>&1; then
    echo "SKIP: $source is no git repository"
    exit 77
fi

make_in() {
    (umask "$1" && TZ=$2 "$source/tools/package/dist.sh" "$source" "$3" "${@:4}" 2> /dev/null)
}
make_in 022 UTC "$work/one"
check "is made" 0 $?
sleep 1
make_in 077 Asia/Tokyo "$work/two" https://example.org/releases
check "is made again" 0 $?
check "with the same bytes" 0 "$(cmp "$work"/one/*.tar.xz "$work"/two/*.tar.xz 2>&1; echo $?)"
tarball=$(basename "$work"/one/*.tar.xz)
name=${tarball%.tar.xz}
check "the sum is that of the tarball" "$tarball: OK" "$(cd "$work/one" && sha256sum -c ./*.sha256 2>&1)"
check "nothing outside its folder" "$name" "$(tar -tf "$work/one/$tarball" | cut -d / -f 1 | sort -u)"
check "nothing of a distribution's" "" "$(tar -tf "$work/one/$tarball" | grep "^$name/debian/")"
version=$(sed -n "s/^  version: '\(.*\)',/\1/p" "$source/meson.build")
check "the changes begin with it, and its day" yes \
    "$(grep -m 1 '^## ' "$source/CHANGELOG.md" | has -E "^## $version \([0-9]{4}-[0-9]{2}-[0-9]{2}\)$" && echo yes)"
check "Debian's changes too" "$version $(sed -n '/^## /{s/.*(\(.*\))/\1/p;q}' "$source/CHANGELOG.md")" \
    "$(sed -n '1s/.*(\(.*\)-[0-9]*).*/\1/p' "$source/debian/changelog") $(date -u +%F \
        -d "$(sed -n 's/^ -- .*>  //p' "$source/debian/changelog" | head -n 1)")"
check "the wrap has the address" "source_url = https://example.org/releases/$tarball" \
    "$(grep source_url "$work/two/segue.wrap")"

mkdir -p "$work/parent/subprojects/packagefiles"
cp "$work/one/segue.wrap" "$work/parent/subprojects/"
cp "$work/one/$tarball" "$work/parent/subprojects/packagefiles/"
cat > "$work/parent/meson.build" << 'MESON'
project('parent', 'c', meson_version: '>=1.0')
segue = dependency('segue', required: true)
assert(segue.version() == subproject('segue').get_variable('segue_dep').version())
MESON
meson setup --wrap-mode=forcefallback "$work/build" "$work/parent" > "$work/log" 2>&1
check "the wrap is enough" 0 "$?$(grep ERROR "$work/log")"

check_end
