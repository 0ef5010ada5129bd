/* segment_stack.c: how much of the stack that a fault is served on the library takes where it rewrites code: a site,
 * and all of a module. A handler stands over the library's and calls it, as in stack_depth.c: it paints the stack below
 * it and looks how far the paint is gone. Where a module's scan has no room, or the system does not say, only the
 * site is rewritten. Each case runs in a process of its own: a module is scanned once. */
#include "tests/support/test.h"

#include <asm/prctl.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <segue/segue.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "patch/segment/modules.h"
#include "platform/frame/frame.h"
#include "signals/threads/thread.h"
#include "tests/support/cases.h"

#define PAGE 4096u
#define PAINT 0x5a
#define PAINTED 32768
/* Right below the caller, where its own calls have been. */
#define UNPAINTED 512
#define STACK_SIZE 131072

static struct sigaction ours;
static char alternate[STACK_SIZE];
static char *base;
static size_t deepest;

static __attribute__((noinline)) void call_ours(int number, siginfo_t *info, void *ucontext)
{
    __asm__ volatile("movq %%rsp, %0\n\t"
                     "callq *%1"
                     : "=m"(base)
                     : "r"(ours.sa_sigaction), "D"(number), "S"(info), "d"(ucontext)
                     : "rax", "rcx", "r8", "r9", "r10", "r11", "memory", "cc");
}

static void watch(int number, siginfo_t *info, void *ucontext)
{
    char *here = __builtin_frame_address(0);
    memset(here - UNPAINTED - PAINTED, PAINT, PAINTED);
    call_ours(number, info, ucontext);
    const char *at = base - PAINTED;
    while (at < base - UNPAINTED && *at == PAINT)
        at++;
    if ((size_t)(base - at) > deepest)
        deepest = (size_t)(base - at);
}

/* The library on an alternate stack with so much room. */
static bool enable(uint32_t flags, size_t room)
{
    const struct segue_options installed = {.flags = SEGUE_INSTALL_NO_ATTACH};
    const struct segue_segment_options options = {.rewrite = {SEGUE_SEGMENT_GS, SEGUE_SEGMENT_FS}, .flags = flags};
    const stack_t stack = {.ss_sp = alternate + STACK_SIZE - room, .ss_size = room};
    return sigaltstack(&stack, NULL) == 0 && segue_install(&installed) == SEGUE_OK &&
           segue_segment_enable(&options) == SEGUE_OK;
}

/* The same, under the handler that looks. */
static bool begin(uint32_t flags)
{
    struct sigaction action = {.sa_sigaction = watch, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    return enable(flags, STACK_SIZE) && sigaction(SIGSEGV, &action, &ours) == 0;
}

static bool is_within(const char *what, size_t limit)
{
    dprintf(1, "%s: %zu of %zu bytes\n", what, deepest, limit);
    return deepest > UNPAINTED && deepest <= limit;
}

static uint64_t fs_base(void)
{
    uint64_t address;
    syscall(SYS_arch_prctl, ARCH_GET_FS, &address);
    return address;
}

/* mov rax, gs:[0x10]; ret: at the offset in two pages of code. */
static uint64_t load_self(int sharing, size_t offset)
{
    static const char bytes[] = "\x65\x48\x8b\x04\x25\x10\0\0\0\xc3";
    char *code = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, sharing | MAP_ANONYMOUS, -1, 0);
    uint64_t (*function)(void);
    if (code == MAP_FAILED)
        return 0;
    memcpy(code + offset, bytes, sizeof bytes);
    mprotect(code, 2 * PAGE, PROT_READ | PROT_EXEC);
    code += offset;
    memcpy(&function, &code, sizeof function);
    return function() == fs_base() && (unsigned char)*code == 0x64;
}

/* Private code is written through the kernel, shared code by opening its page. */
static int site_case(void)
{
    NEED(begin(0));
    NEED(load_self(MAP_PRIVATE, 0));
    NEED(load_self(MAP_SHARED, 0));
    NEED(load_self(MAP_PRIVATE, PAGE - 1));
    NEED(load_self(MAP_SHARED, PAGE - 1));
    NEED(is_within("a site", THREAD_SEGMENT_STACK));
    return 0;
}

/* Two functions of this program, of which the first faults. */
uint64_t load_self_here(void), load_self_there(void);
__asm__(".text\n"
        ".globl load_self_here, load_self_there\n"
        ".type load_self_here, @function\n"
        "load_self_here:\n.cfi_startproc\n"
        "movq %gs:0x10, %rax\n"
        "ret\n.cfi_endproc\n.size load_self_here, . - load_self_here\n"
        ".type load_self_there, @function\n"
        "load_self_there:\n.cfi_startproc\n"
        "movq %gs:0x10, %rax\n"
        "ret\n.cfi_endproc\n.size load_self_there, . - load_self_there\n");

static uint64_t faults(void)
{
    struct segue_counters counters;
    segue_counters_read(&counters);
    return counters.faults;
}

/* The faults of the second function, after one in the first. */
static uint64_t faults_there(void)
{
    if (load_self_here() != fs_base())
        return UINT64_MAX;
    uint64_t before = faults();
    return load_self_there() == fs_base() ? faults() - before : UINT64_MAX;
}

static int module_case(void)
{
    NEED(begin(SEGUE_SEGMENT_WHOLE_MODULES));
    NEED(faults_there() == 0);
    NEED(is_within("a module", MODULES_SCAN_STACK));
    return 0;
}

/* Enough for a site, too little for a module. */
static int small_case(void)
{
    NEED(enable(SEGUE_SEGMENT_WHOLE_MODULES, frame_size_most() + THREAD_SEGMENT_STACK + MODULES_SCAN_STACK / 2));
    NEED(faults_there() == 1);
    return 0;
}

/* A filter refuses to say on which stack the thread is. */
static int refused_case(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sigaltstack, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {sizeof code / sizeof *code, code};
    NEED(enable(SEGUE_SEGMENT_WHOLE_MODULES, STACK_SIZE));
    NEED(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
    NEED(faults_there() == 1);
    return 0;
}

static const struct child_case cases[] = {
    {"site", site_case},
    {"module", module_case},
    {"small", small_case},
    {"refused", refused_case},
};

static void passes(const char *name)
{
    struct child_result result = child_run(name);
    print_message("%s", result.output);
    assert_int_equal(result.signal, 0);
    assert_int_equal(result.status, 0);
}

static void rewriting_of_a_site_keeps_to_its_share_of_the_stack(void **state)
{
    (void)state;
    passes("site");
}

static void scan_of_a_module_keeps_to_its_share_of_the_stack(void **state)
{
    (void)state;
    passes("module");
}

static void module_is_not_scanned_on_a_small_stack(void **state)
{
    (void)state;
    passes("small");
}

static void module_is_not_scanned_on_a_stack_that_is_not_known(void **state)
{
    (void)state;
    passes("refused");
}

int main(int argc, char **argv)
{
    child_main(argc, argv, cases, sizeof cases / sizeof *cases);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rewriting_of_a_site_keeps_to_its_share_of_the_stack),
        cmocka_unit_test(scan_of_a_module_keeps_to_its_share_of_the_stack),
        cmocka_unit_test(module_is_not_scanned_on_a_small_stack),
        cmocka_unit_test(module_is_not_scanned_on_a_stack_that_is_not_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
