#!/bin/sh
# ctx_layout.sh CC SOURCE: a field that the assembly uses cannot move unseen: with any of these changes to a header the
# build stops at an assertion of ctx/layout.c or one of the files beside it; without any it goes on.
set -eu
cc=$1 source=$2
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
mkdir -p "$copy/decode"
cp -r "$source/ctx" "$source/include" "$source/platform" "$copy"
cp -r "$source/decode/x86" "$copy/decode"

builds() {
    for part in layout layout_clone layout_signals layout_x86_64; do
        "$cc" -std=gnu17 -I"$copy/include" -iquote "$copy" -c "$copy/ctx/$part.c" -o "$copy/layout.o" \
            2>"$copy/errors" || return 1
    done
}

builds || { cat "$copy/errors"; exit 1; }
total=0 failed=0
# FILE EXPRESSION
while read -r file expression; do
    total=$((total + 1))
    cp "$copy/$file" "$copy/before"
    sed -i "$expression" "$copy/$file"
    if cmp -s "$copy/before" "$copy/$file"; then
        echo "$file: nothing to change for $expression"
        failed=$((failed + 1))
    elif builds; then
        echo "$file: builds with $expression"
        failed=$((failed + 1))
    elif ! grep -q 'static.assert' "$copy/errors"; then
        cat "$copy/errors"
        failed=$((failed + 1))
    fi
    cp "$copy/before" "$copy/$file"
done <<'END'
include/segue/context.h s/stack_pointer, frame_pointer, instruction;/frame_pointer, stack_pointer, instruction;/
include/segue/context.h s/stack_pointer, frame_pointer, instruction;/stack_pointer, instruction, frame_pointer;/
include/segue/context.h s/^    uint32_t flags;$/    uint32_t more, flags;/
include/segue/context.h s/^    uint32_t mxcsr;$/    uint16_t mxcsr;/
include/segue/context.h s/^    uint16_t x87_control;$/    uint16_t more, x87_control;/
include/segue/context.h s/^    struct segue_context \*parent;$/    struct segue_context *more, *parent;/
include/segue/context.h s/^    struct segue_context \*caller;$/    struct segue_context *more, *caller;/
include/segue/context.h s/^    uint64_t rax, rdx;$/    uint64_t rdx, rax;/
include/segue/context.h s/xmm0.16., xmm1.16.;/xmm1[16], xmm0[16];/
include/segue/context.h s/SEGUE_CONTEXT_FIXED_CONTROL = 1/SEGUE_CONTEXT_FIXED_CONTROL = 8/
include/segue/try.h s/^    uint64_t registers.8.;$/    uint64_t registers[9];/
include/segue/try.h s/^    struct segue_trial \*outer;$/    struct segue_trial *more, *outer;/
include/segue/guest.h s/^    uint64_t trap_num, error_code;$/    uint64_t error_code, trap_num;/
include/segue/guest.h s/SEGUE_GUEST_CALLED = 0x100/SEGUE_GUEST_CALLED = 0x102/
include/segue/guest.h s/SEGUE_GUEST_STOPPED = 0x101/SEGUE_GUEST_STOPPED = 0x102/
include/segue/regs.h s/uint64_t rax, rbx, rcx,/uint64_t rax, rcx, rbx,/
include/segue/regs.h s/uint64_t r8, r9, r10, r11,/uint64_t r8, r9, r11, r10,/
include/segue/regs.h s/^    uint64_t rip;$/    uint64_t more, rip;/
include/segue/regs.h s/^    uint64_t rflags;$/    uint64_t more, rflags;/
include/segue/regs.h s/fs_base, gs_base;/gs_base, fs_base;/
ctx/guest/gate.h s/^    uint64_t iret.5.;$/    uint64_t iret[6];/
ctx/guest/gate.h s/host_rsp, host_fs, host_gs;/host_rsp, host_gs, host_fs;/
ctx/guest/gate.h s/^    uint32_t host_mxcsr;$/    uint32_t more, host_mxcsr;/
ctx/guest/gate.h s/^    uint16_t host_x87;$/    uint16_t more, host_x87;/
ctx/guest/gate.h s/^    uint32_t place;$/    uint32_t more, place;/
ctx/guest/gate.h s/^    uint32_t stop;$/    uint32_t more, stop;/
ctx/guest/gate.h s/^    uint32_t reason;$/    uint32_t more, reason;/
ctx/guest/gate.h s/^    uint64_t features;$/    uint64_t more, features;/
ctx/guest/gate.h s/^    uint64_t in, out;$/    uint64_t out, in;/
ctx/guest/gate.h s/now_fs, now_gs;/now_gs, now_fs;/
ctx/guest/gate.h s/^    uint32_t by_moves;$/    uint64_t more; uint32_t by_moves;/
ctx/guest/gate.h s/\*ymm_upper, \*opmask,/*opmask, *ymm_upper,/
ctx/guest/gate.h s/\*zmm_upper, \*zmm_high;/*zmm_high, *zmm_upper;/
ctx/guest/gate.h s/^    int32_t number;$/    int32_t more, number;/
ctx/guest/gate.h s/^    struct gate \*gate;$/    struct gate *gate, *more;/
ctx/restore/landing.h s/uint64_t rax, rbx,/uint64_t rbx, rax,/
ctx/restore/landing.h s/uint64_t r8, r9,/uint64_t r9, r8,/
ctx/restore/landing.h s/rip, cs, rflags,/rip, rflags, cs,/
ctx/restore/landing.h s/^    const void \*shortcut;$/    const void *more, *shortcut;/
ctx/context/record.h s/next_frame, return_address;/return_address, next_frame;/
ctx/context/record.h s/^    uint64_t vector_count;$/    uint64_t more, vector_count;/
ctx/clone/clone.h s/first, second,/second, first,/
ctx/clone/clone.h s/uint64_t low, high;/uint64_t high, low;/
ctx/clone/clone.h s/^    size_t room;$/    size_t more, room;/
ctx/clone/clone.h s/^    struct clone_child \*child;$/    struct clone_child *more, *child;/
END
[ "$failed" = 0 ] || exit 1
echo "[  PASSED  ] $total test(s)."
