/* thread.h: a thread of the program, as the host knows it: its block (layout.h), where its system calls go, and the
 * signal state that the kernel would keep for it and that the host keeps instead. */
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
    /* The host serves the thread, and keeps the signals sent to it meanwhile: from the handler's first instructions to
     * its last check for kept signals. */
    volatile bool keeps_signals;
    uint64_t host_fs;
    /* Where the stubs jump to, and the arguments that the program's registers must hold again after a call. */
    uint64_t target;
    uint64_t arguments[6];
    /* The stack pointer to go back to, within run_try (memory.h); else 0. */
    uint64_t tries;

    /* Where this thread is about to start the program. Without a stack it is not. */
    uint64_t start_instruction, start_stack;
    /* The program's view of its mask, alternate stack and actions. */
    uint64_t mask;
    stack_t alternate;
    struct actions *actions;
    /* Of a process that shares the memory of another, such as vfork's child: it may be killed while the other goes
     * on. */
    bool borrows_memory;
    /* The mask of a call that has one of its own (sigsuspend and its like), while it is made. */
    uint64_t call_mask;
    bool has_call_mask;
    /* The stub makes a prepared call (is_led); else the program's own instruction makes it. The numbers are RAX as the
     * program had it, and as the stub uses it. */
    bool is_led;
    uint64_t led_number, made_number;
    /* The GS base that holds the program's thread pointer; 0 before there is one. A program that loads GS with the
     * selector of no segment, which is harmless natively, loses it: the next entry to the host sets it again. */
    uint64_t thread_pointer;
    bool was_put_back;
    /* The host has refused its request to be traced (PTRACE_TRACEME). */
    bool wanted_tracing;
    /* The fault whose instruction was last run again, and how often in a row. */
    uint64_t retried_instruction, retried_address;
    unsigned retried;
    /* The host's accesses may fault (memory.h). */
    bool is_open;
    /* It has single-stepped through an instruction of a stub or a detour, which returns here; 0: it has not. */
    uint64_t stepped_to;
    /* The forced signals that wait until the program unblocks them. */
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
    /* A seccomp filter of the program's answered a call of the host's by a signal. */
    bool was_filtered;
    /* A block whose thread has ended, or is about to. */
    struct thread *next;
    bool has_ended;
    /* The block of a process that shares its parent's memory; the parent knows the process's number (thread_lends). */
    bool is_lent;
    /* The actions belong to this block alone, and are freed with it. */
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

/* The block of the first thread, whose thread-local storage is the host's own. NULL when there is no memory. */
struct thread *thread_first(void);

/* Takes a block for a new thread; gives it back unused, or when its user is known to have ended. Async-signal-safe. */
struct thread *thread_take(const struct thread *parent);
void thread_give(struct thread *thread);

/* In the parent of a process that shares its memory and runs beside it: the child's block is used again when the kernel
 * reports its end, however it ended. Async-signal-safe. */
void thread_lends(struct thread *child, long number);

/* On the thread itself, or in a child of fork: notes its own and its process's number. A seccomp filter may forbid to
 * ask for them at its end. Async-signal-safe. */
void thread_begins(struct thread *thread);

/* Notes that the thread is about to end: its block is used again when the kernel reports its end. Async-signal-safe. */
void thread_ends(struct thread *thread);

/* On the thread itself: sets its alternate stack, and enables syscall user dispatch, which not every kernel has.
 * Async-signal-safe. */
void thread_arm_stack(struct thread *thread);
bool thread_arm_calls(struct thread *thread);

/* The FS base of a thread with this block while the host runs. */
uint64_t thread_storage(struct thread *thread);

/* The address of a stub in the block. */
static inline uint64_t thread_gate(const struct thread *thread, const char *stub)
{
    return (uint64_t)(uintptr_t)thread + BLOCK_CODE + (uint64_t)(stub - run_gate);
}

#endif
