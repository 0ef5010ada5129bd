/* held.c: see held.h. */
#include "held.h"

#include <segue/regs.h>
#include <stddef.h>

#include "patch/hot/sites.h"
#include "platform/abi.h"
#include "platform/frame/frame.h"
#include "platform/frame/stack.h"
#include "platform/memory/mappings.h"
#include "platform/memory/memory.h"
#include "platform/memory/readable.h"
#include "platform/threads/look.h"
#include "platform/threads/thread.h"
#include "signals/regions/readers.h"
#include "signals/threads/thread.h"

/* The most bytes of a stack, and those that are read at once, in a handler too. */
#define STACK_MOST (UINT64_C(64) << 20)
#define WORDS 128u
/* What an answer may need of the handler's stack. */
#define ANSWER_STACK 4096u

/* What is read of one stack. */
struct stack {
    uint64_t stack_pointer, at;
    /* The two words before the present one. */
    uint64_t before[2];
};

/* False if the word ends a signal frame's copy of the alternate stack that the thread is on: frames on the stack that
 * it has left are not found. */
static bool look_at_word(struct stack *stack, uint64_t word)
{
    const struct alternate_stack copied = {(void *)(uintptr_t)stack->before[0], (unsigned)stack->before[1],
                                           (size_t)word};
    hot_hold(word);
    stack->before[0] = stack->before[1];
    stack->before[1] = word;
    return !stack_may_hold(&copied, stack->stack_pointer);
}

static bool look_at_words(struct stack *stack, uint64_t end)
{
    uint64_t words[WORDS];
    while (stack->at < end) {
        uint64_t size = end - stack->at < sizeof words ? end - stack->at : sizeof words;
        if (!readable_copy(stack->at, words, size))
            return false;
        for (size_t i = 0; i < size / sizeof *words; i++)
            if (!look_at_word(stack, words[i]))
                return false;
        stack->at += size;
    }
    return true;
}

/* The stack ends where nothing is that could be written to; it may consist of several mappings. */
static bool look_at_stack(uint64_t stack_pointer)
{
    struct stack stack = {.stack_pointer = stack_pointer, .at = (stack_pointer - RED_ZONE) & ~(uint64_t)7};
    const uint64_t first = stack.at;
    struct mapping mapping;
    if (!mappings_find(stack_pointer, &mapping))
        return false;
    if (stack.at < mapping.start)
        stack.at = mapping.start;
    do {
        if (mapping.end - first > STACK_MOST || !look_at_words(&stack, mapping.end))
            return false;
    } while (mappings_find(stack.at, &mapping) && (mapping.protection & PLATFORM_WRITE) && !mapping.file);
    return true;
}

bool held_by_self(void)
{
    return look_at_stack((uint64_t)(uintptr_t)__builtin_frame_address(0));
}

/* If the thread has used no processor time, it has waited all the time, and its stack has stayed as it was. */
bool held_by_waiting(int thread)
{
    uint64_t before, after, stack_pointer;
    return look_processor_time(thread, &before) && look_at_thread(thread, &stack_pointer) == LOOK_WAITS &&
           look_is_in_call(thread) && !look_waits_for_child(thread) && look_at_stack(stack_pointer) &&
           look_processor_time(thread, &after) && before == after;
}

/* ---- threads that run ---- */

/* The question: its number and the thread's TID. An answer to an earlier one does not count. */
#define NUMBER_SHIFT 32

/* The most threads of which it is remembered that they lacked room; beyond that, no other thread is asked. */
#define LACKING 64u

static uint64_t question, answer, answer_without_room;
static int lacking[LACKING];

/* Also true if there is no place to note it. */
static bool lacks_room(int thread)
{
    bool may_be_noted = false;
    for (unsigned i = 0; i < LACKING; i++) {
        if (lacking[i] && platform_thread_is_gone(lacking[i]))
            lacking[i] = 0;
        if (lacking[i] == thread)
            return true;
        may_be_noted = may_be_noted || !lacking[i];
    }
    return !may_be_noted;
}

static void note_lack_of_room(int thread)
{
    for (unsigned i = 0; i < LACKING; i++)
        if (!lacking[i]) {
            lacking[i] = thread;
            return;
        }
}

bool held_ask(int thread)
{
    static const struct thread_mark none;
    const int asked_before = (int)(uint32_t)question;
    if (asked_before && __atomic_load_n(&answer_without_room, __ATOMIC_ACQUIRE) == question &&
        !lacks_room(asked_before))
        note_lack_of_room(asked_before);
    if (lacks_room(thread))
        return false;
    uint64_t next = ((question >> NUMBER_SHIFT) + 1) << NUMBER_SHIFT | (uint32_t)thread;
    __atomic_store_n(&question, next, __ATOMIC_SEQ_CST);
    readers_ask(thread, &none);
    return true;
}

bool held_is_answered(void)
{
    return __atomic_load_n(&answer, __ATOMIC_ACQUIRE) == question;
}

static void look_at_registers(const void *context)
{
    struct segue_regs regs;
    uint64_t words[sizeof regs / sizeof(uint64_t)];
    frame_get_general(context, &regs);
    __builtin_memcpy(words, &regs, sizeof words);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        hot_hold(words[i]);
}

void held_answer(const void *context, size_t room)
{
    uint64_t asked = __atomic_load_n(&question, __ATOMIC_ACQUIRE);
    if ((uint32_t)asked != (uint32_t)thread_number() || __atomic_load_n(&answer, __ATOMIC_RELAXED) == asked ||
        frame_was_on_alternate_stack(context))
        return;
    if (room < ANSWER_STACK) {
        __atomic_store_n(&answer_without_room, asked, __ATOMIC_RELEASE);
        return;
    }
    look_at_registers(context);
    if (look_at_stack(frame_stack_pointer(context)))
        __atomic_store_n(&answer, asked, __ATOMIC_RELEASE);
}
