#!/bin/sh
# static_archive.sh IN.a OUT.a: links the objects of IN.a into one, makes every hidden symbol local, and archives it.
set -eu
object="$2.segue.o"
trap 'rm -f "$object"' EXIT
# The objects' own format: ld would take the system's.
case $(objdump -f "$1" 2>/dev/null | awk '/file format/ { print $NF; exit }') in
elf32-i386) emulation=elf_i386 ;;
*) emulation=elf_x86_64 ;;
esac
ld -m "$emulation" -r -o "$object" --whole-archive "$1"
objcopy --localize-hidden "$object"
rm -f "$2"
ar rcs "$2" "$object"
