/* thread.h: a thread of the program, as the host knows it: its block (layout.h), where its system calls go, and the
 * state that the kernel would keep for it and that the host keeps in its place. */
#ifndef SEGUE_RUN_THREAD_H
#define SEGUE_RUN_THREAD_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <ucontext.h>

#include "layout.h"

struct actions;

struct thread {
    /* Known to the assembly. */
    uint8_t selector;
    /* The host serves the thread, and keeps what is sent to it meanwhile: from its first instructions up to where it
     * looks for the last time. */
    volatile bool keeps_signals;
    uint64_t host_fs;
    /* Where the stubs lead, and the arguments that the program's registers hold again after a call. */
    uint64_t target;
    uint64_t arguments[6];
    /* The stack pointer to go back to, within run_try (memory.h); else 0. */
    uint64_t tries;

    /* The program is about to be started by this thread: where. Without a stack it is not. */
    uint64_t start_instruction, start_stack;
    /* What the program believes to be its mask, alternate stack and actions. */
    uint64_t mask;
    stack_t alternate;
    struct actions *actions;
    /* Of a process that shares the memory of another, as vfork's child: it may be killed, and the other go on. */
    bool borrows_memory;
    /* The mask of a call that has one of its own (sigsuspend and its like), while it is made. */
    uint64_t call_mask;
    bool has_call_mask;
    /* The stub has been told what to call and where to lead; else the program goes on by itself. RAX as the program had
     * it, and as the stub is to have it. */
    bool is_led;
    uint64_t led_number, made_number;
    /* The base of GS that the program's thread pointer is in; 0 before there is one. A program that loads GS with a
     * selector of no segment, which is harmless natively, has lost it: then it is put back at the next entry. */
    uint64_t thread_pointer;
    bool was_put_back;
    /* It was told that it cannot be traced. */
    bool wanted_tracing;
    /* The fault that was last run again, and how often in a row. */
    uint64_t retried_instruction, retried_address;
    unsigned retried;
    /* The host's accesses may fault (memory.h). */
    bool is_open;
    /* It has stepped through an instruction of a stub or a detour, which leads here; 0 for none. */
    uint64_t stepped_to;
    /* Of the signals that cannot be blocked: those that wait until the program unblocks them. */
    uint32_t waiting;
    siginfo_t waiting_info[4];
    /* Code that was mapped and is to be rewritten before it runs; 0 for none. */
    uint64_t fresh_code;
    /* Memory for the arguments of a call that is made with others than the program's. */
    void *scratch;
    size_t scratch_size;
    /* Copies of a path or a mask for the same; what does not fit is in `scratch`. */
    uint64_t words[4];
    char path[512];
    int number, process;
    /* A call of the host's was answered by a signal of the program's filter. */
    bool was_filtered;
    /* A block whose thread has ended, or is about to. */
    struct thread *next;
    bool has_ended;
    /* Of a process that shares its maker's memory, which knows its number (thread_lends). */
    bool is_lent;
    /* The actions are this block's alone, and go with it. */
    bool owns_actions;
    uint64_t entered;
};

_Static_assert(offsetof(struct thread, selector) == THREAD_SELECTOR, "layout.h");
_Static_assert(offsetof(struct thread, host_fs) == THREAD_HOST_FS, "layout.h");
_Static_assert(offsetof(struct thread, target) == THREAD_TARGET, "layout.h");
_Static_assert(offsetof(struct thread, arguments) == THREAD_ARGUMENTS, "layout.h");
_Static_assert(offsetof(struct thread, keeps_signals) == THREAD_KEEPS, "layout.h");
_Static_assert(offsetof(struct thread, tries) == THREAD_TRIES, "layout.h");
_Static_assert(sizeof(struct thread) <= BLOCK_TLS, "layout.h");

/* The stubs, in the template that each block has a copy of. */
extern const char run_gate[], run_gate_begin[], run_gate_pass[], run_gate_passed[], run_gate_end[];
/* The handler's assembly. */
extern const char run_entry[], run_entry_allowed[], run_tail[], run_entry_end[];

/* The block of the first thread, whose host is the C library's own. NULL when there is no memory. */
struct thread *thread_first(void);

/* A block for a thread to be made, and giving it back before it was used or when its user is known to have ended.
 * Async-signal-safe. */
struct thread *thread_take(const struct thread *parent);
void thread_give(struct thread *thread);

/* In the parent of a process that shares its memory and goes on beside it: its block is used again when the kernel says
 * that it has ended, however that was. Async-signal-safe. */
void thread_lends(struct thread *child, long number);

/* On the thread itself, which also a child made by fork is: notes its number and its process's. At its end it may not
 * be allowed to ask (seccomp). Async-signal-safe. */
void thread_begins(struct thread *thread);

/* Notes that the thread is about to end: its block is used again when the kernel says that it has. Async-signal-safe.
 */
void thread_ends(struct thread *thread);

/* On the thread itself: its alternate stack, and the dispatch of its system calls, which not every kernel has.
 * Async-signal-safe. */
void thread_arm_stack(struct thread *thread);
bool thread_arm_calls(struct thread *thread);

/* Where the FS base of a thread with this block leads while the host runs. */
uint64_t thread_storage(struct thread *thread);

/* The address of a stub in the block. */
static inline uint64_t thread_gate(const struct thread *thread, const char *stub)
{
    return (uint64_t)(uintptr_t)thread + BLOCK_CODE + (uint64_t)(stub - run_gate);
}

#endif
