#!/bin/sh
# dist.sh SOURCE FOLDER [URL]: the release of the commit that is checked out, the same bytes whenever it is made:
# segue-VERSION.tar.xz, its SHA-256, and segue.wrap, with which a meson project has it as a subproject. URL is where the
# tarball will be; without it, the wrap takes it from the project's own subprojects/packagefiles.
set -eu
source=$1 folder=$2 url=${3:-}
version=$(sed -n "s/^  version: '\(.*\)',/\1/p" "$source/meson.build")
name=segue-$version
git -C "$source" rev-parse --verify -q HEAD >/dev/null || { echo "dist.sh: $source is no git repository" >&2; exit 1; }
[ -z "$(git -C "$source" status --porcelain --untracked-files=no)" ] ||
    echo "dist.sh: changes that are not committed are left out" >&2
mkdir -p "$folder"
# git gives each file the commit's time, and no owner. One thread: with more, xz splits by their number.
git -C "$source" -c tar.umask=0022 archive --format=tar --prefix="$name/" HEAD |
    xz -9 -T1 --check=crc64 >"$folder/$name.tar.xz"
sum=$(sha256sum "$folder/$name.tar.xz" | cut -d ' ' -f 1)
echo "$sum  $name.tar.xz" >"$folder/$name.tar.xz.sha256"
{
    echo '[wrap-file]'
    echo "directory = $name"
    [ -z "$url" ] || echo "source_url = $url/$name.tar.xz"
    echo "source_filename = $name.tar.xz"
    echo "source_hash = $sum"
    echo
    echo '[provide]'
    echo 'segue = segue_dep'
} >"$folder/segue.wrap"
