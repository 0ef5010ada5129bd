#!/usr/bin/env bash
# asm_formats.sh SOURCE: every assembly file of the library assembles for ELF, COFF and Mach-O (platform/asm.h), and
# defines the same names for C in each. What the code then does on such a system, this does not show. Files that make
# Linux's system calls are no exception: the formats are what is compared. Those of platform/ that are specific to a
# system are left out.
set -uo pipefail
. "$(dirname "$0")/../../support/check.sh"
cd "$1" || exit 1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

flags=(-I include -iquote . -D__linux__)
# The kernel's headers, which a compiler for another system does not look for.
for folder in $(echo '#include <asm/errno.h>' | "${CC:-cc}" -M -x c - | tr ' ' '\n' |
    sed -nE 's,/asm(-generic)?/[^/]*$,,p' | sort -u); do
    flags+=(-idirafter "$folder")
done
files=$(find decode emulate patch ctx signals platform -name '*_x86_64.S' ! -path '*/win64/*' |
    xargs grep -LE 'is specific to (ELF|Linux|macOS)' | sort)
# With the unwind data of Windows, which only COFF has.
windows=$(find ctx -name '*_x86_64.S' -path '*/win64/*' | sort)

# FORMAT COMPILER...: the names of all files, or what the assembler says.
assemble() {
    local format=$1 file
    shift
    for file in $files; do
        "$@" "${flags[@]}" -c "$file" -o "$work/$format.o" 2>"$work/said" || {
            echo "$file: $(head -3 "$work/said")"
            continue
        }
        "$nm" -g --defined-only "$work/$format.o" | awk 'NF == 3 { print $3 }'
    done | sort
}

# The labels between a CFI region's beginning and end that begin an atom in Mach-O, whose assembler refuses them from
# LLVM 15 on. A number or an L makes a label private.
labels_in_regions() {
    for file in $files; do
        clang --target=x86_64-apple-darwin "${flags[@]}" -E "$file" | tr ';' '\n' | awk -v file="$file" '
            /\.cfi_startproc/ { inside = 1 }
            /\.cfi_endproc/ { inside = 0 }
            inside && /^[ \t]*[A-Za-z_.$][A-Za-z0-9_.$\\]*:/ && !/^[ \t]*L/ { print file ": " $1 }'
    done
}

nm=nm
elf=$(assemble elf "${CC:-cc}" -fcf-protection=full)
check "ELF" "" "$(echo "$elf" | grep ' ')"
check "ELF has all files' names" yes "$([ "$(echo "$elf" | wc -l)" -ge 60 ] && echo yes || echo "$elf")"

if command -v x86_64-w64-mingw32-gcc >/dev/null; then
    nm=x86_64-w64-mingw32-nm
    check "COFF" "" "$(diff <(echo "$elf") <(assemble coff x86_64-w64-mingw32-gcc))"
    check "COFF, with unwind data" "" "$(files=$windows; assemble coff x86_64-w64-mingw32-gcc | grep ' ')"
else
    echo "SKIP: COFF: x86_64-w64-mingw32-gcc is missing"
fi

if command -v clang >/dev/null; then
    nm=$(command -v llvm-nm || compgen -c llvm-nm- | head -1)
    if [ -n "$nm" ]; then
        check "Mach-O" "" \
            "$(diff <(echo "$elf") <(assemble macho clang --target=x86_64-apple-darwin | sed 's/^_//' | sort))"
    else
        echo "SKIP: Mach-O: llvm-nm is missing"
    fi
    check "no label begins an atom inside a CFI region" "" "$(labels_in_regions)"
else
    echo "SKIP: Mach-O: clang is missing"
fi

check_end
