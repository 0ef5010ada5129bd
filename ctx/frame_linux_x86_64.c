/* frame_linux_x86_64.c: what ctx changes in the signal frame of Linux on x86-64.
 *
 * SOURCES: Linux arch/x86/include/uapi/asm/sigcontext.h; Intel SDM volume 1, 10.5.1 (FXSAVE area: status word at 2,
 * abridged tag word at 4) and 3.4.3 (flags). */
#if !defined(__linux__) || !defined(__x86_64__)
#error "frame_linux_x86_64.c is specific to Linux on x86-64"
#endif

#include "frame.h"

#include <string.h>
#include <ucontext.h>

#define FLAG_TRAP 0x100
#define FLAG_DIRECTION 0x400
#define FLAG_ALIGNMENT 0x40000

/* An interrupted x87 or MMX computation is left behind; its registers and pending exceptions must not be. */
static void empty_x87(ucontext_t *frame)
{
    struct _libc_fpstate *legacy = frame->uc_mcontext.fpregs;
    if (!legacy)
        return;
    legacy->swd = 0;
    legacy->ftw = 0;
}

void frame_call(void *ucontext, uint64_t instruction, uint64_t argument)
{
    ucontext_t *frame = ucontext;
    greg_t *registers = frame->uc_mcontext.gregs;
    registers[REG_RIP] = (greg_t)instruction;
    registers[REG_RDI] = (greg_t)argument;
    registers[REG_EFL] &= ~(greg_t)(FLAG_TRAP | FLAG_DIRECTION | FLAG_ALIGNMENT);
    empty_x87(frame);
}

void frame_set_mask(void *ucontext, uint64_t mask)
{
    memcpy(&((ucontext_t *)ucontext)->uc_sigmask, &mask, sizeof mask);
}
