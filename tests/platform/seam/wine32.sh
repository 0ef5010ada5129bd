#!/bin/bash
# wine32.sh make SYSTEM: makes a Debian for i386 with Wine in the folder SYSTEM, unless it is there: 400 MB are fetched,
# and it takes 1.1 GB. Only root can.
# wine32.sh run SYSTEM SHOWN PROGRAM [ARGUMENT...]: runs a program for Windows on i386 there; it sees the folder SHOWN
# where it is here.
set -euo pipefail
verb=$1
system=$2
shift 2
case $verb in
make)
    [ -f "$system/complete" ] && exit 0
    [ "$(id -u)" = 0 ] || { echo "wine32.sh: only root can make a Debian for i386 in $system" >&2; exit 2; }
    rm -rf "$system"
    mkdir -p "$(dirname "$system")"
    debootstrap --arch=i386 --variant=minbase --include=wine,wine32 bookworm "$system" >"$system.log" 2>&1 ||
        { tail "$system.log" >&2; exit 1; }
    rm -rf "$system"/var/cache/apt/archives/*.deb "$system"/var/lib/apt/lists/*
    touch "$system/complete"
    ;;
run)
    shown=$1
    shift
    mkdir -p "$system/$shown"
    # What is mounted is seen by this program and its children alone, and goes with them.
    exec unshare --mount sh -c '
        system=$1 shown=$2 here=$3
        shift 3
        mount --bind /dev "$system/dev" && mount -t proc proc "$system/proc" && mount --bind "$shown" "$system/$shown"
        exec chroot "$system" sh -c "cd \"\$0\" && exec wine \"\$@\"" "$here" "$@"' \
        sh "$system" "$shown" "$PWD" "$@"
    ;;
esac
