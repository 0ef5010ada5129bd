/* actions.c: signals' actions, masks and stacks, as the program sets them. See loader.h. */
#define _GNU_SOURCE
#include "actions.h"

#include <errno.h>

#define D_MINSIGSTKSZ 32768u

struct d_action actions[DARWIN_SIGNALS];

int d_sigaction(int number, const struct d_action *wanted, struct d_action *before);
int d_sigaction(int number, const struct d_action *wanted, struct d_action *before)
{
    if (number <= 0 || number >= DARWIN_SIGNALS || (wanted && number == BSD_KILL))
        return -1;
    if (before)
        *before = actions[number];
    if (wanted)
        actions[number] = *wanted;
    return 0;
}

uint64_t d_signal(int number, uint64_t handler);
uint64_t d_signal(int number, uint64_t handler)
{
    struct d_action wanted = {.handler = handler}, before;
    return d_sigaction(number, &wanted, &before) == 0 ? before.handler : UINT64_MAX;
}

int d_sigmask(int how, const uint32_t *wanted, uint32_t *before);
int d_sigmask(int how, const uint32_t *wanted, uint32_t *before)
{
    struct thread *self = thread_self();
    uint32_t mask = self->mask;
    if (wanted && (how < BSD_BLOCK || how > BSD_SETMASK))
        return 22;
    if (wanted) {
        mask = how == BSD_BLOCK ? mask | *wanted : how == BSD_UNBLOCK ? mask & ~*wanted : *wanted;
        mask &= ~BIT(BSD_KILL);
    }
    if (before)
        *before = self->mask;
    self->mask = mask;
    signal_settle(self);
    return 0;
}

struct d_stack {
    uint64_t lowest, size;
    int flags;
};
int d_sigaltstack(const struct d_stack *wanted, struct d_stack *before);
int d_sigaltstack(const struct d_stack *wanted, struct d_stack *before)
{
    struct thread *self = thread_self();
    struct d_stack present = {self->stack, self->stack_size,
                              self->on_stack    ? BSD_SS_ONSTACK
                              : self->has_stack ? 0
                                                : BSD_SS_DISABLE};
    int *error = __errno_location();
    if (wanted && self->on_stack)
        return *error = 1, -1;
    if (wanted && (wanted->flags & ~BSD_SS_DISABLE))
        return *error = 22, -1;
    if (wanted && !(wanted->flags & BSD_SS_DISABLE) && wanted->size < D_MINSIGSTKSZ)
        return *error = 12, -1;
    if (before)
        *before = present;
    if (wanted) {
        self->has_stack = !(wanted->flags & BSD_SS_DISABLE);
        if (self->has_stack) {
            self->stack = wanted->lowest;
            self->stack_size = wanted->size;
        }
    }
    return 0;
}

int d_sigpending(uint32_t *pending);
int d_sigpending(uint32_t *pending)
{
    *pending = thread_self()->pending;
    return 0;
}

/* A jump out of a handler: macOS's setjmp keeps the mask, and whether the alternate stack is in use. */
void setjmp_note(void *buffer)
{
    struct thread *self = thread_self();
    ((uint64_t *)buffer)[JUMP_REGISTERS] = self->mask | (uint64_t)self->on_stack << 32 | (uint64_t)self->handlers << 40;
}

void longjmp_note(const void *buffer)
{
    const uint64_t noted = ((const uint64_t *)buffer)[JUMP_REGISTERS];
    struct thread *self = thread_self();
    self->mask = (uint32_t)noted;
    self->on_stack = noted >> 32 & 1;
    self->handlers = (unsigned)(noted >> 40);
    signal_settle(self);
}
