/* darwin.c: see system.h. WAY=port: by the exception port; what the library leaves to others happens again there, and
 * so the report is not that of the fault that a step has met. Under the loader the base of FS is that of Linux's C
 * library. */
#if !defined(__APPLE__) || !defined(__x86_64__)
#error "darwin.c is specific to macOS on x86-64"
#endif

#include "system.h"

#include <segue/handler.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ucontext.h>

#include "decode/x86/flags.h"
#include "platform/darwin/threads/slots.h"
#include "platform/frame/frame.h"

#define STACK_SIZE ((size_t)1 << 20)

volatile struct fault_seen seen;

static bool is_by_port(void)
{
    const char *way = getenv("WAY");
    return way && strcmp(way, "port") == 0;
}

static void on_signal(int number, siginfo_t *info, void *context)
{
    struct __darwin_mcontext64 *machine = ((ucontext_t *)context)->uc_mcontext;
    if (machine->__ss.__rip - CODE >= CASES * SLOT) {
        signal(number, SIG_DFL);
        return;
    }
    seen = (struct fault_seen){(uint32_t)number, (uint64_t)info->si_code << 32 | machine->__es.__trapno,
                               (uint64_t)(uintptr_t)info->si_addr, machine->__ss.__rip};
    machine->__ss.__rip = (uint64_t)(uintptr_t)oracle_landing;
}

bool system_prepare(void)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};
    const struct segue_options options = {.flags = is_by_port() ? SEGUE_INSTALL_MACH_PORT : 0};
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    const stack_t stack = {.ss_sp = malloc(STACK_SIZE), .ss_size = STACK_SIZE};
    if (!stack.ss_sp || sigaltstack(&stack, NULL) != 0)
        return false;
    sigfillset(&action.sa_mask);
    for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++)
        sigaction(signals[i], &action, NULL);
    return mmap((void *)CODE, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANON | MAP_FIXED, -1, 0) ==
               (void *)CODE &&
           segue_install(&options) == SEGUE_OK;
}

uint64_t system_components(void)
{
    return frame_components();
}

bool system_has_handler_stack(void)
{
    return false;
}

bool system_is_handler_stack(uint64_t address)
{
    (void)address;
    return false;
}

bool system_resumes_by_stack(void)
{
    return false;
}

bool system_knows_base(unsigned segment)
{
    return segment != SEGUE_SEGMENT_FS;
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
    regs->fs_base = 0;
    regs->gs_base = slots_gs_base();
}

bool system_reports_faults_of_steps(void)
{
    return !is_by_port();
}
