#!/bin/sh
# deb.sh SOURCE FOLDER: builds Debian's packages of the commit that is checked out, without a network where that can be
# had, and judges them by lintian. DEB_BUILD_OPTIONS as for dpkg-buildpackage: nocheck leaves out the tests.
set -eu
source=$(realpath "$1")
mkdir -p "$2"
folder=$(realpath "$2")
version=$(dpkg-parsechangelog -l "$source/debian/changelog" -S Version)
upstream=${version%-*}
find "$folder" -mindepth 1 -maxdepth 1 -name '*segue*' -exec rm -rf {} +

"$source/tools/package/dist.sh" "$source" "$folder"
mv "$folder/segue-$upstream.tar.xz" "$folder/segue_$upstream.orig.tar.xz"
tar -C "$folder" -xJf "$folder/segue_$upstream.orig.tar.xz"
git -C "$source" ls-files debian | tar -C "$source" -c -T - | tar -C "$folder/segue-$upstream" -x

cd "$folder/segue-$upstream"
without_network=
if unshare -n true 2>/dev/null; then
    without_network='unshare -n'
fi
$without_network dpkg-buildpackage -us -uc -rfakeroot >"$folder/build.log" 2>&1 || {
    tail -60 "$folder/build.log"
    exit 1
}
cd "$folder"
rm -rf "segue-$upstream"
lintian --fail-on error,warning --suppress-tags bad-distribution-in-changes-file ./segue_"$version"_*.changes
ls -l ./*.deb
