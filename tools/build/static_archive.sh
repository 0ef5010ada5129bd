#!/bin/sh
# static_archive.sh IN.a OUT.a [AR]: links the objects of IN.a into one, makes every hidden symbol local, and archives
# it. With AR, for a system whose objects know no hidden symbols and whose linker cannot do that: archives the objects.
set -eu
if [ $# -gt 2 ]; then
    rm -f "$2"
    "$3" t "$1" | xargs "$3" rcs "$2"
    exit
fi
object="$2.segue.o"
trap 'rm -f "$object"' EXIT
# The objects' own format: ld would take the system's.
case $(objdump -f "$1" 2>/dev/null | awk '/file format/ { print $NF; exit }') in
elf32-i386) emulation=elf_i386 ;;
*) emulation=elf_x86_64 ;;
esac
# Functions of one name in several files stay sections of their own: a program's linker can leave each out, and what a
# function reaches can be followed (tests/signals/handler/handler_rules.c).
ld -m "$emulation" -r --unique='.text.*' --unique='.data.*' -o "$object" --whole-archive "$1"
objcopy --localize-hidden "$object"
rm -f "$2"
ar rcs "$2" "$object"
