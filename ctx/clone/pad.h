/* pad.h: bootstrap stacks for children.
 *
 * A child that shares its parent's memory cannot start on its parent's stack, and the library may not write to the
 * stack that the child will have. So it starts on a pad. It gives the pad back itself: the kernel's sigreturn, which
 * reads the frame on the pad, leads to an *exit*, two instructions of the library that need neither a register nor a
 * stack:
 *
 *      movl    $0, pad_states + 4 * pad(%rip)          the pad is free
 *      jmp     *%rcx                                   or through a word: the address at which the child resumes
 *
 * RCX serves if the program's own instruction was SYSCALL, which leaves the address after it there. Any other address
 * needs a word of memory that does not change while a child may stand between the two instructions: each pad has one,
 * which is set once and never changed.
 *
 * A pad without an exit belongs to its child until the child has ended; so does a pad on which its child ends.
 *
 * A child with a copy of the memory starts on a pad too, since a stack of its own is what a child is recognised by. It
 * gives its copy back before the sigreturn. */
#ifndef SEGUE_CTX_PAD_H
#define SEGUE_CTX_PAD_H

/* The number of pads with exits: the most children that may be starting at once. */
#define PAD_COUNT 1024
/* An exit's size, via RCX and via a word; the second instruction's offset in either. */
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
    /* The address that the child's frame must lead to, so that the pad is given back and the child resumes at its
     * target; 0 if only the child's end gives it back. */
    uint64_t exit;
    /* Its stack, and the bytes above it, 64-aligned. */
    char *stack;
    size_t stack_size;
    char *bytes;
};

/* Takes a pad with `size` bytes beside its stack, and an exit to `target`, which is in RCX too if `is_in_rcx`;
 * `target` 0: without an exit. False if the system has no memory. Async-signal-safe, thread-safe. */
bool pad_take(struct pad_use *use, size_t size, uint64_t target, bool is_in_rcx);

/* Records the owner: a thread of this process, or another process. The child may have given the pad back already. */
void pad_give(const struct pad_use *use, int child, bool is_thread);

/* Frees the pad, if the child has not done so itself. */
void pad_release(const struct pad_use *use);

/* On a child whose memory is a copy: frees all pads but its own, since the threads that use them do not exist there. */
void pad_forget_others(const struct pad_use *own);

/* From now on processes that share memory may be in different PID namespaces, and so see other TIDs. */
void pad_distrust_numbers(void);

/* Whether `rip` is in an exit; `*target` is the exit's target, given `rcx` in RCX. */
bool pad_exit_holds(uint64_t rip, uint64_t rcx, uint64_t *target);

/* The exits' code ranges: all registers except the instruction pointer are already the program's. */
extern const struct code_range pad_rcx_range, pad_word_range;

/* In assembly. A pad's state is 0 if it is free. */
extern const char pad_rcx_exits[PAD_COUNT][PAD_RCX_EXIT_SIZE] __attribute__((visibility("hidden")));
extern const char pad_word_exits[PAD_COUNT][PAD_WORD_EXIT_SIZE] __attribute__((visibility("hidden")));
extern uint32_t pad_states[PAD_COUNT] __attribute__((visibility("hidden")));
extern uint64_t pad_targets[PAD_COUNT] __attribute__((visibility("hidden")));
#endif

#endif
