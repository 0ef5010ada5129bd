/* port.c: the library's exception port beside others: what it leaves to the port that was there before, in each form
 * that such a port may want, to a thread's own port, and to handlers of signals; and who is in force. */
#if !defined(__APPLE__) || !defined(__x86_64__)
#error "port.c is specific to macOS on x86-64"
#endif

#include "tests/platform/ports/fixture.h"

#include <errno.h>
#include <pthread.h>
#include <segue/handler.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ucontext.h>

#include "platform/darwin/handlers/messages.h"

#define MASK (EXC_MASK_BAD_ACCESS | EXC_MASK_ARITHMETIC | EXC_MASK_BREAKPOINT)

/* ---- somebody else's port ---- */

static mach_port_t other;
static volatile bool refuses;
/* The last message. */
static volatile struct {
    unsigned count;
    int id, exception, flavor;
    int64_t codes[2];
    mach_port_t thread, task;
    x86_thread_state64_t state;
} got;

static union {
    mach_msg_header_t header;
    struct exception_request request;
    char room[sizeof(struct exception_request) + MAX_TRAILER_SIZE];
} message;

static const char *take(const char *at, void *to, size_t size)
{
    memcpy(to, at, size);
    return at + size;
}

/* The same fields in each form: those that it lacks are left out. */
static void read_message(void)
{
    const int id = message.header.msgh_id;
    const bool is_short = id < RAISE, has_ports = id != RAISE_STATE && id != RAISE_STATE + RAISE_TO_SHORT_CODES;
    const char *at = (const char *)&message.request.body;
    mach_msg_port_descriptor_t ports[2];
    NDR_record_t data;
    mach_msg_type_number_t count;
    int exception, flavor = 0;
    got.id = id;
    if (has_ports) {
        at = take(at + sizeof(mach_msg_body_t), ports, sizeof ports);
        got.thread = ports[0].name;
        got.task = ports[1].name;
    }
    at = take(take(take(at, &data, sizeof data), &exception, sizeof exception), &count, sizeof count);
    for (unsigned i = 0; i < 2; i++) {
        int64_t code = 0;
        int half = 0;
        at = is_short ? take(at, &half, sizeof half) : take(at, &code, sizeof code);
        got.codes[i] = is_short ? half : code;
    }
    got.exception = exception;
    if (id != RAISE && id != RAISE + RAISE_TO_SHORT_CODES) {
        at = take(take(at, &flavor, sizeof flavor), &count, sizeof count);
        if (flavor == x86_THREAD_STATE64 && count == x86_THREAD_STATE64_COUNT)
            take(at, (void *)(uintptr_t)&got.state, sizeof got.state);
    } else {
        count = x86_THREAD_STATE64_COUNT;
        thread_get_state(got.thread, x86_THREAD_STATE64, (thread_state_t)(uintptr_t)&got.state, &count);
    }
    got.flavor = flavor;
    got.count++;
}

/* Past an instruction of two bytes, with another RAX: in the answer, or by itself. */
static void answer(void)
{
    struct exception_reply reply = {.data = NDR_record, .result = refuses ? KERN_FAILURE : KERN_SUCCESS};
    x86_thread_state64_t state = got.state;
    state.__rip += 2;
    state.__rax = 99;
    reply.header.msgh_bits = MACH_MSGH_BITS(MACH_MSGH_BITS_REMOTE(message.header.msgh_bits), 0);
    reply.header.msgh_remote_port = message.header.msgh_remote_port;
    reply.header.msgh_id = got.id + RAISE_TO_REPLY;
    reply.header.msgh_size = offsetof(struct exception_reply, flavor);
    if (!refuses && got.flavor) {
        reply.flavor = x86_THREAD_STATE64;
        reply.state_count = x86_THREAD_STATE64_COUNT;
        memcpy(reply.state, &state, sizeof state);
        reply.header.msgh_size = offsetof(struct exception_reply, state) + sizeof state;
    } else if (!refuses) {
        thread_set_state(got.thread, x86_THREAD_STATE64, (thread_state_t)&state, x86_THREAD_STATE64_COUNT);
    }
    mach_msg(&reply.header, MACH_SEND_MSG, reply.header.msgh_size, 0, MACH_PORT_NULL, 0, MACH_PORT_NULL);
}

static void *receive(void *unused)
{
    (void)unused;
    for (;;) {
        if (mach_msg(&message.header, MACH_RCV_MSG, 0, sizeof message, other, 0, MACH_PORT_NULL) != KERN_SUCCESS)
            continue;
        read_message();
        answer();
    }
    return NULL;
}

static int make_other(void **state)
{
    pthread_t thread;
    (void)state;
    return mach_port_allocate(mach_task_self(), MACH_PORT_RIGHT_RECEIVE, &other) != KERN_SUCCESS ||
           mach_port_insert_right(mach_task_self(), other, other, MACH_MSG_TYPE_MAKE_SEND) != KERN_SUCCESS ||
           pthread_create(&thread, NULL, receive, NULL) != 0;
}

static void set_task_port(mach_port_t port, unsigned behavior)
{
    assert_int_equal(
        task_set_exception_ports(mach_task_self(), MASK, port, (exception_behavior_t)behavior, x86_THREAD_STATE64),
        KERN_SUCCESS);
    memset((void *)(uintptr_t)&got, 0, sizeof got);
    refuses = false;
}

/* ---- faults ---- */

static enum segue_verdict pass(void *context, const struct segue_event *event)
{
    (void)context;
    (void)event;
    asked++;
    return SEGUE_PASS;
}

static enum segue_verdict step(void *context, const struct segue_event *event)
{
    (void)context;
    (void)event;
    asked++;
    return SEGUE_STEP;
}

/* movb (%rbx), %al has two bytes. */
static uint64_t load_byte(const volatile void *from)
{
    uint64_t value = 0;
    __asm__ volatile("movb (%%rbx), %%al" : "+a"(value) : "b"(from), "c"(0x1234) : "memory");
    return value;
}

/* idivl (%rbx) has two bytes, too. */
static uint64_t divide(const int *by)
{
    uint64_t value = 7;
    __asm__ volatile("idivl (%%rbx)" : "+a"(value) : "b"(by), "d"(0) : "memory", "cc");
    return value;
}

static void port_before_gets_what_it_wants(void **state)
{
    static const unsigned behaviors[] = {
        EXCEPTION_STATE_IDENTITY | MACH_EXCEPTION_CODES,
        EXCEPTION_DEFAULT | MACH_EXCEPTION_CODES,
        EXCEPTION_STATE | MACH_EXCEPTION_CODES,
        EXCEPTION_STATE_IDENTITY,
        EXCEPTION_DEFAULT,
        EXCEPTION_STATE,
    };
    static const int ids[] = {2407, 2405, 2406, 2403, 2401, 2402};
    (void)state;
    for (unsigned i = 0; i < sizeof behaviors / sizeof *behaviors; i++) {
        set_task_port(other, behaviors[i]);
        volatile uint8_t *page = begin_filled(pass);
        const uint64_t address = (uint64_t)(uintptr_t)page + 9;
        const bool is_short = !(behaviors[i] & MACH_EXCEPTION_CODES);
        assert_int_equal(load_byte(page + 9), 99);
        /* Asked once, although the instruction has faulted twice. */
        assert_int_equal(asked, 1);
        assert_int_equal(got.count, 1);
        assert_int_equal(got.id, ids[i]);
        assert_int_equal(got.exception, EXC_BAD_ACCESS);
        assert_int_equal(got.codes[0], KERN_PROTECTION_FAILURE);
        assert_int_equal(got.codes[1], is_short ? (uint64_t)(int64_t)(int)address : address);
        assert_int_equal(got.state.__rbx, address);
        assert_int_equal(got.state.__rcx, 0x1234);
        if (got.thread) {
            assert_int_equal(got.thread, pthread_mach_thread_np(pthread_self()));
            assert_int_equal(got.task, mach_task_self());
        }
        /* What is in no region, and another exception; and the same again. */
        for (unsigned round = 0; round < 2; round++) {
            const int zero = 0;
            assert_int_equal(load_byte((const volatile void *)24), 99);
            assert_int_equal(got.codes[0], KERN_INVALID_ADDRESS);
            assert_int_equal(divide(&zero), 99);
            assert_int_equal(got.exception, EXC_ARITHMETIC);
            assert_int_equal(got.codes[0], EXC_I386_DIV);
        }
        assert_int_equal(got.count, 5);
        end();
        set_task_port(MACH_PORT_NULL, EXCEPTION_DEFAULT);
    }
}

/* ---- handlers of signals ---- */

static volatile int handled;
static volatile uint64_t handled_address;

static void skip_two_bytes(int number, siginfo_t *info, void *context)
{
    ucontext_t *frame = context;
    handled = number;
    handled_address = (uint64_t)(uintptr_t)info->si_addr;
    frame->uc_mcontext->__ss.__rip += 2;
    frame->uc_mcontext->__ss.__rax = 77;
}

static void handlers_of_signals_get_what_ports_refuse(void **state)
{
    static const int numbers[] = {SIGBUS, SIGSEGV, SIGFPE};
    struct sigaction action = {.sa_sigaction = skip_two_bytes, .sa_flags = SA_SIGINFO}, before[3], now;
    const int zero = 0;
    (void)state;
    for (unsigned i = 0; i < 3; i++)
        sigaction(numbers[i], &action, &before[i]);
    for (unsigned with_port = 0; with_port < 3; with_port++) {
        set_task_port(with_port ? other : MACH_PORT_NULL,
                      with_port == 1 ? EXCEPTION_DEFAULT : EXCEPTION_STATE_IDENTITY | MACH_EXCEPTION_CODES);
        refuses = true;
        volatile uint8_t *page = begin_filled(pass);
        assert_int_equal(load_byte(page + 5), 77);
        assert_int_equal(handled, SIGBUS);
        assert_int_equal(handled_address, (uintptr_t)page + 5);
        assert_int_equal(asked, 1);
        assert_int_equal(load_byte((const volatile void *)24), 77);
        assert_int_equal(handled, SIGSEGV);
        assert_int_equal(divide(&zero), 77);
        assert_int_equal(handled, SIGFPE);
        assert_int_equal(got.count, with_port ? 3 : 0);
        /* The program's actions are untouched. */
        sigaction(SIGBUS, NULL, &now);
        assert_ptr_equal(now.sa_sigaction, skip_two_bytes);
        end();
        set_task_port(MACH_PORT_NULL, EXCEPTION_DEFAULT);
    }
    for (unsigned i = 0; i < 3; i++)
        sigaction(numbers[i], &before[i], NULL);
}

static void threads_own_port_comes_first(void **state)
{
    const mach_port_t self = mach_thread_self();
    volatile uint8_t *page = begin_filled(step);
    (void)state;
    assert_int_equal(thread_set_exception_ports(self, EXC_MASK_BAD_ACCESS, other,
                                                (exception_behavior_t)(EXCEPTION_STATE_IDENTITY | MACH_EXCEPTION_CODES),
                                                x86_THREAD_STATE64),
                     KERN_SUCCESS);
    memset((void *)(uintptr_t)&got, 0, sizeof got);
    refuses = false;
    assert_int_equal(load_byte(page + 5), 99);
    assert_int_equal(asked, 0);
    refuses = true;
    assert_int_equal(load_byte(page + 5), 5);
    assert_int_equal(asked, 1);
    assert_true(got.count >= 2);
    assert_int_equal(
        thread_set_exception_ports(self, EXC_MASK_BAD_ACCESS, MACH_PORT_NULL, EXCEPTION_DEFAULT, x86_THREAD_STATE64),
        KERN_SUCCESS);
    end();
}

/* ---- who is in force ---- */

static mach_port_t task_port(void)
{
    exception_mask_t masks[EXC_TYPES_COUNT];
    mach_port_t ports[EXC_TYPES_COUNT];
    exception_behavior_t behaviors[EXC_TYPES_COUNT];
    thread_state_flavor_t flavors[EXC_TYPES_COUNT];
    mach_msg_type_number_t count = EXC_TYPES_COUNT;
    assert_int_equal(
        task_get_exception_ports(mach_task_self(), EXC_MASK_BAD_ACCESS, masks, &count, ports, behaviors, flavors),
        KERN_SUCCESS);
    assert_int_equal(count, 1);
    return ports[0];
}

static void port_over_the_librarys_is_noticed(void **state)
{
    struct segue_owner owner;
    (void)state;
    set_task_port(other, EXCEPTION_DEFAULT);
    assert_int_equal(install(), SEGUE_OK);
    assert_int_equal(install(), SEGUE_EXISTS);
    const mach_port_t ours = task_port();
    assert_int_not_equal(ours, other);
    assert_int_equal(segue_install_check(&owner), SEGUE_OK);
    assert_int_equal(
        task_set_exception_ports(mach_task_self(), EXC_MASK_BAD_ACCESS, other, EXCEPTION_DEFAULT, x86_THREAD_STATE64),
        KERN_SUCCESS);
    assert_int_equal(segue_install_check(&owner), SEGUE_NOT_LAST);
    assert_int_equal(segue_uninstall(NULL), SEGUE_NOT_LAST);
    assert_int_equal(task_set_exception_ports(mach_task_self(), EXC_MASK_BAD_ACCESS, ours,
                                              (exception_behavior_t)(EXCEPTION_STATE_IDENTITY | MACH_EXCEPTION_CODES),
                                              x86_THREAD_STATE64),
                     KERN_SUCCESS);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
    assert_int_equal(task_port(), other);
    set_task_port(MACH_PORT_NULL, EXCEPTION_DEFAULT);
}

/* ---- what has no room ---- */

static uint64_t own_stack;

/* With a stack pointer whose page is closed. */
static uint64_t load_without_stack(const volatile void *from, void *stack)
{
    uint64_t value = 0;
    __asm__ volatile("movq %%rsp, %[own]\n\tmovq %[stack], %%rsp\n\tmovb (%%rbx), %%al\n\tmovq %[own], %%rsp"
                     : "+a"(value), [own] "+m"(own_stack)
                     : "b"(from), [stack] "r"(stack)
                     : "memory");
    return value;
}

/* The same with the stack pointer in a register: threads share no variable. */
static uint64_t load_without_stack_of_thread(const volatile void *from, void *stack)
{
    uint64_t value = 0;
    __asm__ volatile("xchgq %%rsp, %%rcx\n\tmovb (%%rbx), %%al\n\txchgq %%rsp, %%rcx"
                     : "+a"(value), "+c"(stack)
                     : "b"(from)
                     : "memory");
    return value;
}

static volatile unsigned counted_steps;

static enum segue_verdict count_step(void *context, const struct segue_event *event)
{
    (void)context;
    (void)event;
    __atomic_fetch_add(&counted_steps, 1, __ATOMIC_RELAXED);
    return SEGUE_STEP;
}

static char *closed_pages(size_t count)
{
    return mmap(NULL, count * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANON, -1, 0);
}

/* With and without an alternate stack, which stays the program's. */
static void fault_on_a_closed_stack_is_served(void **state)
{
    struct sigaction action = {.sa_sigaction = skip_two_bytes, .sa_flags = SA_SIGINFO | SA_ONSTACK}, before;
    static char signal_stack[65536];
    const stack_t stack = {.ss_sp = signal_stack, .ss_size = sizeof signal_stack}, none = {.ss_flags = SS_DISABLE};
    char *closed = closed_pages(8);
    (void)state;
    sigaction(SIGBUS, &action, &before);
    for (unsigned with_stack = 0; with_stack < 2; with_stack++) {
        assert_int_equal(sigaltstack(with_stack ? &stack : &none, NULL), 0);
        volatile uint8_t *page = begin_filled(step);
        for (unsigned round = 0; round < 100; round++) {
            assert_int_equal(load_without_stack(page + 5, closed + 8 * PAGE), 5);
            assert_int_equal(load_byte(page + 5), 5);
        }
        assert_int_equal(asked, 200);
        end();
    }
    /* What is not served goes to the program's handler, on the alternate stack. */
    begin_filled(pass);
    assert_int_equal(load_without_stack(closed, closed + 8 * PAGE), 77);
    assert_int_equal(handled_address, (uintptr_t)closed);
    end();
    assert_int_equal(sigaltstack(&none, NULL), 0);
    sigaction(SIGBUS, &before, NULL);
    munmap(closed, 8 * PAGE);
}

/* A push into a region in which the stack lies; and a policy that faults itself. */
static volatile uint8_t *second_page;
static const char *volatile policy_at;

static enum segue_verdict load_in_policy(void *context, const struct segue_event *event)
{
    char here;
    (void)context;
    asked++;
    policy_at = &here;
    if (event->address - (uintptr_t)second_page < PAGE)
        return SEGUE_STEP;
    return second_page[7] == 7 ? SEGUE_STEP : SEGUE_PASS;
}

static void stack_may_lie_in_a_region(void **state)
{
    struct segue_mapping second;
    uint64_t popped;
    (void)state;
    volatile uint8_t *page = begin_filled(load_in_policy);
    assert_int_equal(segue_mapping_create(NULL, PAGE, &second), SEGUE_OK);
    const struct segue_region region = {.window = segue_mapping_window(&second), .policy = load_in_policy};
    ((uint8_t *)region.window.alias)[7] = 7;
    assert_int_equal(segue_region_add(&region), SEGUE_OK);
    assert_int_equal(segue_mapping_protect(&second, 0, PAGE, 0), SEGUE_OK);
    second_page = second.memory;
    for (unsigned round = 0; round < 100; round++) {
        __asm__ volatile("movq %%rsp, %[own]\n\tmovq %[stack], %%rsp\n\tpushq %[value]\n\tpopq %[popped]\n\t"
                         "movq %[own], %%rsp"
                         : [own] "+m"(own_stack), [popped] "=&r"(popped)
                         : [stack] "r"(page + 2048), [value] "r"(UINT64_C(0x5e60e) + round)
                         : "memory");
        assert_int_equal(popped, 0x5e60e + round);
    }
    assert_int_equal(asked, 400);
    second_page = NULL;
    segue_region_remove(second.memory);
    segue_mapping_destroy(&second);
    end();
}

/* A policy that leaves by a jump, from the stack that the port has for it; more often than there are such stacks. */
static sigjmp_buf out;

static enum segue_verdict jump(void *context, const struct segue_event *event)
{
    (void)context;
    (void)event;
    asked++;
    if (asked % 2)
        siglongjmp(out, 1);
    return SEGUE_STEP;
}

static void policy_may_leave_such_a_stack(void **state)
{
    char *closed = closed_pages(8);
    volatile uint8_t *page = begin_filled(jump);
    volatile unsigned left = 0;
    (void)state;
    for (volatile unsigned round = 0; round < 200; round++) {
        if (sigsetjmp(out, 1) == 0)
            assert_int_equal(load_without_stack(page + 5, closed + 8 * PAGE), 5);
        else
            left++;
    }
    assert_int_equal(asked, 200);
    assert_int_equal(left, 100);
    end();
    munmap(closed, 8 * PAGE);
}

static void *fault_without_stack(void *page)
{
    char *closed = closed_pages(8);
    uintptr_t failures = 0;
    for (unsigned round = 0; round < 500; round++)
        failures += load_without_stack_of_thread((const volatile uint8_t *)page + 5, closed + 8 * PAGE) != 5;
    munmap(closed, 8 * PAGE);
    return (void *)failures;
}

static void threads_have_such_stacks_at_once(void **state)
{
    pthread_t threads[4];
    void *failures;
    (void)state;
    volatile uint8_t *page = begin_filled(count_step);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, fault_without_stack, (void *)(uintptr_t)page), 0);
    for (unsigned i = 0; i < 4; i++) {
        pthread_join(threads[i], &failures);
        assert_int_equal((uintptr_t)failures, 0);
    }
    assert_int_equal(counted_steps, 2000);
    end();
}

/* ---- breakpoints ---- */

static volatile unsigned trapped;

static void count_trap(int number)
{
    (void)number;
    trapped++;
}

static void breakpoints_go_to_the_programs_handler(void **state)
{
    struct sigaction action = {.sa_handler = count_trap}, before;
    const struct segue_options options = {.flags = SEGUE_INSTALL_MACH_PORT | SEGUE_INSTALL_SIGTRAP};
    (void)state;
    sigaction(SIGTRAP, &action, &before);
    assert_int_equal(segue_install(&options), SEGUE_OK);
    trapped = 0;
    for (unsigned i = 0; i < 3; i++)
        __asm__ volatile("int3");
    assert_int_equal(trapped, 3);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
    sigaction(SIGTRAP, &before, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(port_before_gets_what_it_wants),
        cmocka_unit_test(handlers_of_signals_get_what_ports_refuse),
        cmocka_unit_test(threads_own_port_comes_first),
        cmocka_unit_test(port_over_the_librarys_is_noticed),
        cmocka_unit_test(fault_on_a_closed_stack_is_served),
        cmocka_unit_test(stack_may_lie_in_a_region),
        cmocka_unit_test(policy_may_leave_such_a_stack),
        cmocka_unit_test(threads_have_such_stacks_at_once),
        cmocka_unit_test(breakpoints_go_to_the_programs_handler),
    };
    return cmocka_run_group_tests(tests, make_other, NULL);
}
