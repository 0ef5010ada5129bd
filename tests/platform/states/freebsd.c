/* freebsd.c: see system.h. Under the loader the bases are those of Linux's C library; on i386 no segment is behind FS,
 * as there would be on FreeBSD. */
#if !defined(__FreeBSD__)
#error "freebsd.c is specific to FreeBSD"
#endif

#include "system.h"

#include <machine/sysarch.h>
#include <segue/handler.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "decode/x86/flags.h"
#include "platform/frame/frame.h"

#define STACK_SIZE ((size_t)1 << 20)
#if defined(__i386__)
#define INSTRUCTION mc_eip
#define get_fs_base i386_get_fsbase
#define get_gs_base i386_get_gsbase
#else
#define INSTRUCTION mc_rip
#define get_fs_base amd64_get_fsbase
#define get_gs_base amd64_get_gsbase
#endif

volatile struct fault_seen seen;
static void *handler_stack;

static void on_signal(int number, siginfo_t *info, void *context)
{
    mcontext_t *machine = &((ucontext_t *)context)->uc_mcontext;
    const uintptr_t at = (uintptr_t)machine->INSTRUCTION;
    frame_clear_flags(FLAG_ALIGNMENT);
    if (at - CODE >= CASES * SLOT) {
        signal(number, SIG_DFL);
        return;
    }
    seen = (struct fault_seen){(uint32_t)number, (uint64_t)info->si_code << 32 | (uint32_t)machine->mc_trapno,
                               (uint64_t)(uintptr_t)info->si_addr, at};
    machine->INSTRUCTION = (register_t)(uintptr_t)oracle_landing;
}

bool system_prepare(void)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    handler_stack = malloc(STACK_SIZE);
    const stack_t stack = {.ss_sp = handler_stack, .ss_size = STACK_SIZE};
    void *code = (void *)(uintptr_t)CODE;
    if (!stack.ss_sp || sigaltstack(&stack, NULL) != 0)
        return false;
    sigfillset(&action.sa_mask);
    for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++)
        sigaction(signals[i], &action, NULL);
    return mmap(code, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANON | MAP_FIXED, -1, 0) == code &&
           segue_install(NULL) == SEGUE_OK;
}

uint64_t system_components(void)
{
    return frame_components();
}

bool system_has_handler_stack(void)
{
    return true;
}

bool system_is_handler_stack(uint64_t address)
{
    return address - (uintptr_t)handler_stack <= STACK_SIZE;
}

bool system_resumes_by_stack(void)
{
    return false;
}

bool system_knows_base(unsigned segment)
{
    return segment == SEGUE_SEGMENT_GS || sizeof(void *) == 8;
}

void *system_map_stack(size_t size)
{
    void *stack = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0);
    return stack == MAP_FAILED ? NULL : stack;
}

void system_protect(void *at, size_t size, bool is_open)
{
    mprotect(at, size, is_open ? PROT_READ | PROT_WRITE : PROT_NONE);
}

void system_get_bases(struct segue_regs *regs)
{
    void *fs = NULL, *gs = NULL;
    get_fs_base(&fs);
    get_gs_base(&gs);
    regs->fs_base = (uintptr_t)fs;
    regs->gs_base = (uintptr_t)gs;
}

bool system_reports_faults_of_steps(void)
{
    return true;
}
