/* detour_x86_64.S: templates of the pieces of a detour (detour_linux_x86_64.c). The variable parts are filled in: the
 * four bytes before run_made_number and before run_made_distance, the eight before run_made_site, and those at
 * run_bridge_target.
 *
 *      eax     the system call's number; nothing but rcx and r11, which SYSCALL changes, and no flag is touched
 *      ecx     0: it is the one that the site was met with
 *
 * An `.org` that would go back is an error, so each piece fits its room in layout.h. */
#include <cet.h>

#include "tools/run/host/layout.h"

        .section .text.run_made, "ax", @progbits
        .globl  run_made, run_made_number, run_made_distance, run_made_call, run_made_behind, run_made_site
        .hidden run_made, run_made_number, run_made_distance, run_made_call, run_made_behind, run_made_site
        .globl  run_made_end
        .hidden run_made_end
run_made:
        /* With 32 bits of displacement. */
        leal    -0x7fffffff(%rax), %ecx
run_made_number:
        jecxz   run_made_call
        jmp     run_trapped
run_made_distance:
run_made_call:
        syscall
run_made_behind:
        /* As SYSCALL leaves it: the address behind the site. */
        movabsq $0, %rcx
run_made_site:
        jmp     *%rcx
run_made_end:
        .org    run_made + MADE_SIZE

        .section .text.run_trapped, "ax", @progbits
        .globl  run_trapped, run_trapped_end
        .hidden run_trapped, run_trapped_end
run_trapped:
        syscall
        ud2
run_trapped_end:
        .org    run_trapped + TRAPPED_SIZE

        .section .text.run_bridge, "ax", @progbits
        .globl  run_bridge, run_bridge_target, run_bridge_end
        .hidden run_bridge, run_bridge_target, run_bridge_end
run_bridge:
        jmp     *run_bridge_target(%rip)
run_bridge_target:
        .quad   0
run_bridge_end:
        .org    run_bridge + BRIDGE_SIZE

        .section .note.GNU-stack, "", @progbits
