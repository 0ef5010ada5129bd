/* adapter.c: examples/mps/prmcsegue.c in the hands of a stand-in for MPS: a barrier that exposes a segment and steps
 * one access, threads that are suspended by a signal, and a handler that hands faults on. */
#include "tests/support/test.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "examples/mps/prmcsegue.h"

#define PAGE 4096u
#define WORDS (PAGE / sizeof(uint64_t))

struct ScanStateStruct {
    uint64_t wanted;
    unsigned found, areas;
};

Res TraceScanArea(ScanState ss, Word *base, Word *limit, mps_area_scan_t scan_area, void *closure)
{
    ss->areas++;
    return scan_area((mps_ss_t)(void *)ss, base, limit, closure);
}

static Res count_wanted(mps_ss_t opaque, void *base, void *limit, void *closure)
{
    ScanState ss = (ScanState)(void *)opaque;
    for (uint64_t *at = base; at < (uint64_t *)limit; at++)
        ss->found += *at == ss->wanted;
    return closure && *(unsigned *)closure == ss->areas ? ResLIMIT : ResOK;
}

/* ---- the barrier ---- */

static volatile uint64_t *segment;
static volatile unsigned stepped, refused, writes;
static struct sigaction next;

static void barrier(int number, siginfo_t *info, void *ucontext)
{
    MutatorContextStruct context;
    (void)number;
    if (MutatorContextHandled(info, ucontext))
        return;
    MutatorContextInitFault(&context, info, ucontext);
    uint64_t offset = context.frame.fault.address - (uint64_t)(uintptr_t)segment;
    if (offset >= PAGE) {
        segue_chain(&context.frame, &next);
        return;
    }
    writes += (MutatorContextAccess(&context) & SEGUE_WRITE) != 0;
    if (!MutatorContextCanStepInstruction(&context)) {
        refused++;
        mprotect((void *)(uintptr_t)segment, PAGE, PROT_READ | PROT_WRITE);
        return;
    }
    /* ShieldExpose, ShieldCover. */
    mprotect((void *)(uintptr_t)segment, PAGE, PROT_READ | PROT_WRITE);
    if (MutatorContextStepInstruction(&context) == ResOK)
        stepped++;
    mprotect((void *)(uintptr_t)segment, PAGE, PROT_NONE);
}

static void install(void)
{
    struct sigaction action = {.sa_sigaction = barrier, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_RESTART};
    assert_int_equal(sigaction(SIGSEGV, &action, &next), 0);
    assert_int_equal(segue_handler_check(SIGSEGV), SEGUE_OK);
    stepped = refused = writes = 0;
}

static int setup(void **state)
{
    (void)state;
    segment = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return segment == MAP_FAILED || segue_replay_prepare() != SEGUE_OK ? -1 : 0;
}

/* The forms of MPS's own users: MOV, CMP, MOVZX, SHRX's like, and stores. */
static void accesses_are_stepped_and_the_segment_stays_protected(void **state)
{
    uint64_t loaded, sum = 0;
    uint8_t is_equal;
    (void)state;
    for (unsigned i = 0; i < WORDS; i++)
        segment[i] = i * 3;
    install();
    mprotect((void *)(uintptr_t)segment, PAGE, PROT_NONE);
    for (uint64_t i = 0; i < WORDS; i++) {
        __asm__ volatile("mov (%1,%2,8), %0" : "=r"(loaded) : "r"(segment), "r"(i) : "memory");
        sum += loaded;
    }
    assert_int_equal(sum, 3 * WORDS * (WORDS - 1) / 2);
    __asm__ volatile("cmpq $9, 24(%1)\n sete %0" : "=q"(is_equal) : "r"(segment) : "cc", "memory");
    assert_int_equal(is_equal, 1);
    __asm__ volatile("movq $77, 40(%0)\n addq %1, 40(%0)" : : "r"(segment), "r"(UINT64_C(5)) : "cc", "memory");
    __asm__ volatile("movzbl 40(%1), %k0" : "=r"(loaded) : "r"(segment) : "memory");
    assert_int_equal(loaded, 82);
    __asm__ volatile("movdqu 16(%0), %%xmm3\n movdqu %%xmm3, 160(%0)" : : "r"(segment) : "xmm3", "memory");
    assert_int_equal(stepped, WORDS + 6);
    assert_int_equal(refused, 0);
    assert_int_equal(writes, 3);
    mprotect((void *)(uintptr_t)segment, PAGE, PROT_READ | PROT_WRITE);
    assert_int_equal(segment[5], 82);
    assert_int_equal(segment[20], 6);
    assert_int_equal(segment[21], 9);
}

/* Sixteen lanes: more accesses than a plan of the usual size holds. */
static void wide_gather_is_stepped(void **state)
{
    int32_t indices[16], lanes[16];
    (void)state;
    if (!__builtin_cpu_supports("avx512f")) {
        print_message("SKIP: the processor has no AVX-512\n");
        skip();
    }
    for (int i = 0; i < 16; i++) {
        indices[i] = 1000 - 61 * i;
        ((volatile int32_t *)segment)[indices[i]] = 7 * i;
    }
    install();
    mprotect((void *)(uintptr_t)segment, PAGE, PROT_NONE);
    __asm__ volatile("vmovdqu32 (%1), %%zmm4\n vpxord %%zmm5, %%zmm5, %%zmm5\n kxnorw %%k1, %%k1, %%k1\n"
                     "vpgatherdd (%2,%%zmm4,4), %%zmm5%{%%k1%}\n vmovdqu32 %%zmm5, (%0)"
                     :
                     : "r"(lanes), "r"(indices), "r"(segment)
                     : "xmm4", "xmm5", "memory");
    mprotect((void *)(uintptr_t)segment, PAGE, PROT_READ | PROT_WRITE);
    assert_int_equal(refused, 0);
    assert_true(stepped > 0);
    for (int i = 0; i < 16; i++)
        assert_int_equal(lanes[i], 7 * i);
}

/* Each refusal of segue_frame_plan_in. */
static void memory_for_a_plan_is_checked(void **state)
{
    static _Alignas(64) char memory[SEGUE_PLAN_SIZE_MOST];
    struct segue_frame frame = {.regs = {.rip = (uint64_t)(uintptr_t) "\x90"}};
    const struct segue_plan *plan = (const struct segue_plan *)(void *)memory;
    (void)state;
    install();
    assert_int_equal(segue_frame_plan_in(&frame, NULL, 0, memory, sizeof memory, NULL), SEGUE_INVALID);
    assert_int_equal(segue_frame_plan_in(NULL, NULL, 0, memory, sizeof memory, &plan), SEGUE_INVALID);
    assert_null(plan);
    assert_int_equal(segue_frame_plan_in(&frame, NULL, 0, memory, SEGUE_PLAN_SIZE - 1, &plan), SEGUE_INVALID);
    assert_int_equal(segue_frame_plan_in(&frame, NULL, 0, memory + 8, SEGUE_PLAN_SIZE, &plan), SEGUE_INVALID);
    assert_int_equal(segue_frame_plan_in(&frame, NULL, 0, NULL, sizeof memory, &plan), SEGUE_INVALID);
    assert_null(plan);
    plan = (const struct segue_plan *)(void *)memory;
    frame.regs.rip = 0;
    assert_int_equal(segue_frame_plan_in(&frame, NULL, 0, memory, sizeof memory, &plan), SEGUE_FAULT);
    assert_null(plan);
}

/* What cannot be stepped is refused before anything has happened; MPS then scans the segment. */
static void what_cannot_be_stepped_is_refused(void **state)
{
    (void)state;
    install();
    mprotect((void *)(uintptr_t)segment, PAGE, PROT_NONE);
    __asm__ volatile("prefetcht0 (%0)\n xsave (%0)"
                     :
                     : "r"(((uintptr_t)segment + 64) & ~(uintptr_t)63), "a"(1), "d"(0)
                     : "memory");
    assert_int_equal(stepped + refused, 1);
    mprotect((void *)(uintptr_t)segment, PAGE, PROT_READ | PROT_WRITE);
}

/* ---- a fault that is not MPS's ---- */

static void end_with_address(int number, siginfo_t *info, void *ucontext)
{
    (void)number;
    (void)ucontext;
    _exit(info->si_addr == (void *)0x20000000 && info->si_code == SEGV_MAPERR ? 42 : 1);
}

static void other_faults_go_to_the_handler_before(void **state)
{
    int status;
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        struct sigaction action = {.sa_sigaction = end_with_address, .sa_flags = SA_SIGINFO};
        sigaction(SIGSEGV, &action, NULL);
        install();
        *(volatile int *)(uintptr_t)0x20000000 = 1;
        _exit(2);
    }
    waitpid(child, &status, 0);
    assert_int_equal(WEXITSTATUS(status), 42);
}

/* ---- a thread that is suspended as MPS does it ---- */

#define WANTED UINT64_C(0x00007ac0ffee1230)

static MutatorContext suspended;
static sem_t is_suspended, may_resume;
__attribute__((used)) volatile uint64_t mps_ready, mps_go;
__attribute__((used)) uint64_t mps_word;

static void suspend(int number, siginfo_t *info, void *ucontext)
{
    MutatorContextStruct context;
    ucontext_t copy = *(ucontext_t *)ucontext;
    (void)number;
    (void)info;
    MutatorContextInitThread(&context, &copy);
    suspended = &context;
    sem_post(&is_suspended);
    sem_wait(&may_resume);
}

/* The word is in one place alone while the thread waits. */
void mps_wait_r15(void);
void mps_wait_xmm15(void);
void mps_wait_red_zone(void);
__asm__(".text\n"
        ".macro mps_spin\n"
        "  xor %eax, %eax\n"
        "  movq $1, mps_ready(%rip)\n"
        "1: pause\n"
        "  cmpq $0, mps_go(%rip)\n"
        "  je 1b\n"
        ".endm\n"
        ".globl mps_wait_r15, mps_wait_xmm15, mps_wait_red_zone\n"
        "mps_wait_r15:\n"
        "  push %r15\n mov mps_word(%rip), %r15\n notq %r15\n mps_spin\n pop %r15\n ret\n"
        "mps_wait_xmm15:\n"
        "  mov mps_word(%rip), %rax\n not %rax\n movq %rax, %xmm15\n pslldq $8, %xmm15\n mps_spin\n"
        "  pxor %xmm15, %xmm15\n ret\n"
        "mps_wait_red_zone:\n"
        "  mov mps_word(%rip), %rax\n not %rax\n mov %rax, -64(%rsp)\n mps_spin\n movq $0, -64(%rsp)\n ret\n");

static void *run_waiting(void *closure)
{
    ((void (*)(void))(uintptr_t)closure)();
    return NULL;
}

static void root_is_found_once(void (*wait)(void))
{
    struct sigaction action = {.sa_sigaction = suspend, .sa_flags = SA_SIGINFO | SA_RESTART}, before;
    struct ScanStateStruct ss = {.wanted = WANTED};
    unsigned at_once = 1;
    pthread_t thread;
    mps_ready = mps_go = 0;
    mps_word = ~WANTED;
    sem_init(&is_suspended, 0, 0);
    sem_init(&may_resume, 0, 0);
    sigaction(SIGXCPU, &action, &before);
    pthread_create(&thread, NULL, run_waiting, (void *)(uintptr_t)wait);
    while (!mps_ready)
        sched_yield();
    pthread_kill(thread, SIGXCPU);
    sem_wait(&is_suspended);
    assert_true(MutatorContextCheck(suspended));
    assert_int_equal(MutatorContextScan(&ss, suspended, count_wanted, NULL), ResOK);
    assert_int_equal(ss.found, 1);
    assert_ptr_equal(MutatorContextSP(suspended), suspended->mutator.regs.rsp);
    /* The scanner's result ends the scan. */
    ss.areas = 0;
    assert_int_equal(MutatorContextScan(&ss, suspended, count_wanted, &at_once), ResLIMIT);
    assert_int_equal(ss.areas, 1);
    sem_post(&may_resume);
    mps_go = 1;
    pthread_join(thread, NULL);
    sigaction(SIGXCPU, &before, NULL);
}

static void roots_of_a_suspended_thread_are_found(void **state)
{
    (void)state;
    root_is_found_once(mps_wait_r15);
    root_is_found_once(mps_wait_xmm15);
    root_is_found_once(mps_wait_red_zone);
}

static void other_structures_are_no_contexts(void **state)
{
    MutatorContextStruct context = {.sig = 1};
    (void)state;
    assert_false(MutatorContextCheck(&context));
    assert_false(MutatorContextCheck(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accesses_are_stepped_and_the_segment_stays_protected),
        cmocka_unit_test(wide_gather_is_stepped),
        cmocka_unit_test(memory_for_a_plan_is_checked),
        cmocka_unit_test(what_cannot_be_stepped_is_refused),
        cmocka_unit_test(other_faults_go_to_the_handler_before),
        cmocka_unit_test(roots_of_a_suspended_thread_are_found),
        cmocka_unit_test(other_structures_are_no_contexts),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
