#!/bin/sh
# facts.sh SOURCE: each fact about x86 stands once, in decode/x86/. Comments may repeat it; code includes the header.
set -u
cd "$1" || exit 1
passed=0 failed=0
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
folders="decode emulate patch ctx signals platform tools/run tools/doctor"

# NAME, then what is wrong.
holds() {
    if [ -z "$2" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf '%s:\n%s\n' "$1" "$2"
    fi
}

# Lines of code outside decode/x86/ that match the expression, without their comments. A comment that goes on over
# several lines begins each with an asterisk, or is prose.
code_lines() {
    grep -rnE "$1" $folders --include='*.[chS]' |
        grep -v '^decode/x86/' | sed 's,/\*.*,,' | grep -vE '^[^:]*:[0-9]*: \*' | grep -E "$1"
}

# A number of the layout under a name of its own, or added to an area's address. Offsets in our own structures have
# names of their own, which the second expression leaves out.
for number in 24 28 32 160 416 464 512 520 576; do
    grep -qE "XSAVE_[A-Z_]+ $number\$" decode/x86/xsave.h ||
        holds "offset $number" 'decode/x86/xsave.h has no such offset'
done
parts='AREA|LEGACY|HEADER|MXCSR|XMM|ST_REG|X87|SOFTWARE|XSTATE|XCOMP|COMPONENT|STATE_'
numbers='(24|28|32|160|416|464|512|520|576)u?\b'
holds 'offsets of the XSAVE area outside decode/x86/xsave.h' "$(
    code_lines "(define|enum \{|, ) *[A-Z0-9_]*($parts)[A-Z0-9_]* *(=|) *$numbers" |
        grep -vE 'define (CONTEXT_MXCSR|CONTEXT_X87_CONTROL|X87_ENVIRONMENT|REPLAY_STATE_BY|HEADERS_READ) '
    code_lines "(area|state|legacy|fpregs|header|xsave)[a-z_)]*( \+ |\[)$numbers"
)"
# Leaf 0DH and XCR0 are read in one place in C. In assembly XGETBV reads what is in use.
holds 'CPUID leaf 0DH outside decode/x86/xsave.c' \
    "$(code_lines 'cpuid.*\b(0xd|0x0d|13|LEAF|CPUID_XSAVE)\b|CPUID_XSAVE +0xd')"
holds 'XGETBV outside decode/x86/xsave.c' "$(code_lines '__asm__.*xgetbv')"
# A flag by its number.
holds 'flags outside decode/x86/flags.h' "$(code_lines 'define +[A-Z_]*FLAG[A-Z_]* +(UINT64_C\()?0x[0-9a-f]+[)u]*$' |
    grep -v 'tools/run/signals/actions_linux.c')"

holds 'the end of the addresses outside decode/x86/canonical.h' \
    "$(code_lines '(<<|>>) *(46|47|48|56|57)\b|CANONICAL_BITS' |
        grep -vE '^platform/linux/memory/addresses_x86_64|words >> 48|<< 48|segments >> 48|major << 56')"
holds 'vectors of exceptions outside decode/x86/traps.h' "$(code_lines 'define TRAP_[A-Z_]+ +[0-9]')"
holds 'vendors outside decode/x86/processor.c' "$(code_lines 'VENDOR_|GenuineIntel|AuthenticAMD')"
holds 'bases of segments outside decode/segments.h' \
    "$(code_lines 'SEGUE_SEGMENT_[FG]S.*->[fg]s_base' | grep -v '^decode/segments.h')"

holds 'SYSCALL outside decode/x86/instructions/syscall.h' \
    "$(code_lines 'define +[A-Z_]*(CALL|SITE)_SIZE +2u?$|0x0f, 0x05\b')"
holds 'opcodes of jumps outside decode/x86/instructions/jumps.h' "$(code_lines 'define +[A-Z_]+ +0x(eb|e9|90)$')"
holds 'the page outside decode/x86/page.h' "$(code_lines '(define +PAGE(_BITS)?|\bPAGE(_BITS)? *=) ')"
holds 'the red zone outside decode/x86/abi_sysv.h' \
    "$(code_lines 'define +RED_ZONE ' | grep -v '^platform/windows/abi.h')"
holds 'error codes of page faults outside decode/x86/traps.h' "$(code_lines 'define +ERROR_(WRITE|FETCH|KEY) ')"
holds 'selectors written down' \
    "$(code_lines '(SEGMENT|_CS|_SS)[a-z_()]* *(=|)=? *0x(33|2b|23|2f)\b|define .*0x(33|2b)$')"
holds 'protection keys asked for outside decode/x86/processor.c' "$(code_lines 'OSPKE|KEYS_IN_USE')"

holds "numbers of Linux' interface outside platform/linux/abi.h" "$(
    code_lines 'define +(ARCH_[GS]ET_[FG]S|HWCAP2_FSGSBASE|FSGSBASE|SS_AUTODISARM|AT_MINSIGSTKSZ|KERNEL_UCONTEXT)' |
        grep -vE '^(platform/linux/abi.h|signals/sigchain/believed.c)')"
# The moves of AVX-512's components need AVX512F and AVX512BW, and nothing else of it: what xsave_movable asks for.
assemble() {
    {
        echo '#include "decode/x86/components.h"'
        echo ".arch generic64"
        for extension in $1; do echo ".arch .$extension"; done
        for move in LOAD_OPMASK STORE_OPMASK LOAD_ZMM_UPPER STORE_ZMM_UPPER LOAD_ZMM_HIGH STORE_ZMM_HIGH; do
            echo "$move %rdx"
        done
        echo 'CLEAR_OPMASK; CLEAR_ZMM_HIGH'
    } >"$scratch/moves.S"
    cc -iquote . -c "$scratch/moves.S" -o "$scratch/moves.o" 2>"$scratch/error"
}
assemble 'avx512f avx512bw' && holds 'moves of AVX-512' '' || holds 'moves of AVX-512' "$(cat "$scratch/error")"
assemble 'avx512f avx512dq' && holds 'moves of AVX-512 without AVX512BW' 'they assemble' ||
    holds 'moves of AVX-512 without AVX512BW' "$(grep -L kmovq "$scratch/error")"

# A file of one processor or one system stops a build for another.
holds 'files without a guard against a wrong build' "$(
    find decode emulate patch ctx signals platform -name '*.[chS]' |
        grep -E '_x86_64\.|_linux[_.]|^platform/(linux|posix|windows|freebsd)/' |
        xargs grep -L '^#error ')"

echo "[  PASSED  ] $passed test(s)."
[ "$failed" = 0 ]
