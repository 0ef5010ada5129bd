/* pad.c: pads, their owners, and how to find out that an owner has ended.
 *
 * There are as many pads as ever were in use at once. A pad with an exit is in use only for a child's first steps,
 * whatever the child does then, so the search for a free one costs the same however many children live. Pads without an
 * exit are in a list that only grows; each search examines a few of them.
 *
 * SOURCES: kill(2): signal 0 checks whether a thread or process exists. A process that has ended exists until its
 * parent has waited for it. ASSUMPTIONS: a process keeps its PID namespace; so the TIDs and PIDs that a process has
 * recorded keep their meaning for it, but not for another process (pid_namespaces(7)). */
#include "pad.h"

#include "decode/x86/page.h"
#include "platform/memory/memory.h"
#include "platform/threads/thread.h"

#define ALIGNMENT 64u
#define STACK_SIZE 65536u
#define FREE 0u
/* For each request: how many pads without an exit are examined, and how many owners of any pads are checked. */
#define LOOKS 64
#define QUESTIONS 2
/* The upper half of `owner` is the ticket, the lower the child's TID or PID and this bit; 0 while it is not known. */
#define OWNER_IS_THREAD ((uint64_t)1 << 31)

/* A guard page, the stack, the bytes. A pad without an exit has this struct in the first of its bytes. */
struct pad {
    char *mapping;
    size_t mapping_size;
    uint32_t *state;
    uint32_t own_state;
    /* The process that recorded the owner: only that process may check it. */
    int group;
    uint64_t owner;
    struct pad *next;
};

#define HEADER_SIZE ((sizeof(struct pad) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT)

static struct pad with_exit[PAD_COUNT];
static struct pad *without_exit, *hand;
static uint32_t tickets, asked_last;
static bool numbers_are_ambiguous;

/* ---- owners ---- */

static uint32_t new_ticket(void)
{
    uint32_t ticket;
    do
        ticket = __atomic_add_fetch(&tickets, 1, __ATOMIC_RELAXED);
    while (ticket == FREE);
    return ticket;
}

static bool take_over(const struct pad *pad, uint32_t from, uint32_t ticket)
{
    return __atomic_compare_exchange_n(pad->state, &from, ticket, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

/* Whether the owner that holds the pad by `ticket` is known to have ended. */
static bool is_gone(const struct pad *pad, uint32_t ticket)
{
    uint64_t owner = __atomic_load_n(&pad->owner, __ATOMIC_ACQUIRE);
    int number = (int)(owner & (OWNER_IS_THREAD - 1));
    int group = __atomic_load_n(&pad->group, __ATOMIC_RELAXED);
    if (owner >> 32 != ticket || number == 0 || __atomic_load_n(&numbers_are_ambiguous, __ATOMIC_RELAXED) ||
        group != platform_process_id())
        return false;
    return (owner & OWNER_IS_THREAD) ? platform_thread_is_gone(number) : platform_process_is_gone(number);
}

/* Takes a pad that is free or, while `*questions` last, one whose owner has ended. */
static bool try_to_take(struct pad *pad, uint32_t ticket, unsigned *questions)
{
    uint32_t state = __atomic_load_n(pad->state, __ATOMIC_ACQUIRE);
    if (state == FREE)
        return take_over(pad, FREE, ticket);
    if (*questions == 0)
        return false;
    (*questions)--;
    return is_gone(pad, state) && take_over(pad, state, ticket);
}

/* ---- memory ---- */

/* Makes a pad large enough; its memory is unmapped if it is too small. Only the taker calls this. */
static bool make_room(struct pad *pad, size_t bytes)
{
    size_t size = PAGE + STACK_SIZE + (bytes + PAGE - 1) / PAGE * PAGE;
    if (pad->mapping && pad->mapping_size >= size)
        return true;
    char *mapping = platform_map_quietly(size);
    if (!mapping)
        return false;
    if (platform_protect((uint64_t)(uintptr_t)mapping, PAGE, PLATFORM_NONE) != 0) {
        platform_unmap_quietly(mapping, size);
        return false;
    }
    if (pad->mapping)
        platform_unmap_quietly(pad->mapping, pad->mapping_size);
    pad->mapping = mapping;
    pad->mapping_size = size;
    return true;
}

/* ---- with an exit ---- */

/* The pad's exit to the target, if the pad's word is the target or can still be set to it. 0 if the word is another. */
static uint64_t find_exit(unsigned number, uint64_t target, bool is_in_rcx)
{
    uint64_t present = 0;
    if (is_in_rcx)
        return (uint64_t)(uintptr_t)pad_rcx_exits[number];
    if (!__atomic_compare_exchange_n(&pad_targets[number], &present, target, false, __ATOMIC_RELAXED,
                                     __ATOMIC_RELAXED) &&
        present != target)
        return 0;
    return (uint64_t)(uintptr_t)pad_word_exits[number];
}

static bool may_have_exit(unsigned number, uint64_t target, bool is_in_rcx)
{
    uint64_t present = __atomic_load_n(&pad_targets[number], __ATOMIC_RELAXED);
    return is_in_rcx || present == 0 || present == target;
}

/* The first available pad. If all are in use, each call checks other owners. */
static struct pad *take_with_exit(uint32_t ticket, uint64_t target, bool is_in_rcx, uint64_t *exit)
{
    unsigned questions = QUESTIONS, first = 0;
    for (unsigned i = 0; i < 2 * PAD_COUNT; i++) {
        if (i == PAD_COUNT) {
            questions = QUESTIONS;
            first = __atomic_fetch_add(&asked_last, QUESTIONS, __ATOMIC_RELAXED);
        }
        unsigned number = (first + i) % PAD_COUNT;
        struct pad *pad = &with_exit[number];
        if ((questions == 0 && __atomic_load_n(&pad_states[number], __ATOMIC_RELAXED) != FREE) ||
            !may_have_exit(number, target, is_in_rcx))
            continue;
        __atomic_store_n(&pad->state, &pad_states[number], __ATOMIC_RELAXED);
        if (!try_to_take(pad, ticket, &questions))
            continue;
        *exit = find_exit(number, target, is_in_rcx);
        if (*exit)
            return pad;
        __atomic_store_n(pad->state, FREE, __ATOMIC_RELEASE);
    }
    return NULL;
}

/* ---- without one ---- */

static struct pad *add_without_exit(size_t size, uint32_t ticket)
{
    struct pad made = {.mapping = NULL};
    if (!make_room(&made, HEADER_SIZE + size))
        return NULL;
    struct pad *pad = (struct pad *)(void *)(made.mapping + PAGE + STACK_SIZE);
    *pad = made;
    pad->own_state = ticket;
    pad->state = &pad->own_state;
    pad->next = __atomic_load_n(&without_exit, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(&without_exit, &pad->next, pad, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
        ;
    return pad;
}

static struct pad *take_without_exit(size_t size, uint32_t ticket)
{
    unsigned questions = QUESTIONS;
    struct pad *pad = __atomic_load_n(&hand, __ATOMIC_ACQUIRE);
    for (unsigned looks = 0; looks < LOOKS; looks++, pad = pad->next) {
        if (!pad)
            pad = __atomic_load_n(&without_exit, __ATOMIC_ACQUIRE);
        if (!pad)
            break;
        if (pad->mapping_size < PAGE + STACK_SIZE + HEADER_SIZE + size || !try_to_take(pad, ticket, &questions))
            continue;
        __atomic_store_n(&hand, pad->next, __ATOMIC_RELEASE);
        return pad;
    }
    __atomic_store_n(&hand, pad, __ATOMIC_RELEASE);
    return add_without_exit(size, ticket);
}

/* ---- both ---- */

bool pad_take(struct pad_use *use, size_t size, uint64_t target, bool is_in_rcx)
{
    if (size > SIZE_MAX / 2)
        return false;
    *use = (struct pad_use){.ticket = new_ticket(), .stack_size = STACK_SIZE};
    size_t header = 0;
    if (target)
        use->pad = take_with_exit(use->ticket, target, is_in_rcx, &use->exit);
    if (!use->pad) {
        use->pad = take_without_exit(size, use->ticket);
        header = HEADER_SIZE;
        if (!use->pad)
            return false;
    } else if (!make_room(use->pad, size)) {
        pad_release(use);
        return false;
    }
    __atomic_store_n(&use->pad->group, platform_process_id(), __ATOMIC_RELAXED);
    __atomic_store_n(&use->pad->owner, (uint64_t)use->ticket << 32, __ATOMIC_RELEASE);
    use->stack = use->pad->mapping + PAGE;
    use->bytes = use->stack + STACK_SIZE + header;
    return true;
}

void pad_give(const struct pad_use *use, int child, bool is_thread)
{
    uint64_t nobody = (uint64_t)use->ticket << 32, owner = nobody | (uint32_t)child | (is_thread ? OWNER_IS_THREAD : 0);
    __atomic_compare_exchange_n(&use->pad->owner, &nobody, owner, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED);
}

void pad_release(const struct pad_use *use)
{
    take_over(use->pad, use->ticket, FREE);
}

void pad_forget_others(const struct pad_use *own)
{
    for (unsigned i = 0; i < PAD_COUNT; i++)
        if (&with_exit[i] != own->pad)
            __atomic_store_n(&pad_states[i], FREE, __ATOMIC_RELAXED);
    for (struct pad *pad = without_exit; pad; pad = pad->next)
        if (pad != own->pad)
            __atomic_store_n(&pad->own_state, FREE, __ATOMIC_RELAXED);
}

void pad_distrust_numbers(void)
{
    __atomic_store_n(&numbers_are_ambiguous, true, __ATOMIC_RELAXED);
}

bool pad_exit_holds(uint64_t rip, uint64_t rcx, uint64_t *target)
{
    uint64_t by_rcx = rip - (uint64_t)(uintptr_t)pad_rcx_exits, by_word = rip - (uint64_t)(uintptr_t)pad_word_exits;
    if (by_rcx < sizeof pad_rcx_exits)
        *target = rcx;
    else if (by_word < sizeof pad_word_exits)
        *target = pad_targets[by_word / PAD_WORD_EXIT_SIZE];
    else
        return false;
    return true;
}

static enum code_range_result translate(const struct code_range *range, struct segue_regs *regs, const void **frame)
{
    /* Exits of both kinds begin at multiples of this. */
    bool is_given_back = (regs->rip - (uint64_t)(uintptr_t)range->begin) % PAD_RCX_EXIT_SIZE >= PAD_EXIT_JUMP;
    (void)frame;
    if (!pad_exit_holds(regs->rip, regs->rcx, &regs->rip))
        return CODE_RANGE_NOT_FOUND;
    return is_given_back ? CODE_RANGE_REGISTERS : CODE_RANGE_SHOWN;
}
_Static_assert(PAD_WORD_EXIT_SIZE % PAD_RCX_EXIT_SIZE == 0 && PAD_EXIT_JUMP < PAD_RCX_EXIT_SIZE,
               "translate counts on it");

const struct code_range pad_rcx_range = {pad_rcx_exits, pad_rcx_exits + PAD_COUNT, translate};
const struct code_range pad_word_range = {pad_word_exits, pad_word_exits + PAD_COUNT, translate};
