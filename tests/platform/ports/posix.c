/* posix.c: what every port to a POSIX system does alike: registers and engines, sent signals, what no handler takes,
 * alternate stacks, nested faults, threads, blocks that may fault, contexts, scans, children. A program of each such
 * port's tests. */
#include "posix.h"

#include <errno.h>
#include <pthread.h>
#include <segue/mutator.h>
#include <segue/posix.h>
#include <segue/try.h>
#include <sys/mman.h>

static void policy_sees_the_access_and_the_registers(void **state)
{
    volatile uint8_t *page = begin_filled(note);
    uintptr_t value = 0x11223344;
    (void)state;
    errno = 77;
    __asm__ volatile("stc\n\tmovzwl 16(%1), %k0" : "+a"(value) : "b"(page) : "memory", "cc");
    assert_int_equal(value, 0x1110);
    assert_int_equal(errno, 77);
    assert_int_equal(asked, 1);
    assert_int_equal(shown.rax, 0x11223344);
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
    uintptr_t old = 5, popped = 0, count = 24;
    uint32_t sum[4] = {1, 2, 3, 4};
    double number = 0;
    uint8_t copy[24];
    const void *from = (const void *)(uintptr_t)page;
    void *to = copy;
    (void)state;
    *(volatile uintptr_t *)(uintptr_t)(page + 32) = 7;
    __asm__ volatile("lock xadd %0, 32(%1)" : "+r"(old) : "r"(page) : "memory");
    assert_int_equal(old, 7);
    assert_int_equal(*(uintptr_t *)(void *)(alias() + 32), 12);
#if defined(__x86_64__)
    /* Not over the red zone. */
    __asm__ volatile("leaq -128(%%rsp), %%rsp\n\tpushq 32(%1)\n\tpopq %0\n\tleaq 128(%%rsp), %%rsp"
                     : "=&r"(popped)
                     : "r"(page)
                     : "memory");
#else
    __asm__ volatile("pushl 32(%1)\n\tpopl %0" : "=&r"(popped) : "r"(page) : "memory");
#endif
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

/* ---- other handlers ---- */

static volatile unsigned counted;

static void count(int number)
{
    (void)number;
    counted++;
}

/* A signal that a program sends is not a fault, although the frame still has the report of the last one. */
static void sent_signals_go_to_the_previous_handler(void **state)
{
    const int number = closed_signal();
    struct sigaction action = {.sa_handler = count}, before;
    (void)state;
    sigaction(number, &action, &before);
    volatile uint8_t *page = begin_filled(note);
    (void)page[3];
    assert_int_equal(asked, 1);
    counted = 0;
    raise(number);
    pthread_kill(pthread_self(), number);
    kill(getpid(), number);
    assert_int_equal(counted, 3);
    assert_int_equal(asked, 1);
    sigset_t only, old;
    sigemptyset(&only);
    sigaddset(&only, number);
    pthread_sigmask(SIG_BLOCK, &only, &old);
    raise(number);
    assert_int_equal(counted, 3);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    assert_int_equal(counted, 4);
    (void)page[4];
    assert_int_equal(asked, 2);
    end();
    sigaction(number, &before, NULL);
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
    signal(closed_signal(), SIG_IGN);
    if (install() != SEGUE_OK)
        return;
    raise(closed_signal());
    (void)target[0];
}

static void what_nobody_handles_kills(void **state)
{
    (void)state;
    target = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANON, -1, 0);
    assert_int_equal(ends_by(read_target), closed_signal());
    /* By a port it is for the system to decide: it repeats the instruction. */
    if (!is_by_port())
        assert_int_equal(ends_by(ignore_and_read), closed_signal());
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
    sigaction(closed_signal(), &action, &ours);
    assert_int_equal(segue_install_check(&owner), SEGUE_NOT_LAST);
    assert_ptr_equal(owner.handler, count);
    assert_int_equal(segue_uninstall(NULL), SEGUE_NOT_LAST);
    sigaction(closed_signal(), &ours, NULL);
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
    volatile uint32_t *cell = (volatile uint32_t *)(uintptr_t)mapping.memory;
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
    assert_int_equal(*(uint32_t *)(void *)alias(), THREADS * ROUNDS);
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
    sigset_t mask, none;
    sigaltstack(NULL, &stack);
    assert_false(stack.ss_flags & SS_ONSTACK);
    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    sigemptyset(&none);
    assert_memory_equal(&mask, &none, sizeof mask);
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

static uintptr_t wanted;
static unsigned found;

static int look_for_it(void *closure, const void *base, const void *limit)
{
    (void)closure;
    for (const uintptr_t *at = base; at != limit; at++)
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

static void collector_finds_a_faulting_threads_references(void **state)
{
    volatile uint8_t *page = begin_filled(scan);
    uintptr_t words[4] = {1, 2, 3, 0x12345678};
    (void)state;
    wanted = words[3];
    found = 0;
    __asm__ volatile("movdqu (%0), %%xmm6\n\tmovl $0, (%0)\n\tmovb (%1), %%al\n\tpxor %%xmm6, %%xmm6"
                     :
                     : "r"(&words[4 - 16 / sizeof *words]), "r"(page)
                     : "memory", "eax", "xmm6");
    assert_true(found >= 1);
    found = 0;
    __asm__ volatile("mov %0, %%edi\n\tmovb (%1), %%al\n\txorl %%edi, %%edi"
                     :
                     : "r"((uint32_t)wanted), "r"(page)
                     : "memory", "eax", "edi");
    assert_true(found >= 1);
    end();
}

static void thread_captures_itself(void **state)
{
    struct segue_mutator mutator;
    static _Alignas(64) uint8_t area[8192];
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(policy_sees_the_access_and_the_registers),
        cmocka_unit_test(each_engine_steps),
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
