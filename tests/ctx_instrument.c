/* ctx_instrument.c: one program, run three times: built with AddressSanitizer, with ThreadSanitizer, and under
 * Valgrind. Each of them keeps an account of stacks that a switch behind its back upsets; ctx_instrument.sh wants not a
 * word from them. What each can see: AddressSanitizer that a frame lies outside the stack that it knows (it says so at
 * a longjmp); ThreadSanitizer that calls and returns do not pair; Valgrind that the stack pointer leaps. */
#include <pthread.h>
#include <segue/ctx.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    struct segue_value argument = segue_value_pointer(task);
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
    printf("sum %lu\n", task.sum);
    return 0;
}
