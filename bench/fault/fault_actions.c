/* fault_actions.c: the handlers that bench/fault/fault compares. All of them have the same alternate stack, and except
 * for libsigsegv's, which is as that library installs it, the same flags. */
#include "bench/harness/kernel_action.h"
#include "fault.h"

#include <errno.h>
#include <segue/segue.h>
#include <signal.h>
#include <sigsegv.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "bench/harness/touch.h"
#include "signals/handler/dispatch.h"

#define TRAP_FLAG 0x100

static struct kernel_action actions[ACTION_COUNT];
static sigsegv_dispatcher dispatcher;

/* The page that is open while its instruction is stepped by the processor. */
static void *volatile stepped_page;

static void *page_of(const void *address)
{
    return (void *)((uintptr_t)address & ~(uintptr_t)(PAGE - 1));
}

void page_protect(void *page, int protection)
{
    if (mprotect(page, PAGE, protection) != 0)
        bench_fail("mprotect of a page: %s", strerror(errno));
}

static void skip_instruction(int number, siginfo_t *info, void *ucontext)
{
    (void)number;
    (void)info;
    ((ucontext_t *)ucontext)->uc_mcontext.gregs[TOUCH_INSTRUCTION] += TOUCH_LENGTH;
}

static void open_page(int number, siginfo_t *info, void *ucontext)
{
    (void)number;
    (void)ucontext;
    page_protect(page_of(info->si_addr), PROT_READ | PROT_WRITE);
}

static void open_page_and_trap(int number, siginfo_t *info, void *ucontext)
{
    (void)number;
    stepped_page = page_of(info->si_addr);
    page_protect(stepped_page, PROT_READ | PROT_WRITE);
    ((ucontext_t *)ucontext)->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
}

static void close_page(int number, siginfo_t *info, void *ucontext)
{
    (void)number;
    (void)info;
    page_protect(stepped_page, PROT_NONE);
    ((ucontext_t *)ucontext)->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
}

static int open_area(void *address, void *page)
{
    (void)address;
    page_protect(page, PROT_READ | PROT_WRITE);
    return 1;
}

static int dispatch(void *address, int serious)
{
    (void)serious;
    return sigsegv_dispatch(&dispatcher, address);
}

/* Installs it, and reads it back as the kernel has it. */
static void describe(int number, struct kernel_action *action, void (*handler)(int, siginfo_t *, void *))
{
    struct sigaction described = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    sigemptyset(&described.sa_mask);
    if (sigaction(number, &described, NULL) != 0)
        bench_fail("sigaction: %s", strerror(errno));
    kernel_action_exchange(number, NULL, action);
}

static void install(uint32_t flags, enum action action)
{
    const struct segue_options options = {.flags = flags};
    enum segue_status status = segue_install(&options);
    if (status != SEGUE_OK)
        bench_fail("segue_install: %s", segue_status_text(status));
    kernel_action_exchange(SIGSEGV, NULL, &actions[action]);
}

/* Each library installs its own handler; what it installed is remembered, to be put back for its batches. */
void actions_prepare(void)
{
    struct kernel_action original, trap;
    kernel_action_exchange(SIGSEGV, NULL, &original);
    describe(SIGSEGV, &actions[ACTION_FLOOR], skip_instruction);
    describe(SIGSEGV, &actions[ACTION_OPEN], open_page);
    describe(SIGSEGV, &actions[ACTION_SINGLE_STEP], open_page_and_trap);
    describe(SIGTRAP, &trap, close_page);
    kernel_action_exchange(SIGSEGV, &original, NULL);
    sigsegv_init(&dispatcher);
    if (sigsegv_install_handler(dispatch) != 0)
        bench_fail("libsigsegv cannot install its handler");
    kernel_action_exchange(SIGSEGV, &original, &actions[ACTION_LIBSIGSEGV]);

    install(0, ACTION_OURS_DEFAULT);
    enum segue_status status = segue_uninstall(NULL);
    if (status != SEGUE_OK)
        bench_fail("segue_uninstall: %s", segue_status_text(status));
    install(SEGUE_INSTALL_OPEN_SIGNALS, ACTION_OURS);
}

void action_use(enum action action)
{
    kernel_action_exchange(SIGSEGV, &actions[action], NULL);
    if (action == ACTION_OURS || action == ACTION_OURS_DEFAULT)
        dispatch_prepare(action == ACTION_OURS_DEFAULT, false);
}

void action_register(void *page)
{
    if (!sigsegv_register(&dispatcher, page, PAGE, open_area, page))
        bench_fail("libsigsegv cannot register a page");
}
