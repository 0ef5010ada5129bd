/* ctx_guest_calls.c: the one entry that all guests of a process call, on whatever thread; and clones made by a handler
 * that has interrupted a guest. */
#include "tests/support/test.h"

#include <pthread.h>
#include <sched.h>
#include <segue/linux.h>
#include <segue/posix.h>
#include <segue/segue.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define PAGE 4096
#define FLAGS_SET 0x202
#define GUESTS 3
#define ROUNDS 20000

/* The guests' code, which they share, and the word that they find their entry in, as the code of one program does. */
extern const char call_shared[], called_shared[], clone_then_call[];
__attribute__((used)) uint64_t shared_entry;
__asm__(".text\n"
        ".globl call_shared, called_shared, clone_then_call\n"
        "call_shared:\n\t"
        "endbr64\n\t"
        "movq %fs:0, %rax\n\t"
        "movq %gs:0, %rbx\n\t"
        "call *shared_entry(%rip)\n"
        "called_shared:\n\t"
        "ud2\n"
        "clone_then_call:\n\t"
        "endbr64\n\t"
        "ud2\n\t"
        "movq %fs:0, %rcx\n\t"
        "movq %gs:0, %rdx\n\t"
        "call *shared_entry(%rip)\n\t"
        "ud2\n");

static uint64_t at(const volatile void *address)
{
    return (uint64_t)(uintptr_t)address;
}

static void arm(void)
{
    struct sigaction action = {.sa_sigaction = segue_guest_handler, .sa_flags = SA_SIGINFO};
    stack_t stack = {.ss_sp = malloc(65536), .ss_size = 65536};
    sigaltstack(&stack, NULL);
    segue_guest_sigaction(SIGSEGV, &action, NULL);
    segue_guest_sigaction(SIGILL, &action, NULL);
}

static void disarm(void)
{
    stack_t off = {.ss_flags = SS_DISABLE}, before;
    sigaltstack(&off, &before);
    free(before.ss_sp);
}

static enum segue_guest_method method;

struct task {
    struct segue_guest guest;
    uint64_t fs[2], gs[2];
    uint64_t stack[512];
};

static void prepare(struct task *task)
{
    assert_int_equal(segue_guest_new(&task->guest, &(struct segue_guest_options){.method = method}), SEGUE_OK);
    task->fs[0] = at(task) + 1;
    task->gs[0] = at(task) + 2;
}

static void set(struct task *task, const char *code)
{
    struct segue_regs *regs = &task->guest.general;
    for (unsigned i = SEGUE_RAX; i <= SEGUE_R15; i++)
        *segue_register_at(regs, i) = at(task) * 0x9e3779b97f4a7c15u + i;
    regs->rip = at(code);
    regs->rsp = at(task->stack + 500);
    regs->rflags = FLAGS_SET | 0x8d5; /* all that arithmetic sets */
    regs->fs_base = at(task->fs);
    regs->gs_base = at(task->gs);
}

/* All as the guest had it at its call, and nothing else. */
static bool has_called(struct task *task)
{
    struct segue_regs wanted;
    struct task *guest = task;
    set(task, call_shared);
    wanted = guest->guest.general;
    if (segue_guest_enter(&guest->guest) != SEGUE_OK || guest->guest.trap_num != SEGUE_GUEST_CALLED)
        return false;
    wanted.rax = task->fs[0];
    wanted.rbx = task->gs[0];
    wanted.rip = at(called_shared);
    return memcmp(&wanted, &guest->guest.general, offsetof(struct segue_regs, gs_base) + 8) == 0;
}

static void *run_guests(void *result)
{
    struct task *tasks = calloc(GUESTS, sizeof *tasks);
    unsigned right = 0;
    arm();
    for (unsigned i = 0; i < GUESTS; i++)
        prepare(&tasks[i]);
    for (unsigned i = 0; i < ROUNDS; i++)
        right += has_called(&tasks[i % GUESTS]);
    for (unsigned i = 0; i < GUESTS; i++)
        segue_guest_free(&tasks[i].guest);
    *(unsigned *)result = right;
    disarm();
    free(tasks);
    return NULL;
}

static int choose(enum segue_guest_method wanted)
{
    method = wanted;
    return 0;
}

static int use_instructions(void **state)
{
    (void)state;
    return choose(SEGUE_GUEST_INSTRUCTIONS);
}

static int use_system_calls(void **state)
{
    (void)state;
    return choose(SEGUE_GUEST_SYSTEM_CALLS);
}

static void begin(void)
{
    struct segue_guest guest;
    enum segue_status status = segue_guest_new(&guest, &(struct segue_guest_options){.method = method});
    skip_if(status == SEGUE_UNSUPPORTED ? "there are no FSGSBASE instructions" : NULL);
    assert_int_equal(status, SEGUE_OK);
    segue_guest_free(&guest);
}

static void guests_of_a_thread_call_one_entry(void **state)
{
    struct task first = {.guest.entry = 0}, second = {.guest.entry = 0};
    (void)state;
    begin();
    arm();
    prepare(&first);
    prepare(&second);
    assert_int_equal(first.guest.entry, second.guest.entry);
    shared_entry = first.guest.entry;
    for (unsigned i = 0; i < 100; i++) {
        assert_true(has_called(&first));
        assert_true(has_called(&second));
        assert_true(has_called(&second));
    }
    segue_guest_free(&first.guest);
    assert_true(has_called(&second));
    segue_guest_free(&second.guest);
    disarm();
}

static void guests_of_several_threads_call_one_entry(void **state)
{
    pthread_t threads[4];
    unsigned right[4];
    struct task task = {.guest.entry = 0};
    (void)state;
    begin();
    prepare(&task);
    shared_entry = task.guest.entry;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_guests, &right[i]), 0);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(right[i], ROUNDS);
    }
    segue_guest_free(&task.guest);
}

/* ---- signals, and guests in contexts ---- */

/* It uses no thread-local storage, and finds whatever bases there are. */
static volatile unsigned plain_signals;

__attribute__((no_sanitize("address", "undefined"))) static void count_plain(int number)
{
    (void)number;
    plain_signals++;
}

static __thread unsigned of_this_thread;
static volatile unsigned wrong_signals;

static void count_own(int number, siginfo_t *info, void *ucontext)
{
    (void)number, (void)info, (void)ucontext;
    of_this_thread++;
    if (of_this_thread == 0)
        wrong_signals++;
}

static void signals_come_while_guests_of_several_threads_call(void **state)
{
    struct sigaction plain = {.sa_handler = count_plain, .sa_flags = SA_ONSTACK | SA_RESTART};
    struct sigaction own = {.sa_sigaction = count_own, .sa_flags = SA_SIGINFO | SA_RESTART};
    pthread_t threads[4];
    unsigned right[4] = {0};
    struct task task = {.guest.entry = 0};
    (void)state;
    begin();
    sigaction(SIGUSR1, &plain, NULL);
    segue_guest_sigaction(SIGUSR2, &own, NULL);
    prepare(&task);
    shared_entry = task.guest.entry;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_guests, &right[i]), 0);
    for (unsigned i = 0; i < 2000; i++)
        pthread_kill(threads[i % 4], i % 8 < 4 ? SIGUSR1 : SIGUSR2);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(right[i], ROUNDS);
    }
    assert_int_equal(wrong_signals, 0);
    segue_guest_free(&task.guest);
}

/* A plain handler that another thread's request to stop comes into the middle of. */
static volatile int plain_state;

__attribute__((no_sanitize("address", "undefined"))) static void linger(int number)
{
    (void)number;
    plain_state = 1;
    while (plain_state == 1)
        __asm__ volatile("pause");
    for (volatile unsigned i = 0; i < 100000; i++)
        ;
    plain_state = 3;
}

static struct task stopped;
static pthread_t runner;

static void *stop_in_handler(void *unused)
{
    (void)unused;
    for (unsigned i = 0; i < 50; i++) {
        plain_state = 0;
        /* Most often it is the guest that is interrupted. */
        usleep(500);
        pthread_kill(runner, SIGUSR1);
        while (plain_state == 0)
            usleep(100);
        segue_guest_stop(&stopped.guest, SIGUSR2);
        plain_state = 2;
        while (plain_state != 4)
            usleep(100);
    }
    return NULL;
}

static void request_to_stop_in_another_handler_waits_for_its_end(void **state)
{
    struct sigaction plain = {.sa_handler = linger, .sa_flags = SA_ONSTACK};
    struct sigaction own = {.sa_sigaction = segue_guest_handler, .sa_flags = SA_SIGINFO};
    static const unsigned char loop[] = {0xeb, 0xfe};
    pthread_t thread;
    (void)state;
    begin();
    arm();
    sigaction(SIGUSR1, &plain, NULL);
    segue_guest_sigaction(SIGUSR2, &own, NULL);
    prepare(&stopped);
    char *code = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy(code, loop, sizeof loop);
    mprotect(code, PAGE, PROT_READ | PROT_EXEC);
    runner = pthread_self();
    plain_state = 0;
    assert_int_equal(pthread_create(&thread, NULL, stop_in_handler, NULL), 0);
    for (unsigned i = 0; i < 50; i++) {
        set(&stopped, code);
        struct segue_regs wanted = stopped.guest.general;
        assert_int_equal(segue_guest_enter(&stopped.guest), SEGUE_OK);
        assert_int_equal(stopped.guest.trap_num, SEGUE_GUEST_STOPPED);
        assert_memory_equal(&wanted, &stopped.guest.general, offsetof(struct segue_regs, gs_base) + 8);
        plain_state = 4;
        usleep(300);
    }
    pthread_join(thread, NULL);
    signal(SIGUSR1, SIG_DFL);
    segue_guest_free(&stopped.guest);
    munmap(code, PAGE);
    disarm();
}

static struct segue_context parent, child;
static struct task in_context;

static void run_guest_in_context(void)
{
    for (unsigned i = 0; i < 3; i++) {
        if (!has_called(&in_context))
            wrong_signals++;
        segue_context_swap(&child, &parent);
    }
}

static void guest_runs_inside_a_context(void **state)
{
    struct segue_stack stack;
    (void)state;
    begin();
    arm();
    prepare(&in_context);
    shared_entry = in_context.guest.entry;
    wrong_signals = 0;
    assert_int_equal(segue_stack_new(65536, &stack), SEGUE_OK);
    assert_int_equal(segue_context_init(&child, &parent, stack.base, stack.size, run_guest_in_context, NULL, 0, NULL),
                     SEGUE_OK);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(segue_context_swap(&parent, &child), SEGUE_OK);
        assert_true(has_called(&in_context));
    }
    assert_true(segue_context_is_finished(&child));
    assert_int_equal(wrong_signals, 0);
    segue_stack_free(&stack);
    segue_guest_free(&in_context.guest);
    disarm();
}

/* ---- misuse ---- */

static int status_of(void (*run)(void))
{
    int status = -1;
    pid_t process = fork();
    if (process == 0) {
        run();
        _exit(0);
    }
    assert_int_equal(waitpid(process, &status, 0), process);
    return status;
}

static void call_entry(void)
{
    void (*entry)(void);
    memcpy(&entry, &shared_entry, sizeof entry);
    entry();
}

static void call_before_any_guest(void)
{
    struct task task = {.guest.entry = 0};
    prepare(&task);
    shared_entry = task.guest.entry;
    signal(SIGILL, SIG_DFL);
    call_entry();
}

static void call_behind_a_guest(void)
{
    struct task task = {.guest.entry = 0};
    arm();
    prepare(&task);
    shared_entry = task.guest.entry;
    if (!has_called(&task))
        _exit(1);
    signal(SIGILL, SIG_DFL);
    call_entry();
}

static void call_where_several_have_run_guests(void)
{
    pthread_t thread;
    unsigned right;
    struct task task = {.guest.entry = 0};
    arm();
    prepare(&task);
    shared_entry = task.guest.entry;
    has_called(&task);
    pthread_create(&thread, NULL, run_guests, &right);
    pthread_join(thread, NULL);
    if (right != ROUNDS)
        _exit(1);
    signal(SIGILL, SIG_DFL);
    call_entry();
}

static void a_call_by_nobodys_guest_is_an_undefined_instruction(void **state)
{
    (void)state;
    begin();
    assert_int_equal(status_of(call_before_any_guest), SIGILL);
    assert_int_equal(status_of(call_behind_a_guest), SIGILL);
    assert_int_equal(status_of(call_where_several_have_run_guests), SIGILL);
}

static void a_call_without_room_on_the_stack_is_the_guests_page_fault(void **state)
{
    pthread_t thread;
    unsigned right;
    struct task task = {.guest.entry = 0};
    (void)state;
    begin();
    arm();
    prepare(&task);
    shared_entry = task.guest.entry;
    has_called(&task);
    /* From here on a call needs more than its return address. */
    pthread_create(&thread, NULL, run_guests, &right);
    pthread_join(thread, NULL);
    char *pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_int_equal(mprotect(pages, PAGE, PROT_NONE), 0);
    for (uint64_t room = 8; room <= 64; room += 8) {
        set(&task, call_shared);
        task.guest.general.rsp = at(pages) + PAGE + room;
        assert_int_equal(segue_guest_enter(&task.guest), SEGUE_OK);
        if (room < 56) {
            assert_int_equal(task.guest.trap_num, 14);
            assert_in_range(task.guest.fault_address, at(pages) + PAGE - 48, at(pages) + PAGE - 1);
            assert_int_equal(task.guest.general.rip >= at(call_shared) && task.guest.general.rip < at(called_shared),
                             0);
            assert_int_equal(task.guest.general.rsp, at(pages) + PAGE + room - 8);
            assert_int_equal(task.guest.general.fs_base, at(task.fs));
            /* It goes on when there is room. */
            mprotect(pages, PAGE, PROT_READ | PROT_WRITE);
            assert_int_equal(segue_guest_enter(&task.guest), SEGUE_OK);
            mprotect(pages, PAGE, PROT_NONE);
        }
        assert_int_equal(task.guest.trap_num, SEGUE_GUEST_CALLED);
        assert_int_equal(task.guest.general.rip, at(called_shared));
        assert_int_equal(task.guest.general.rsp, at(pages) + PAGE + room);
        assert_int_equal(task.guest.general.rax, task.fs[0]);
        assert_int_equal(task.guest.general.r11, at(&task) * 0x9e3779b97f4a7c15u + SEGUE_R11);
    }
    munmap(pages, 2 * PAGE);
    segue_guest_free(&task.guest);
    disarm();
}

/* ---- clones ---- */

static uint64_t wanted_flags, wanted_stack;
static volatile long cloned;

static void clone_in_handler(int number, siginfo_t *info, void *ucontext)
{
    ucontext_t *frame = ucontext;
    struct segue_clone request = {.flags = wanted_flags, .exit_signal = SIGCHLD, .stack_pointer = wanted_stack};
    (void)number, (void)info;
    frame->uc_mcontext.gregs[REG_RIP] += 2;
    cloned = segue_clone(ucontext, &request);
    frame->uc_mcontext.gregs[REG_RAX] = cloned;
}

static __thread int own_variable;

/* Of the parent and, at the end, of the child: what the guest saw, and that it can be run again. */
static bool went_on(struct task *task, bool is_child)
{
    struct segue_regs *regs = &task->guest.general;
    bool right = task->guest.trap_num == SEGUE_GUEST_CALLED && regs->rcx == task->fs[0] && regs->rdx == task->gs[0] &&
                 regs->fs_base == at(task->fs) && regs->gs_base == at(task->gs);
    if (is_child && regs->rax != 0)
        right = false;
    own_variable++;
    return right && has_called(task) && has_called(task);
}

static void clone_in_a_guest(uint64_t flags, uint64_t stack_pointer)
{
    struct task *task = calloc(1, sizeof *task);
    struct sigaction action = {.sa_sigaction = clone_in_handler, .sa_flags = SA_SIGINFO};
    pid_t self = getpid();
    arm();
    segue_guest_sigaction(SIGILL, &action, NULL);
    prepare(task);
    shared_entry = task->guest.entry;
    wanted_flags = flags;
    wanted_stack = stack_pointer;
    set(task, clone_then_call);
    assert_int_equal(segue_guest_enter(&task->guest), SEGUE_OK);
    if (getpid() != self)
        _exit(went_on(task, true) ? 21 : 1);
    assert_true(went_on(task, false));
    if (flags & (CLONE_VM | CLONE_SETTLS)) {
        assert_int_equal(cloned, -95);
        assert_int_equal(waitpid(-1, NULL, WNOHANG | (int)__WALL), -1);
    } else {
        int status = -1;
        assert_true(cloned > 0);
        assert_int_equal(waitpid((pid_t)cloned, &status, 0), cloned);
        assert_int_equal(status, 21 << 8);
    }
    segue_guest_free(&task->guest);
    disarm();
    free(task);
}

static void clone_in_a_guest_goes_on_with_its_bases_or_is_refused(void **state)
{
    static _Alignas(64) char stack[65536];
    const uint64_t top = at(stack + sizeof stack);
    (void)state;
    begin();
    for (unsigned i = 0; i < 20; i++) {
        clone_in_a_guest(0, 0);
        clone_in_a_guest(CLONE_FILES, top);
        clone_in_a_guest(CLONE_VFORK, 0);
        clone_in_a_guest(CLONE_SETTLS, 0);
        clone_in_a_guest(CLONE_VM, top);
        clone_in_a_guest(CLONE_VM | CLONE_VFORK, 0);
        clone_in_a_guest(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD, top);
    }
}

#define BOTH(test)                                                                                                     \
    {#test " (instructions)", test, use_instructions, NULL, NULL},                                                     \
    {                                                                                                                  \
#test " (system calls)", test, use_system_calls, NULL, NULL                                                    \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* Before there has been a second thread with guests, and after. */
        BOTH(guests_of_a_thread_call_one_entry),
        BOTH(clone_in_a_guest_goes_on_with_its_bases_or_is_refused),
        BOTH(a_call_by_nobodys_guest_is_an_undefined_instruction),
        BOTH(guests_of_several_threads_call_one_entry),
        BOTH(guests_of_a_thread_call_one_entry),
        BOTH(clone_in_a_guest_goes_on_with_its_bases_or_is_refused),
        BOTH(signals_come_while_guests_of_several_threads_call),
        BOTH(request_to_stop_in_another_handler_waits_for_its_end),
        BOTH(guest_runs_inside_a_context),
        BOTH(a_call_without_room_on_the_stack_is_the_guests_page_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
