/* faults.c: faults in and out of FreeBSD's frame: registers, both parts of the extended state, the three engines,
 * policies, exceptions' numbers, previous handlers, sent signals, alternate stacks, threads, blocks that may fault; and
 * what is refused by name. */
#if !defined(__FreeBSD__)
#error "faults.c is specific to FreeBSD"
#endif

#include "fixture.h"

#include <errno.h>
#include <pthread.h>
#include <segue/mutator.h>
#include <segue/posix.h>
#include <segue/segment.h>
#include <segue/try.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

static struct segue_fault fault_told;

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

static bool has(const char *name)
{
    uint32_t a = 7, b, c = 0, d, low, high;
    __asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return strcmp(name, "avx2") == 0 ? (b >> 5 & 1) && (low & 4) : (b >> 16 & 1) && (low & 0xe0) == 0xe0;
}

/* Another register keeps its value, and the one that is written has all its bytes. */
static void upper_halves_are_in_the_second_part(void **state)
{
    uint8_t before[32], loaded[32], after[32];
    (void)state;
    skip_if(has("avx2") ? NULL : "the processor has no AVX2");
    volatile uint8_t *page = begin_filled(note);
    for (unsigned i = 0; i < 32; i++)
        before[i] = (uint8_t)(0xa0 + i);
    __asm__ volatile("vmovdqu (%0), %%ymm7\n\tvmovdqu 256(%1), %%ymm5\n\tvpaddb %%ymm5, %%ymm5, %%ymm6\n\t"
                     "vmovdqu %%ymm5, (%2)\n\tvpaddb 256(%1), %%ymm6, %%ymm6\n\t"
                     "vmovdqu %%ymm7, (%3)\n\tvmovdqu %%ymm6, 512(%1)\n\tvzeroupper"
                     :
                     : "r"(before), "r"(page), "r"(loaded), "r"(after)
                     : "memory", "xmm5", "xmm6", "xmm7");
    assert_memory_equal(after, before, 32);
    assert_memory_equal(loaded, alias() + 256, 32);
    for (unsigned i = 0; i < 32; i++)
        assert_int_equal(alias()[512 + i], (uint8_t)(3 * i));
    assert_int_equal(asked, 3);
    end();
}

static void registers_of_avx512_are_in_the_second_part(void **state)
{
#if defined(__x86_64__)
    uint8_t before[64], loaded[64], after[64];
    uint64_t mask = 0;
    (void)state;
    skip_if(has("avx512") ? NULL : "the processor has no AVX-512");
    volatile uint8_t *page = begin_filled(note);
    for (unsigned i = 0; i < 64; i++)
        before[i] = (uint8_t)(0x55 + i);
    __asm__ volatile("vmovdqu64 (%1), %%zmm29\n\tmovl $0x5aa5, %%eax\n\tkmovw %%eax, %%k3\n\t"
                     "vmovdqu64 256(%2), %%zmm17\n\tvmovdqu64 %%zmm17, (%3)\n\tvmovdqu64 %%zmm29, (%4)\n\t"
                     "kmovw %%k3, %%eax\n\tmovq %%rax, %0\n\tvzeroupper"
                     : "=m"(mask)
                     : "r"(before), "r"(page), "r"(loaded), "r"(after)
                     : "memory", "rax");
    assert_memory_equal(after, before, 64);
    assert_memory_equal(loaded, alias() + 256, 64);
    assert_int_equal(mask, 0x5aa5);
    end();
#else
    (void)state;
    skip_if("32-bit code has half of AVX-512's registers");
#endif
}

/* A frame whose state is initial says that it has no owner; what a step loads must be in the thread all the same. */
static void step_loads_a_state_that_nobody_owned(void **state)
{
    static _Alignas(64) uint8_t initial[8192];
    uint32_t loaded[4] = {0}, low = UINT32_MAX;
    volatile uint8_t *page = begin_filled(note);
    (void)state;
    memcpy(initial + 24, (uint32_t[]){0x1f80}, 4);
    __asm__ volatile("xrstor (%1)\n\tmovdqu 64(%2), %%xmm3\n\tmovdqu %%xmm3, (%3)"
                     :
                     : "a"(low), "r"(initial), "r"(page), "r"(loaded), "d"(low)
                     : "memory", "xmm3");
    assert_memory_equal(loaded, alias() + 64, 16);
    assert_int_equal(asked, 1);
    end();
}

/* ---- exceptions ---- */

static struct segue_trial trial;

/* The exception has the processor's number, not the system's. */
#define AFTER(instruction, ...)                                                                                        \
    do {                                                                                                               \
        fault_told = (struct segue_fault){0};                                                                          \
        if (segue_try(&trial) == 0)                                                                                    \
            __asm__ volatile(instruction : : __VA_ARGS__);                                                             \
        fault_told = trial.fault;                                                                                      \
    } while (0)

static void exceptions_have_the_processors_numbers(void **state)
{
    volatile uint8_t *volatile nowhere = (volatile uint8_t *)24;
    (void)state;
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    AFTER("movb $1, (%0)", "r"(nowhere) : "memory");
    assert_int_equal(fault_told.trap, 14);
    assert_true(fault_told.address_known);
    assert_int_equal(fault_told.address, 24);
    assert_int_equal(fault_told.direction, SEGUE_WRITE);
    assert_int_equal(fault_told.signal, SIGSEGV);
    AFTER("movb (%0), %%al", "r"(nowhere) : "memory", "eax");
    assert_int_equal(fault_told.direction, SEGUE_READ);
    static _Alignas(16) uint8_t bytes[32];
    AFTER("movaps 1(%0), %%xmm0", "r"(bytes) : "memory", "xmm0");
    assert_int_equal(fault_told.trap, 13);
    assert_false(fault_told.address_known);
    assert_int_equal(fault_told.signal, SIGBUS);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
}

/* ---- previous handlers ---- */

static volatile int handled, handled_code, handled_trap;
static volatile uintptr_t handled_address;
static sigset_t handled_mask;

static void skip_two_bytes(int number, siginfo_t *info, void *context)
{
    mcontext_t *machine = &((ucontext_t *)context)->uc_mcontext;
    handled = number;
    handled_code = info->si_code;
    handled_address = (uintptr_t)info->si_addr;
    handled_trap = (int)machine->mc_trapno;
    pthread_sigmask(SIG_BLOCK, NULL, &handled_mask);
#if defined(__x86_64__)
    machine->mc_rip += 2;
    machine->mc_rax = 99;
#else
    machine->mc_eip += 2;
    machine->mc_eax = 99;
#endif
    /* XMM5, in the image of FXSAVE. */
    ((uint8_t *)machine->mc_fpstate)[160 + 5 * 16] = 0x77;
}

/* movb (%ebx), %al has two bytes. */
static uintptr_t load_byte(volatile uint8_t *from, uint8_t *vector)
{
    uintptr_t value = 0;
    __asm__ volatile("pxor %%xmm5, %%xmm5\n\tmovb (%1), %%al\n\tmovdqu %%xmm5, (%2)"
                     : "+a"(value)
                     : "b"(from), "r"(vector)
                     : "memory", "xmm5");
    return value;
}

static void previous_handler_gets_the_systems_frame(void **state)
{
    const int number = closed_signal();
    struct sigaction action = {.sa_sigaction = skip_two_bytes, .sa_flags = SA_SIGINFO}, before;
    uint8_t vector[16];
    (void)state;
    sigaddset(&action.sa_mask, SIGUSR1);
    sigaction(number, &action, &before);
    volatile uint8_t *page = begin_filled(pass);
    handled = 0;
    assert_int_equal(load_byte(page + 5, vector), 99);
    assert_int_equal(handled, number);
    assert_int_equal(handled_code, number == SIGBUS ? 12 : SEGV_ACCERR);
    assert_int_equal(handled_trap, 12);
    assert_int_equal(handled_address, (uintptr_t)page + 5);
    assert_int_equal(vector[0], 0x77);
    /* The mask that the system would have called it with; and the one before when it has returned. */
    assert_true(sigismember(&handled_mask, SIGUSR1));
    assert_true(sigismember(&handled_mask, number));
    sigset_t mask;
    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    assert_false(sigismember(&mask, number));
    assert_int_equal(asked, 1);
    end();
    sigaction(number, NULL, &action);
    assert_ptr_equal(action.sa_sigaction, skip_two_bytes);
    sigaction(number, &before, NULL);
}

static volatile unsigned counted;
static void *volatile given_address;

/* Without SA_SIGINFO there are four arguments, as long ago. */
static void count(int number, int code, void *context, void *address)
{
    (void)number;
    (void)code;
    (void)context;
    given_address = address;
    counted++;
}

/* A signal that a program sends is not a fault, although the frame still has the report of the last one. */
static void sent_signals_go_to_the_previous_handler(void **state)
{
    const int number = closed_signal();
    struct sigaction action = {.sa_handler = (void (*)(int))(uintptr_t)count}, before;
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
    if (segue_install(NULL) == SEGUE_OK)
        (void)target[0];
}

static void send_itself(void)
{
    signal(SIGBUS, SIG_DFL);
    if (segue_install(NULL) == SEGUE_OK)
        raise(SIGBUS);
}

static void ignore_and_read(void)
{
    signal(closed_signal(), SIG_IGN);
    if (segue_install(NULL) != SEGUE_OK)
        return;
    raise(closed_signal());
    (void)target[0];
}

static void what_nobody_handles_kills(void **state)
{
    (void)state;
    target = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANON, -1, 0);
    assert_int_equal(ends_by(read_target), closed_signal());
    assert_int_equal(ends_by(ignore_and_read), closed_signal());
    assert_int_equal(ends_by(send_itself), SIGBUS);
    munmap((void *)(uintptr_t)target, PAGE);
    assert_int_equal(ends_by(read_target), SIGSEGV);
}

static void another_handler_over_the_librarys_is_named(void **state)
{
    struct sigaction action = {.sa_handler = (void (*)(int))(uintptr_t)count}, ours;
    struct segue_owner owner;
    (void)state;
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(segue_install_check(&owner), SEGUE_OK);
    sigaction(SIGSEGV, &action, &ours);
    assert_int_equal(segue_install_check(&owner), SEGUE_NOT_LAST);
    assert_ptr_equal(owner.handler, count);
    assert_int_equal(segue_uninstall(NULL), SEGUE_NOT_LAST);
    sigaction(SIGSEGV, &ours, NULL);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
}

/* ---- stacks, threads, blocks ---- */

static void handler_runs_on_the_alternate_stack(void **state)
{
    stack_t stack;
    (void)state;
    volatile uint8_t *page = begin_filled(note);
    (void)page[0];
    assert_int_equal(sigaltstack(NULL, &stack), 0);
    assert_false(stack.ss_flags & (SS_ONSTACK | SS_DISABLE));
    assert_true((uintptr_t)stack_of_policy - (uintptr_t)stack.ss_sp < stack.ss_size);
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
    assert_int_equal(segue_install(NULL), SEGUE_OK);
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

/* A removal waits for a thread that has left a policy by a jump: it is looked at, by the library's own signal. */
static jmp_buf way_out;
static volatile int left, may_end;

static enum segue_verdict leave(void *context, const struct segue_event *event)
{
    (void)context;
    (void)event;
    longjmp(way_out, 1);
}

static void *leave_a_policy(void *page)
{
    if (setjmp(way_out) == 0)
        (void)*(volatile uint8_t *)page;
    left = 1;
    while (!may_end)
        usleep(1000);
    return NULL;
}

static void removal_looks_at_a_thread_that_left_a_policy(void **state)
{
    pthread_t thread;
    volatile uint8_t *page = begin_filled(leave);
    (void)state;
    left = may_end = 0;
    assert_int_equal(pthread_create(&thread, NULL, leave_a_policy, (void *)(uintptr_t)page), 0);
    while (!left)
        usleep(1000);
    assert_int_equal(segue_region_remove(mapping.memory), SEGUE_OK);
    may_end = 1;
    pthread_join(thread, NULL);
    segue_mapping_destroy(&mapping);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
}

/* ---- real-time signals, which masks of 64 bits lack ---- */

static void held_real_time_signals_are_as_before(void **state)
{
    sigset_t wanted, mask;
    (void)state;
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGRTMIN + 5);
    sigaddset(&wanted, SIGUSR2);
    pthread_sigmask(SIG_SETMASK, &wanted, NULL);
    volatile uint8_t *page = begin_filled(note);
    (void)page[1];
    end();
    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    assert_memory_equal(&mask, &wanted, sizeof mask);
    sigemptyset(&wanted);
    pthread_sigmask(SIG_SETMASK, &wanted, NULL);
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

static void what_is_not_there_is_refused_by_name(void **state)
{
    static const enum segue_feature missing[] = {SEGUE_FEATURE_GUEST, SEGUE_FEATURE_SEGMENT, SEGUE_FEATURE_HOT,
                                                 SEGUE_FEATURE_DIRECT_RESTORE};
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
        cmocka_unit_test(upper_halves_are_in_the_second_part),
        cmocka_unit_test(registers_of_avx512_are_in_the_second_part),
        cmocka_unit_test(step_loads_a_state_that_nobody_owned),
        cmocka_unit_test(exceptions_have_the_processors_numbers),
        cmocka_unit_test(previous_handler_gets_the_systems_frame),
        cmocka_unit_test(sent_signals_go_to_the_previous_handler),
        cmocka_unit_test(what_nobody_handles_kills),
        cmocka_unit_test(another_handler_over_the_librarys_is_named),
        cmocka_unit_test(handler_runs_on_the_alternate_stack),
        cmocka_unit_test(policy_may_fault_itself),
        cmocka_unit_test(threads_fault_at_once),
        cmocka_unit_test(blocks_may_fault),
        cmocka_unit_test(removal_looks_at_a_thread_that_left_a_policy),
        cmocka_unit_test(held_real_time_signals_are_as_before),
        cmocka_unit_test(contexts_fault_on_their_own_stacks),
        cmocka_unit_test(collector_finds_a_faulting_threads_references),
        cmocka_unit_test(thread_captures_itself),
        cmocka_unit_test(child_has_regions_and_engines),
        cmocka_unit_test(what_is_not_there_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
