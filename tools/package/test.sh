#!/bin/sh
# test.sh SOURCE FOLDER: installs the packages of FOLDER (deb.sh) in a new Debian system, and there, without a network,
# runs the tests of debian/tests as a user without rights. Only Debian's archive is asked for packages.
set -eu
source=$(realpath "$1")
folder=$(realpath "$2")
[ "$(id -u)" -eq 0 ] || { echo "test.sh: only root can make a system; run as root" >&2; exit 1; }
ls "$folder"/libsegue0_*.deb >/dev/null || { echo "test.sh: no packages in $folder: make package" >&2; exit 1; }
root=$folder/root
rm -rf "$root"
trap 'rm -rf "$root"' EXIT

# What the tests want beside our own packages.
wanted=$(sed -n 's/^Depends: //p' "$source/debian/tests/control" | tr -d ' ' | tr ',' '\n' |
    grep -v segue | sort -u | paste -s -d , -)
mmdebstrap --quiet --variant=apt --include="$wanted,util-linux" bookworm "$root" 2>"$folder/system.log" || {
    cat "$folder/system.log"
    exit 1
}
mkdir "$root/packages"
for package in "$folder"/*.deb; do
    case $package in
    *-dbgsym_*) ;;
    *) cp "$package" "$root/packages/" ;;
    esac
done
cp -r "$source/debian/tests" "$root/packages/"
cp /etc/resolv.conf "$root/etc/" 2>/dev/null || :
chroot "$root" env DEBIAN_FRONTEND=noninteractive sh -c \
    'apt-get update -qq; apt-get install -y -qq /packages/*.deb' >>"$folder/system.log" 2>&1 || {
    tail -30 "$folder/system.log"
    exit 1
}

passed=0 failed=0
for test in $(sed -n 's/^Tests: //p' "$source/debian/tests/control"); do
    echo "---- $test"
    if unshare --net --pid --fork --mount-proc="$root/proc" chroot "$root" \
        setpriv --reuid=nobody --regid=nogroup --clear-groups env -i PATH=/usr/bin:/bin LANG=C.UTF-8 HOME=/nonexistent \
        sh "/packages/tests/$test"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: $test"
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
