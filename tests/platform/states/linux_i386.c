/* linux_i386.c: see system.h. FS has a segment of its own, which begins one page below the area. */
#if !defined(__linux__) || !defined(__i386__)
#error "linux_i386.c is specific to Linux on i386"
#endif

#include "system.h"

#include <asm/ldt.h>
#include <segue/handler.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "decode/x86/flags.h"

#define FS_BASE 0x1ffff000u
#define STACK_SIZE ((size_t)1 << 20)
/* x87, SSE, AVX, opmask and the upper halves of ZMM: all that 32-bit code has. */
#define COMPONENTS 0x67u

volatile struct fault_seen seen;
static void *handler_stack;

static void on_signal(int number, siginfo_t *info, void *ucontext)
{
    greg_t *gregs = ((ucontext_t *)ucontext)->uc_mcontext.gregs;
    (void)info;
    __builtin_ia32_writeeflags_u32(__builtin_ia32_readeflags_u32() & ~(unsigned)FLAG_ALIGNMENT);
    if ((uint32_t)gregs[REG_EIP] - CODE >= CASES * SLOT) {
        signal(number, SIG_DFL);
        return;
    }
    seen = (struct fault_seen){(uint32_t)number, (uint32_t)gregs[REG_TRAPNO], 0, (uint32_t)gregs[REG_EIP]};
    gregs[REG_EIP] = (greg_t)(uintptr_t)oracle_landing;
}

static bool set_fs(void)
{
    struct user_desc fs = {.entry_number = (unsigned)-1,
                           .base_addr = FS_BASE,
                           .limit = 0xfffff,
                           .seg_32bit = 1,
                           .limit_in_pages = 1,
                           .useable = 1};
    if (syscall(SYS_set_thread_area, &fs) != 0)
        return false;
    __asm__ volatile("movw %w0, %%fs" : : "r"(fs.entry_number << 3 | 3));
    return true;
}

bool system_prepare(void)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    handler_stack = system_map_stack(STACK_SIZE);
    const stack_t stack = {.ss_sp = handler_stack, .ss_size = STACK_SIZE};
    if (!stack.ss_sp || sigaltstack(&stack, NULL) != 0 || !set_fs())
        return false;
    sigfillset(&action.sa_mask);
    for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++)
        sigaction(signals[i], &action, NULL);
    void *code = (void *)(uintptr_t)CODE;
    return mmap(code, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
               code &&
           segue_install(NULL) == SEGUE_OK;
}

uint64_t system_components(void)
{
    return COMPONENTS;
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
    (void)segment;
    return true;
}

void *system_map_stack(size_t size)
{
    void *stack = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return stack == MAP_FAILED ? NULL : stack;
}

void system_protect(void *at, size_t size, bool is_open)
{
    mprotect(at, size, is_open ? PROT_READ | PROT_WRITE : PROT_NONE);
}

void system_get_bases(struct segue_regs *regs)
{
    uint32_t base;
    __asm__("movl %%gs:0, %0" : "=r"(base));
    regs->fs_base = FS_BASE;
    regs->gs_base = base;
}

bool system_reports_faults_of_steps(void)
{
    return true;
}
