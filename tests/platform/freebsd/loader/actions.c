/* actions.c: signals' actions, masks and stacks, as programs set them. See loader.h. */
#define _GNU_SOURCE
#include "frames.h"

#include <errno.h>
#include <string.h>

struct f_action actions[SIGNALS + 1];

static bool is_signal(int number)
{
    return number > 0 && number < SIGNALS && number != F_THR;
}

int f_sigaction(int number, const struct f_action *wanted, struct f_action *before);
int f_sigaction(int number, const struct f_action *wanted, struct f_action *before)
{
    struct f_action present;
    if (!is_signal(number) || (wanted && (number == BSD_KILL || number == BSD_STOP))) {
        errno = EINVAL;
        return -1;
    }
    present = actions[number];
    if (wanted)
        actions[number] = *wanted;
    if (before)
        *before = present;
    return 0;
}

uintptr_t f_signal(int number, uintptr_t handler);
uintptr_t f_signal(int number, uintptr_t handler)
{
    struct f_action wanted = {.handler = handler, .flags = 2}, before;
    return f_sigaction(number, &wanted, &before) == 0 ? before.handler : (uintptr_t)-1;
}

int f_sigprocmask(int how, const struct mask *wanted, struct mask *before);
int f_sigprocmask(int how, const struct mask *wanted, struct mask *before)
{
    struct thread *self = locals.self;
    struct mask next = self->mask, given = wanted ? *wanted : (struct mask){{0, 0}};
    if (before)
        *before = self->mask;
    if (!wanted)
        return 0;
    if (how < BSD_BLOCK || how > BSD_SETMASK) {
        errno = EINVAL;
        return -1;
    }
    for (int i = 0; i < 2; i++) {
        if (how == BSD_BLOCK)
            next.words[i] |= given.words[i];
        else if (how == BSD_UNBLOCK)
            next.words[i] &= ~given.words[i];
        else
            next.words[i] = given.words[i];
    }
    set_mask(self, next, how != BSD_UNBLOCK);
    signal_settle(self);
    return 0;
}

int f_pthread_sigmask(int how, const struct mask *wanted, struct mask *before);
int f_pthread_sigmask(int how, const struct mask *wanted, struct mask *before)
{
    return f_sigprocmask(how, wanted, before) == 0 ? 0 : errno;
}

int f_sigpending(struct mask *pending);
int f_sigpending(struct mask *pending)
{
    *pending = locals.self->pending;
    return 0;
}

int f_sigaltstack(const struct f_stack *wanted, struct f_stack *before);
int f_sigaltstack(const struct f_stack *wanted, struct f_stack *before)
{
    struct thread *self = locals.self;
    bool is_in_use = is_on(self, (uintptr_t)__builtin_frame_address(0));
    struct f_stack next = wanted ? *wanted : (struct f_stack){0};
    if (before) {
        *before = (struct f_stack){self->stack, self->stack_size, BSD_SS_DISABLE};
        if (self->has_stack)
            before->flags = is_in_use ? BSD_SS_ONSTACK : 0;
    }
    if (!wanted)
        return 0;
    errno = is_in_use ? EPERM : next.flags & ~BSD_SS_DISABLE ? EINVAL : 0;
    if (!errno && !(next.flags & BSD_SS_DISABLE) && next.size < LEAST_STACK)
        errno = ENOMEM;
    if (errno)
        return -1;
    self->has_stack = !(next.flags & BSD_SS_DISABLE);
    if (self->has_stack) {
        self->stack = next.lowest;
        self->stack_size = next.size;
    }
    return 0;
}

int f_sigemptyset(struct mask *mask);
int f_sigemptyset(struct mask *mask)
{
    *mask = (struct mask){{0, 0}};
    return 0;
}

int f_sigfillset(struct mask *mask);
int f_sigfillset(struct mask *mask)
{
    *mask = (struct mask){{UINT64_MAX, UINT64_MAX}};
    return 0;
}

int f_sigaddset(struct mask *mask, int number);
int f_sigaddset(struct mask *mask, int number)
{
    add(mask, number);
    return 0;
}

int f_sigdelset(struct mask *mask, int number);
int f_sigdelset(struct mask *mask, int number)
{
    mask->words[(number - 1) / 64] &= ~(UINT64_C(1) << (number - 1) % 64);
    return 0;
}

int f_sigismember(const struct mask *mask, int number);
int f_sigismember(const struct mask *mask, int number)
{
    return has(mask, number);
}

/* A buffer need not be aligned for a mask. */
static char *mask_in(const void *buffer)
{
    return (char *)(uintptr_t)buffer + JUMP_REGISTERS * sizeof(long);
}

void setjmp_note(void *buffer)
{
    memcpy(mask_in(buffer), &locals.self->mask, sizeof(struct mask));
}

void longjmp_note(const void *buffer)
{
    struct mask mask;
    memcpy(&mask, mask_in(buffer), sizeof mask);
    f_sigprocmask(BSD_SETMASK, &mask, NULL);
}
