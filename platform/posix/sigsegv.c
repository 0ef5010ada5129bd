/* sigsegv.c: the interface of GNU libsigsegv over the public functions for a program's own handler.
 *
 * SOURCES: GNU libsigsegv 2.14, sigsegv.h and README: which handler is called for what. */
#if defined(_WIN32)
#error "platform/posix/sigsegv.c is specific to POSIX"
#endif

#include <segue/sigsegv_compat.h>

#include <segue/posix.h>
#include <stdlib.h>
#include <string.h>

#include "platform/memory/mappings.h"

/* A fault so near to the stack pointer, in memory without access, is that of a stack that is exhausted. */
#define NEAR_STACK UINT64_C(65536)

static sigsegv_handler_t page_handler;
static stackoverflow_handler_t stack_handler;
static stack_t stack_before;
static struct sigaction previous;
static bool is_installed;

/* ---- the signal ---- */

static bool is_exhausted_stack(const struct segue_frame *frame)
{
    uint64_t address = frame->fault.address;
    struct mapping mapping;
    if (!frame->fault.address_known || address - (frame->regs.rsp - NEAR_STACK) >= 2 * NEAR_STACK)
        return false;
    return !mappings_find(address, &mapping) || mapping.protection == 0;
}

static bool ask_page_handler(void *address, int serious)
{
    sigsegv_handler_t handler = __atomic_load_n(&page_handler, __ATOMIC_ACQUIRE);
    return handler && handler(address, serious);
}

static bool is_served(const struct segue_frame *frame)
{
    stackoverflow_handler_t overflow = __atomic_load_n(&stack_handler, __ATOMIC_ACQUIRE);
    void *address = frame->fault.address_known ? (void *)(uintptr_t)frame->fault.address : NULL;
    if (ask_page_handler(address, 0))
        return true;
    if (overflow && is_exhausted_stack(frame))
        overflow(0, frame->native[1]);
    return ask_page_handler(address, 1);
}

static void on_fault(int number, siginfo_t *info, void *ucontext)
{
    struct segue_frame frame;
    (void)number;
    switch (segue_frame_open(&frame, info, ucontext)) {
    case SEGUE_HANDLED:
        return;
    case SEGUE_OK:
        if (is_served(&frame))
            return;
        break;
    default:
        break;
    }
    segue_chain(&frame, &previous);
}

/* Other signals wait, as with libsigsegv; those that a guarded access raises do not. */
static int take_signal(void)
{
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER}, replaced;
    sigfillset(&action.sa_mask);
    sigdelset(&action.sa_mask, SIGSEGV);
    sigdelset(&action.sa_mask, SIGBUS);
    sigdelset(&action.sa_mask, SIGFPE);
    if (stack_handler)
        action.sa_flags |= SA_ONSTACK;
    if (sigaction(SIGSEGV, NULL, &replaced) != 0)
        return -1;
    if (!is_installed || replaced.sa_sigaction != on_fault)
        previous = replaced;
    is_installed = true;
    return sigaction(SIGSEGV, &action, NULL);
}

/* A handler that was installed later stays. */
static void give_signal_back(void)
{
    struct sigaction now;
    if (page_handler || stack_handler || !is_installed || sigaction(SIGSEGV, NULL, &now) != 0 ||
        now.sa_sigaction != on_fault)
        return;
    is_installed = sigaction(SIGSEGV, &previous, NULL) != 0;
}

int segue_sigsegv_install(sigsegv_handler_t handler)
{
    __atomic_store_n(&page_handler, handler, __ATOMIC_RELEASE);
    return take_signal();
}

void segue_sigsegv_deinstall(void)
{
    __atomic_store_n(&page_handler, NULL, __ATOMIC_RELEASE);
    give_signal_back();
}

int segue_sigsegv_leave(void (*continuation)(void *, void *, void *), void *first, void *second, void *third)
{
    continuation(first, second, third);
    return 1;
}

int segue_stackoverflow_install(stackoverflow_handler_t handler, void *extra_stack, unsigned long size)
{
    stack_t stack = {.ss_sp = extra_stack, .ss_size = size}, before;
    if (sigaltstack(&stack, &before) != 0)
        return -1;
    if (!stack_handler)
        stack_before = before;
    __atomic_store_n(&stack_handler, handler, __ATOMIC_RELEASE);
    return take_signal();
}

void segue_stackoverflow_deinstall(void)
{
    if (!stack_handler)
        return;
    __atomic_store_n(&stack_handler, NULL, __ATOMIC_RELEASE);
    if (page_handler)
        take_signal();
    give_signal_back();
    if (!(stack_before.ss_flags & SS_ONSTACK))
        sigaltstack(&stack_before, NULL);
}

/* ---- dispatchers ---- */

struct area {
    uintptr_t start, last;
    sigsegv_area_handler_t handler;
    void *user_arg;
};

/* Ordered by address. */
struct areas {
    size_t count, capacity;
    struct area *areas[];
};

/* The number of areas that begin at or below the address. */
static size_t areas_below(const struct areas *areas, uintptr_t address)
{
    size_t low = 0, high = areas ? areas->count : 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (areas->areas[middle]->start <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void segue_sigsegv_init(sigsegv_dispatcher *dispatcher)
{
    dispatcher->tree = NULL;
}

static struct areas *make_room(struct areas *areas)
{
    size_t count = areas ? areas->count : 0;
    if (areas && count < areas->capacity)
        return areas;
    size_t capacity = count ? 2 * count : 8;
    struct areas *more = realloc(areas, sizeof *areas + capacity * sizeof *areas->areas);
    if (more) {
        more->count = count;
        more->capacity = capacity;
    }
    return more;
}

void *segue_sigsegv_register(sigsegv_dispatcher *dispatcher, void *address, size_t size, sigsegv_area_handler_t handler,
                             void *user_arg)
{
    struct areas *areas = make_room(dispatcher->tree);
    if (!areas)
        return NULL;
    dispatcher->tree = areas;
    struct area *area = size ? malloc(sizeof *area) : NULL;
    if (!area)
        return NULL;
    *area = (struct area){(uintptr_t)address, (uintptr_t)address + size - 1, handler, user_arg};
    size_t at = areas_below(areas, area->start);
    memmove(&areas->areas[at + 1], &areas->areas[at], (areas->count - at) * sizeof *areas->areas);
    areas->areas[at] = area;
    areas->count++;
    return area;
}

void segue_sigsegv_unregister(sigsegv_dispatcher *dispatcher, void *ticket)
{
    struct areas *areas = dispatcher->tree;
    for (size_t i = 0; areas && i < areas->count; i++)
        if (areas->areas[i] == ticket) {
            areas->count--;
            memmove(&areas->areas[i], &areas->areas[i + 1], (areas->count - i) * sizeof *areas->areas);
            free(ticket);
            return;
        }
}

int segue_sigsegv_dispatch(sigsegv_dispatcher *dispatcher, void *fault_address)
{
    const struct areas *areas = dispatcher->tree;
    size_t below = areas_below(areas, (uintptr_t)fault_address);
    if (below == 0 || areas->areas[below - 1]->last < (uintptr_t)fault_address)
        return 0;
    const struct area *area = areas->areas[below - 1];
    return area->handler(fault_address, area->user_arg);
}
