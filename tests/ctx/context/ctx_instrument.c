/* ctx_instrument.c: one program, run three times: built with AddressSanitizer, with ThreadSanitizer, and under
 * Valgrind. Each of them keeps an account of stacks that a switch behind its back upsets; ctx_instrument.sh wants not a
 * word from them. What each can see: AddressSanitizer that a frame lies outside the stack that it knows (it says so at
 * a longjmp); ThreadSanitizer that calls and returns do not pair; Valgrind that the stack pointer leaps. */
#include <pthread.h>
#include <segue/emulate.h>
#include <segue/posix.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#define ROUNDS 200
#define STACK_SIZE 262144

struct task {
    struct segue_context context, caller, inner;
    struct segue_stack stack, inner_stack;
    unsigned long sum;
};

static unsigned long fill(char *bytes, size_t size, unsigned depth)
{
    char more[200];
    memset(bytes, (int)depth, size);
    return depth == 0 ? (unsigned long)bytes[size - 1] : fill(more, sizeof more, depth - 1) + (unsigned long)bytes[0];
}

static void jump(struct task *task)
{
    jmp_buf place;
    char bytes[100];
    if (setjmp(place) == 0) {
        fill(bytes, sizeof bytes, 20);
        longjmp(place, 1);
    }
    task->sum++;
}

static void inner_entry(struct task *task)
{
    for (;;) {
        jump(task);
        segue_context_swap(&task->inner, &task->context);
    }
}

static void entry(struct task *task)
{
    for (int i = 0; i < ROUNDS; i++) {
        char bytes[1000];
        task->sum += fill(bytes, sizeof bytes, 10);
        jump(task);
        segue_context_swap(&task->context, &task->inner);
        segue_context_swap(&task->context, &task->caller);
    }
}

static void *run_some(void *argument)
{
    struct task *task = argument;
    for (int i = 0; i < ROUNDS / 2; i++) {
        segue_context_swap(&task->caller, &task->context);
        jump(task);
    }
    return NULL;
}

static void check(enum segue_status status)
{
    if (status != SEGUE_OK) {
        fprintf(stderr, "%s\n", segue_status_name(status));
        exit(3);
    }
}

static void prepare(struct task *task)
{
    struct segue_argument argument = segue_argument_pointer(task);
    check(segue_stack_new(STACK_SIZE, &task->stack));
    check(segue_stack_new(STACK_SIZE, &task->inner_stack));
    check(segue_context_init(&task->context, NULL, task->stack.base, task->stack.size, (void (*)(void))entry, &argument,
                             1, NULL));
    check(segue_context_init(&task->inner, NULL, task->inner_stack.base, task->inner_stack.size,
                             (void (*)(void))inner_entry, &argument, 1, NULL));
}

static void on_a_thread(struct task *task)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, run_some, task) != 0)
        exit(4);
    pthread_join(thread, NULL);
}

/* ---- a handler that switches while what it interrupts may be switching ---- */

static struct segue_context interrupted, guest_of_handler;
static struct segue_stack handler_stack;
static volatile unsigned long handled;

static void run_in_handler(void)
{
    for (;;) {
        char bytes[500];
        handled += fill(bytes, sizeof bytes, 5) ? 1 : 1;
        segue_context_swap(&guest_of_handler, &interrupted);
    }
}

static void switch_in_handler(int number)
{
    (void)number;
    segue_context_swap(&interrupted, &guest_of_handler);
}

static struct task stormed;

static void begin_storm(bool begins)
{
    struct itimerval often = {{0, begins ? 97 : 0}, {0, begins ? 97 : 0}};
    struct sigaction action = {.sa_handler = switch_in_handler, .sa_flags = SA_RESTART};
    if (begins)
        sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    /* One may be on its way still. */
    if (!begins)
        signal(SIGALRM, SIG_IGN);
}

static void switch_in_a_storm(void)
{
    check(segue_stack_new(STACK_SIZE, &handler_stack));
    check(segue_context_init(&guest_of_handler, NULL, handler_stack.base, handler_stack.size, run_in_handler, NULL, 0,
                             NULL));
    /* On some virtual machines a signal takes a tick of the clock. */
    for (int i = 0; i < 20 || handled < 3; i++) {
        prepare(&stormed);
        begin_storm(true);
        for (int j = 0; j < ROUNDS + 1; j++)
            segue_context_swap(&stormed.caller, &stormed.context);
        begin_storm(false);
        if (!segue_context_is_finished(&stormed.context))
            exit(6);
        segue_context_destroy(&stormed.context);
        segue_context_destroy(&stormed.inner);
        segue_stack_free(&stormed.stack);
        segue_stack_free(&stormed.inner_stack);
    }
}

/* ---- a handler that is left for a context ---- */

static void leave_by_signal(int number, siginfo_t *info, void *ucontext)
{
    struct segue_frame frame;
    (void)number;
    if (segue_frame_open(&frame, info, ucontext) != SEGUE_HANDLED)
        check(segue_frame_set_context(&frame, &stormed.caller));
}

static void raise_for_good(void)
{
    for (;;)
        raise(SIGUSR1);
}

static void leave_handlers(void)
{
    struct sigaction action = {.sa_sigaction = leave_by_signal, .sa_flags = SA_SIGINFO};
    sigset_t before, after;
    sigaction(SIGUSR1, &action, NULL);
    check(segue_stack_new(STACK_SIZE, &stormed.stack));
    sigprocmask(SIG_BLOCK, NULL, &before);
    for (int i = 0; i < 200; i++) {
        check(segue_context_init(&stormed.context, NULL, stormed.stack.base, stormed.stack.size, raise_for_good, NULL,
                                 0, NULL));
        segue_context_swap(&stormed.caller, &stormed.context);
    }
    sigprocmask(SIG_BLOCK, NULL, &after);
    if (memcmp(&before, &after, 8) != 0)
        exit(8);
    segue_context_destroy(&stormed.context);
    segue_stack_free(&stormed.stack);
}

int main(void)
{
    static struct task task;
    for (int i = 0; i < 3; i++) {
        prepare(&task);
        /* The first half here, the second half and the return on another thread. */
        run_some(&task);
        on_a_thread(&task);
        segue_context_swap(&task.caller, &task.context);
        if (!segue_context_is_finished(&task.context))
            return 5;
        segue_context_destroy(&task.context);
        segue_context_destroy(&task.inner);
        segue_stack_free(&task.stack);
        segue_stack_free(&task.inner_stack);
    }
    switch_in_a_storm();
    leave_handlers();
    segue_context_destroy(&guest_of_handler);
    segue_stack_free(&handler_stack);
    printf("sum %lu\n", task.sum);
    return 0;
}
