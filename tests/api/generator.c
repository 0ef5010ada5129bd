/* generator.c: A generator: two flows of control take turns. */
#include <segue/segue.h>
#include <stdio.h>

static struct segue_context caller, generator;

static void count(void *last)
{
    int *number = last;
    for (;; ++*number)
        segue_context_swap(&generator, &caller);
}

int main(void)
{
    struct segue_stack stack;
    int number = 0;
    if (segue_stack_new(65536, &stack) || segue_context_make(&generator, &stack, count, &number))
        return 1;
    while (number < 10) {
        segue_context_swap(&caller, &generator);
        printf("%d\n", number);
    }
    segue_context_destroy(&generator);
    return segue_stack_free(&stack) != SEGUE_OK;
}
