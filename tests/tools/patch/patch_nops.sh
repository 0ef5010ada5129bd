#!/usr/bin/env bash
# patch_nops.sh SEGUE: an instruction that does nothing, though one decoder refuses it, does not end the code of a
# function: the fs: accesses behind it are patched as without it.
set -uo pipefail
. "$(dirname "$0")/../../support/check.sh"
segue=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

# The sites that are patched in a program whose main begins with the bytes.
patched() {
  cat > one.S <<END
        .globl  main
        .type   main, @function
main:   .cfi_startproc
        $1
        movq    %fs:-8, %rax
        xorl    %eax, %eax
        ret
        .cfi_endproc
        .size   main, . - main
        .section .note.GNU-stack, "", @progbits
END
  gcc -nostartfiles -nostdlib -static -Wl,-e,main -o one one.S || return
  "$segue" patch --dry-run --json one | python3 -c 'import json, sys; print(len(json.load(sys.stdin)["sites"]))'
}

check "without" 1 "$(patched '')"
for bytes in '0x66,0x0f,0x1a,0xc5' '0xf2,0x44,0x0f,0x1b,0x5d,0xba' '0x0f,0x1a,0x30' '0xf3,0x0f,0x1b,5,0,0,0,0' \
  '0x66,0x44,0x0f,0x1a,0x84,0xc8,0,0,0,0'; do
  check "behind $bytes" 1 "$(patched ".byte $bytes")"
done
check "behind what is no instruction" 0 "$(patched '.byte 0x66,0xf3,0x0f,0xae,0x20')"

check_end
