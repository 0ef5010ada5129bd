/* pad.h: stacks for the first steps of children that share their parent's memory.
 *
 * Such a child cannot begin on its parent's stack, and the stack that it will have is not ours to write to. So it
 * begins on a pad. It gives the pad back itself: the kernel's return from its handler, which reads the frame on the
 * pad, leads to an *exit*, two instructions of the library that need neither a register nor a stack:
 *
 *      movl    $0, pad_states + 4 * pad(%rip)          the pad is free
 *      jmp     *%rcx                                   or through a word: where the child goes on
 *
 * RCX will do where the program's own instruction was SYSCALL, which leaves the address behind it there. Any other
 * address needs a word of memory that nobody changes while a child may stand between the two: each pad has one, which
 * is set once for good.
 *
 * A pad without an exit is its child's until the child has ended, and so is one whose child ends on it. */
#ifndef SEGUE_CTX_PAD_H
#define SEGUE_CTX_PAD_H

/* Pads with exits: as many as there may be children on their way at once. */
#define PAD_COUNT 1024
/* An exit's size, through RCX and through a word; the second instruction's place in either. */
#define PAD_RCX_EXIT_SIZE 16
#define PAD_WORD_EXIT_SIZE 32
#define PAD_EXIT_JUMP 10

#ifndef __ASSEMBLER__
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/code_range.h"

struct pad;

/* A pad that was taken. */
struct pad_use {
    struct pad *pad;
    uint32_t ticket;
    /* Where the child's frame has to lead, so that the pad is given back and the child goes on at its target; 0 if only
     * the child's end gives it back. */
    uint64_t exit;
    /* Its stack, and the bytes above it, 64-aligned. */
    char *stack;
    size_t stack_size;
    char *bytes;
};

/* A pad with `size` bytes beside its stack, and an exit to `target`, which is in RCX too if `is_in_rcx`; 0: without
 * one. False when there is no memory. Async-signal-safe, thread-safe. */
bool pad_take(struct pad_use *use, size_t size, uint64_t target, bool is_in_rcx);

/* Notes whose it is: a thread of this process, or another process. The child may have given it back already. */
void pad_give(const struct pad_use *use, int child, bool is_thread);

/* It is free, if the child did not say so itself. */
void pad_release(const struct pad_use *use);

/* On a child whose memory is a copy: all pads but its own are free, for the threads that stand on them are not there.
 */
void pad_forget_others(const struct pad_use *own);

/* From now on processes that share memory may know one another's threads by different numbers. */
void pad_distrust_numbers(void);

/* Whether `rip` is in an exit; `*target` is where it leads, with `rcx` in RCX. */
bool pad_exit_holds(uint64_t rip, uint64_t rcx, uint64_t *target);

/* The exits: everything but the instruction is the program's already. */
extern const struct code_range pad_rcx_range, pad_word_range;

/* Assembly. A pad's state is 0 when it is free. */
extern const char pad_rcx_exits[PAD_COUNT][PAD_RCX_EXIT_SIZE] __attribute__((visibility("hidden")));
extern const char pad_word_exits[PAD_COUNT][PAD_WORD_EXIT_SIZE] __attribute__((visibility("hidden")));
extern uint32_t pad_states[PAD_COUNT] __attribute__((visibility("hidden")));
extern uint64_t pad_targets[PAD_COUNT] __attribute__((visibility("hidden")));
#endif

#endif
