#!/bin/sh
# static_archive.sh IN.a OUT.a: links the objects of IN.a into one, makes every hidden symbol local, and archives it.
set -eu
object="$2.segue.o"
trap 'rm -f "$object"' EXIT
ld -r -o "$object" --whole-archive "$1"
objcopy --localize-hidden "$object"
rm -f "$2"
ar rcs "$2" "$object"
