/* faults.c: faults in and out of macOS's frame: registers, every kind of extended state, the three engines, policies,
 * previous handlers, sent signals, alternate stacks, threads, blocks that may fault; and what is refused by name. */
#if !defined(__APPLE__) || !defined(__x86_64__)
#error "faults.c is specific to macOS on x86-64"
#endif

#include "tests/platform/ports/fixture.h"

#include <errno.h>
#include <pthread.h>
#include <segue/mutator.h>
#include <segue/posix.h>
#include <segue/try.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/ucontext.h>
#include <sys/wait.h>
#include <unistd.h>

static enum segue_verdict pass(void *context, const struct segue_event *event)
{
    (void)context;
    (void)event;
    asked++;
    return SEGUE_PASS;
}

static void policy_sees_the_access_and_the_registers(void **state)
{
    volatile uint8_t *page = begin_filled(note);
    uint64_t value = 0x1122334455667788, flags;
    (void)state;
    errno = 77;
    __asm__ volatile("stc\n\tmovzwl 16(%1), %k0\n\tpushfq\n\tpopq %2"
                     : "+a"(value)
                     : "b"(page), "m"(flags)
                     : "memory", "cc");
    assert_int_equal(value, 0x1110);
    assert_int_equal(errno, 77);
    assert_int_equal(asked, 1);
    assert_int_equal(shown.rax, 0x1122334455667788);
    assert_int_equal(shown.rbx, (uintptr_t)page);
    assert_true(shown.rflags & 1);
    assert_int_equal(shown_event.address, (uintptr_t)page + 16);
    assert_int_equal(shown_event.size, 2);
    assert_int_equal(shown_event.direction, SEGUE_READ);
    end();
}

static void each_engine_steps(void **state)
{
    volatile uint8_t *page = begin_filled(note);
    uint64_t old = 5, popped = 0, count = 24;
    uint32_t sum[4] = {1, 2, 3, 4};
    double number = 0;
    uint8_t copy[24];
    const void *from = (const void *)page;
    void *to = copy;
    (void)state;
    __asm__ volatile("movq $7, 32(%0)" : : "r"(page) : "memory");
    __asm__ volatile("lock xaddq %0, 32(%1)" : "+r"(old) : "r"(page) : "memory");
    assert_int_equal(old, 7);
    assert_int_equal(*(uint64_t *)(void *)(alias() + 32), 12);
    __asm__ volatile("pushq 32(%1)\n\tpopq %0" : "=r"(popped) : "r"(page) : "memory");
    assert_int_equal(popped, 12);
    __asm__ volatile("rep movsb" : "+S"(from), "+D"(to), "+c"(count) : : "memory");
    assert_int_equal(count, 0);
    assert_memory_equal(copy, alias(), sizeof copy);
    memcpy(alias() + 64, (uint32_t[]){10, 20, 30, 40}, 16);
    __asm__ volatile("movdqu (%0), %%xmm3\n\tpaddd 64(%1), %%xmm3\n\tmovdqu %%xmm3, (%0)"
                     :
                     : "r"(sum), "r"(page)
                     : "memory", "xmm3");
    assert_int_equal(sum[0], 11);
    assert_int_equal(sum[3], 44);
    memcpy(alias() + 128, (double[]){2.5}, 8);
    __asm__ volatile("fldl 128(%1)\n\tfaddl 128(%1)\n\tfstpl %0" : "=m"(number) : "r"(page) : "memory", "st");
    assert_true(number == 5.0);
    assert_true(asked >= 6);
    end();
}

static bool has(const char *name)
{
    uint32_t a = 7, b, c = 0, d, low, high;
    __asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return strcmp(name, "avx2") == 0 ? (b >> 5 & 1) && (low & 4) : (b >> 16 & 1) && (low & 0xe0) == 0xe0;
}

/* The loader makes smaller frames than this processor needs. */
static bool has_smaller_frame(void)
{
    const char *kind = getenv("LOADER_STATE");
    return kind && ((has("avx512") && strcmp(kind, "avx512") != 0) || strcmp(kind, "float") == 0);
}

/* Another register of each kind keeps its value, and the one that is written has all its bytes. */
static void upper_halves_are_in_the_state(void **state)
{
    uint8_t before[32], loaded[32], after[32];
    (void)state;
    skip_if(has("avx2") ? NULL : "the processor has no AVX2");
    skip_if(has_smaller_frame() ? "the frame does not have all that the processor has" : NULL);
    volatile uint8_t *page = begin_filled(note);
    for (unsigned i = 0; i < 32; i++)
        before[i] = (uint8_t)(0xa0 + i);
    __asm__ volatile("vmovdqu (%0), %%ymm14\n\tvmovdqu 256(%1), %%ymm5\n\tvpaddb %%ymm5, %%ymm5, %%ymm6\n\t"
                     "vmovdqu %%ymm5, (%2)\n\tvpaddb 256(%1), %%ymm6, %%ymm6\n\t"
                     "vmovdqu %%ymm14, (%3)\n\tvmovdqu %%ymm6, 512(%1)\n\tvzeroupper"
                     :
                     : "r"(before), "r"(page), "r"(loaded), "r"(after)
                     : "memory", "xmm5", "xmm6", "xmm14");
    assert_memory_equal(after, before, 32);
    assert_memory_equal(loaded, alias() + 256, 32);
    for (unsigned i = 0; i < 32; i++)
        assert_int_equal(alias()[512 + i], (uint8_t)(3 * i));
    assert_int_equal(asked, 3);
    end();
}

static void registers_of_avx512_are_in_the_state(void **state)
{
    uint8_t before[64], loaded[64], after[64];
    uint64_t mask = 0;
    (void)state;
    skip_if(has("avx512") && !has_smaller_frame() ? NULL : "the frame has no AVX-512 state");
    volatile uint8_t *page = begin_filled(note);
    for (unsigned i = 0; i < 64; i++)
        before[i] = (uint8_t)(0x55 + i);
    __asm__ volatile(
        "vmovdqu64 (%1), %%zmm29\n\tvmovdqu64 (%1), %%zmm7\n\tmovl $0x5aa5, %%eax\n\tkmovw %%eax, %%k3\n\t"
        "vmovdqu64 256(%2), %%zmm17\n\tvmovdqu64 %%zmm17, (%3)\n\t"
        "vmovdqu32 256(%2), %%zmm7%{%%k3%}\n\tvmovdqu64 %%zmm29, (%4)\n\tkmovw %%k3, %%eax\n\tmovq %%rax, %0\n\t"
        "vmovdqu64 %%zmm7, 1024(%2)\n\tvzeroupper"
        : "=m"(mask)
        : "r"(before), "r"(page), "r"(loaded), "r"(after)
        : "memory", "rax", "xmm7");
    assert_memory_equal(after, before, 64);
    assert_memory_equal(loaded, alias() + 256, 64);
    assert_int_equal(mask, 0x5aa5);
    for (unsigned i = 0; i < 64; i++)
        assert_int_equal(alias()[1024 + i], 0x5aa5 >> (i / 4) & 1 ? (uint8_t)i : before[i]);
    end();
}

/* ---- previous handlers ---- */

static volatile int handled, handled_code;
static volatile uint64_t handled_address;
static volatile sigset_t handled_mask;

static void skip_two_bytes(int number, siginfo_t *info, void *context)
{
    ucontext_t *frame = context;
    sigset_t mask;
    handled = number;
    handled_code = info->si_code;
    handled_address = (uint64_t)(uintptr_t)info->si_addr;
    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    handled_mask = mask;
    frame->uc_mcontext->__ss.__rip += 2;
    frame->uc_mcontext->__ss.__rax = 99;
    ((uint8_t *)&frame->uc_mcontext->__fs.__fpu_xmm9)[0] = 0x77;
}

/* movb (%rbx), %al has two bytes. */
static uint64_t load_byte(volatile uint8_t *from, uint8_t *vector)
{
    uint64_t value = 0;
    __asm__ volatile("movb (%%rbx), %%al\n\tmovdqu %%xmm9, (%2)"
                     : "+a"(value)
                     : "b"(from), "r"(vector)
                     : "memory", "xmm9");
    return value;
}

static void previous_handler_gets_the_systems_frame(void **state)
{
    struct sigaction action = {.sa_sigaction = skip_two_bytes, .sa_flags = SA_SIGINFO}, before;
    uint8_t vector[16];
    (void)state;
    sigaddset(&action.sa_mask, SIGUSR1);
    sigaction(SIGBUS, &action, &before);
    volatile uint8_t *page = begin_filled(pass);
    handled = 0;
    assert_int_equal(load_byte(page + 5, vector), 99);
    assert_int_equal(handled, SIGBUS);
    assert_int_equal(handled_address, (uintptr_t)page + 5);
    assert_int_equal(vector[0], 0x77);
    /* The mask that the system would have called it with; and the one before when it has returned. */
    assert_true(sigismember((const sigset_t *)(uintptr_t)&handled_mask, SIGUSR1));
    assert_true(sigismember((const sigset_t *)(uintptr_t)&handled_mask, SIGBUS));
    sigset_t mask;
    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    assert_false(sigismember(&mask, SIGBUS));
    assert_int_equal(asked, 1);
    end();
    sigaction(SIGBUS, NULL, &action);
    assert_ptr_equal(action.sa_sigaction, skip_two_bytes);
    sigaction(SIGBUS, &before, NULL);
}

/* The step meets another fault than the one that the system has reported: a division by zero. By a port the latter
 * happens again. */
static void previous_handler_gets_the_fault_of_the_step(void **state)
{
    static const int numbers[] = {SIGFPE, SIGBUS};
    struct sigaction action = {.sa_sigaction = skip_two_bytes, .sa_flags = SA_SIGINFO}, before[2];
    uint64_t dividend = 7;
    (void)state;
    for (unsigned i = 0; i < 2; i++)
        sigaction(numbers[i], &action, &before[i]);
    volatile uint8_t *page = begin_filled(note);
    memset(alias() + 24, 0, 4);
    handled = 0;
    /* It has two bytes. */
    __asm__ volatile("idivl (%%rbx)" : "+a"(dividend) : "b"(page + 24), "d"(0) : "memory", "cc");
    assert_int_equal(dividend, 99);
    assert_int_equal(handled, is_by_port() ? SIGBUS : SIGFPE);
    assert_int_equal(handled_code, is_by_port() ? BUS_ADRERR : FPE_INTDIV);
    assert_int_equal(handled_address, is_by_port() ? (uintptr_t)page + 24 : shown.rip);
    end();
    for (unsigned i = 0; i < 2; i++)
        sigaction(numbers[i], &before[i], NULL);
}

static volatile unsigned counted;

static void count(int number)
{
    (void)number;
    counted++;
}

/* A signal that a program sends is not a fault, although the frame still has the report of the last one. */
static void sent_signals_go_to_the_previous_handler(void **state)
{
    struct sigaction action = {.sa_handler = count}, before;
    (void)state;
    sigaction(SIGBUS, &action, &before);
    volatile uint8_t *page = begin_filled(note);
    (void)page[3];
    assert_int_equal(asked, 1);
    counted = 0;
    raise(SIGBUS);
    pthread_kill(pthread_self(), SIGBUS);
    kill(getpid(), SIGBUS);
    assert_int_equal(counted, 3);
    assert_int_equal(asked, 1);
    sigset_t only, old;
    sigemptyset(&only);
    sigaddset(&only, SIGBUS);
    pthread_sigmask(SIG_BLOCK, &only, &old);
    raise(SIGBUS);
    assert_int_equal(counted, 3);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    assert_int_equal(counted, 4);
    (void)page[4];
    assert_int_equal(asked, 2);
    end();
    sigaction(SIGBUS, &before, NULL);
}

/* The signal that ends a child which runs that; or its exit status, negative. */
static int ends_by(void (*run)(void))
{
    int status = 0;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        run();
        _exit(0);
    }
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) ? WTERMSIG(status) : -WEXITSTATUS(status);
}

static volatile uint8_t *target;

static void read_target(void)
{
    signal(SIGBUS, SIG_DFL);
    signal(SIGSEGV, SIG_DFL);
    if (install() == SEGUE_OK)
        (void)target[0];
}

static void send_itself(void)
{
    signal(SIGBUS, SIG_DFL);
    if (install() == SEGUE_OK)
        raise(SIGBUS);
}

static void ignore_and_read(void)
{
    signal(SIGBUS, SIG_IGN);
    if (install() != SEGUE_OK)
        return;
    raise(SIGBUS);
    (void)target[0];
}

static void what_nobody_handles_kills(void **state)
{
    (void)state;
    target = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANON, -1, 0);
    assert_int_equal(ends_by(read_target), SIGBUS);
    /* By a port it is for the system to decide: it repeats the instruction. */
    if (!is_by_port())
        assert_int_equal(ends_by(ignore_and_read), SIGBUS);
    assert_int_equal(ends_by(send_itself), SIGBUS);
    munmap((void *)(uintptr_t)target, PAGE);
    assert_int_equal(ends_by(read_target), SIGSEGV);
}

static void another_handler_over_the_librarys_is_named(void **state)
{
    struct sigaction action = {.sa_handler = count}, ours;
    struct segue_owner owner;
    (void)state;
    skip_if(is_by_port() ? "it does not replace a port" : NULL);
    assert_int_equal(install(), SEGUE_OK);
    assert_int_equal(segue_install_check(&owner), SEGUE_OK);
    sigaction(SIGBUS, &action, &ours);
    assert_int_equal(segue_install_check(&owner), SEGUE_NOT_LAST);
    assert_ptr_equal(owner.handler, count);
    assert_int_equal(segue_uninstall(NULL), SEGUE_NOT_LAST);
    sigaction(SIGBUS, &ours, NULL);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
}

/* ---- stacks, threads, blocks ---- */

static bool is_near(const void *one, const void *other)
{
    return (uintptr_t)one - (uintptr_t)other + (1u << 20) < 2u << 20;
}

static void handler_runs_on_the_alternate_stack(void **state)
{
    char here;
    stack_t stack;
    (void)state;
    skip_if(is_by_port() ? "a port's faults are served on the thread's own stack" : NULL);
    volatile uint8_t *page = begin_filled(note);
    (void)page[0];
    assert_int_equal(sigaltstack(NULL, &stack), 0);
    assert_false(stack.ss_flags & (SS_ONSTACK | SS_DISABLE));
    assert_true((uintptr_t)stack_of_policy - (uintptr_t)stack.ss_sp < stack.ss_size);
    assert_false(is_near((const void *)(uintptr_t)stack_of_policy, &here));
    end();
    assert_int_equal(sigaltstack(NULL, &stack), 0);
    assert_true(stack.ss_flags & SS_DISABLE);
}

static volatile uint8_t *inner_page;

static enum segue_verdict read_another(void *context, const struct segue_event *event)
{
    (void)context;
    (void)event;
    asked++;
    asked += inner_page[1];
    return SEGUE_STEP;
}

static void policy_may_fault_itself(void **state)
{
    struct segue_mapping inner;
    volatile uint8_t *page = begin_filled(read_another);
    (void)state;
    assert_int_equal(segue_mapping_create(NULL, PAGE, &inner), SEGUE_OK);
    struct segue_region region = {.window = segue_mapping_window(&inner)};
    assert_int_equal(segue_region_add(&region), SEGUE_OK);
    inner_page = inner.memory;
    inner_page[1] = 40;
    assert_int_equal(segue_mapping_protect(&inner, 0, PAGE, 0), SEGUE_OK);
    assert_int_equal(page[9], 9);
    assert_int_equal(asked, 41);
    assert_int_equal(segue_region_remove(inner.memory), SEGUE_OK);
    segue_mapping_destroy(&inner);
    end();
}

#define THREADS 4
#define ROUNDS 2000u

/* Half of them attach; the others fault on their own stacks. */
static void *add(void *number)
{
    volatile uint64_t *cell = (volatile uint64_t *)(uintptr_t)mapping.memory;
    if ((uintptr_t)number % 2 && segue_thread_attach() != SEGUE_OK)
        return number;
    for (unsigned i = 0; i < ROUNDS; i++)
        __atomic_fetch_add(cell, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

static void threads_fault_at_once(void **state)
{
    pthread_t threads[THREADS];
    void *failed;
    (void)state;
    begin_filled(NULL);
    memset(alias(), 0, 8);
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, add, (void *)i), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    assert_int_equal(*(uint64_t *)(void *)alias(), THREADS * ROUNDS);
    end();
}

static void blocks_may_fault(void **state)
{
    struct segue_trial outer, inner;
    volatile unsigned caught = 0;
    volatile uint8_t *volatile nowhere = (volatile uint8_t *)24;
    (void)state;
    assert_int_equal(install(), SEGUE_OK);
    for (unsigned i = 0; i < 3; i++) {
        if (segue_try(&outer) == 0) {
            if (segue_try(&inner) == 0)
                nowhere[i] = 1;
            else
                caught++;
            assert_int_equal(inner.fault.address, 24 + i);
            nowhere[i] = 2;
        } else {
            caught += 10;
        }
    }
    assert_int_equal(caught, 33);
    stack_t stack;
    sigset_t mask;
    sigaltstack(NULL, &stack);
    assert_false(stack.ss_flags & SS_ONSTACK);
    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    assert_int_equal(mask, 0);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
}

/* ---- contexts ---- */

static struct segue_context flow, parent;
static _Alignas(16) char flow_stack[65536];
static volatile unsigned steps_of_flow;

static void fault_in_flow(void *data)
{
    volatile uint8_t *page = data;
    for (unsigned i = 0; i < 3; i++) {
        steps_of_flow += page[i + 1];
        segue_context_swap(&flow, &parent);
    }
}

static void contexts_fault_on_their_own_stacks(void **state)
{
    volatile uint8_t *page = begin_filled(note);
    struct segue_stack stack = {.base = flow_stack, .size = sizeof flow_stack};
    (void)state;
    steps_of_flow = 0;
    assert_int_equal(segue_context_make(&flow, &stack, fault_in_flow, (void *)(uintptr_t)page), SEGUE_OK);
    for (unsigned i = 0; i < 3; i++)
        segue_context_swap(&parent, &flow);
    assert_int_equal(steps_of_flow, 1 + 2 + 3);
    assert_true((uintptr_t)shown.rsp - (uintptr_t)flow_stack < sizeof flow_stack);
    end();
}

/* ---- what a collector scans ---- */

static uint64_t wanted;
static unsigned found;

static int look_for_it(void *closure, const void *base, const void *limit)
{
    (void)closure;
    for (const uint64_t *at = base; at != limit; at++)
        found += *at == wanted;
    return 0;
}

static enum segue_verdict scan(void *context, const struct segue_event *event)
{
    struct segue_mutator mutator;
    (void)context;
    asked++;
    if (segue_mutator_from_event(event, &mutator) == SEGUE_OK)
        segue_mutator_scan(&mutator, look_for_it, NULL);
    return SEGUE_STEP;
}

/* One in the upper half of a vector register of the frame; and one in a general register. The handler's stack holds a
 * copy of the former. */
static void collector_finds_a_faulting_threads_references(void **state)
{
    volatile uint8_t *page = begin_filled(scan);
    uint64_t words[2] = {1, 0x123456789abc};
    (void)state;
    wanted = words[1];
    found = 0;
    __asm__ volatile("movdqu (%0), %%xmm11\n\tmovq $0, 8(%0)\n\tmovb (%1), %%al\n\tpxor %%xmm11, %%xmm11"
                     :
                     : "r"(words), "r"(page)
                     : "memory", "rax", "xmm11");
    assert_true(found >= 1);
    found = 0;
    __asm__ volatile("movq %0, %%r13\n\tmovb (%1), %%al\n\txorl %%r13d, %%r13d"
                     :
                     : "r"(wanted), "r"(page)
                     : "memory", "rax", "r13");
    assert_true(found >= 1);
    end();
}

static void thread_captures_itself(void **state)
{
    struct segue_mutator mutator;
    _Alignas(64) static uint8_t area[8192];
    (void)state;
    assert_int_equal(segue_mutator_capture(&mutator, NULL, 0), SEGUE_OK);
    assert_true(segue_mutator_sp(&mutator) - (uint64_t)(uintptr_t)__builtin_frame_address(0) + 4096 < 8192);
    assert_true(segue_xstate_size(0) <= sizeof area);
    assert_int_equal(segue_mutator_capture(&mutator, area, sizeof area), SEGUE_OK);
    assert_ptr_equal(mutator.xstate.area, area);
}

/* ---- fork; refusals ---- */

static void read_in_child(void)
{
    uint32_t sum[4] = {1, 1, 1, 1};
    volatile uint8_t *page = mapping.memory;
    __asm__ volatile("movdqu (%0), %%xmm3\n\tpaddd (%1), %%xmm3\n\tmovdqu %%xmm3, (%0)"
                     :
                     : "r"(sum), "r"(page)
                     : "memory", "xmm3");
    if (sum[0] != 0x03020101)
        raise(SIGKILL);
}

static void child_has_regions_and_engines(void **state)
{
    (void)state;
    begin_filled(note);
    read_in_child();
    assert_int_equal(ends_by(read_in_child), 0);
    read_in_child();
    end();
}

static void what_is_not_there_is_refused_by_name(void **state)
{
    static const enum segue_feature missing[] = {SEGUE_FEATURE_HOT, SEGUE_FEATURE_DIRECT_RESTORE};
    struct segue_frame frame;
    siginfo_t info;
    ucontext_t context;
    (void)state;
    for (size_t i = 0; i < sizeof missing / sizeof *missing; i++) {
        assert_int_equal(segue_feature_check(missing[i]), SEGUE_UNSUPPORTED);
        assert_non_null(segue_reason());
    }
    assert_int_equal(segue_feature_check(SEGUE_FEATURE_REPLAY), SEGUE_OK);
    assert_int_equal(segue_frame_open(&frame, &info, &context), SEGUE_UNSUPPORTED);
    assert_non_null(strstr(segue_reason(), "opens frames"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(policy_sees_the_access_and_the_registers),
        cmocka_unit_test(each_engine_steps),
        cmocka_unit_test(upper_halves_are_in_the_state),
        cmocka_unit_test(registers_of_avx512_are_in_the_state),
        cmocka_unit_test(previous_handler_gets_the_systems_frame),
        cmocka_unit_test(previous_handler_gets_the_fault_of_the_step),
        cmocka_unit_test(sent_signals_go_to_the_previous_handler),
        cmocka_unit_test(what_nobody_handles_kills),
        cmocka_unit_test(another_handler_over_the_librarys_is_named),
        cmocka_unit_test(handler_runs_on_the_alternate_stack),
        cmocka_unit_test(policy_may_fault_itself),
        cmocka_unit_test(threads_fault_at_once),
        cmocka_unit_test(blocks_may_fault),
        cmocka_unit_test(contexts_fault_on_their_own_stacks),
        cmocka_unit_test(collector_finds_a_faulting_threads_references),
        cmocka_unit_test(thread_captures_itself),
        cmocka_unit_test(child_has_regions_and_engines),
        cmocka_unit_test(what_is_not_there_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
