/* shared.h: the memory that segue watch shares with the program that it watches, where libsegue-watch.so is preloaded.
 *
 * The program's side maps it and says READY; the command then finds out what is where in the program, fills in the
 * ranges, and says GO; the program's side watches them, and says WATCHED or FAILED. From then on the program puts
 * records into the queue, and the command takes them.
 *
 * In a program that ran already the program's side is a thread of its own. At GO it installs the library's handlers,
 * and says INSTALLED; the command takes the signals that the library needs out of the masks of threads that block
 * them, writes here what they were, and says OPENED; then the ranges are watched. The command ends it by END; the
 * thread gives back all, masks too, and says LEFT. It does so, too, if the command has ended. */
#ifndef SEGUE_TOOLS_WATCH_SHARED_H
#define SEGUE_TOOLS_WATCH_SHARED_H

#include <signal.h>

#include "signals/watch/counts/counts_layout.h"
#include "signals/watch/files/files.h"
#include "signals/watch/loaded/loaded.h"
#include "signals/watch/queue/gate.h"

/* The environment: the descriptor of the memory, and what LD_PRELOAD was before. */
#define SHARED_DESCRIPTOR "SEGUE_WATCH_DESCRIPTOR"
#define SHARED_PRELOAD "SEGUE_WATCH_PRELOAD"

/* The function that begins in a program that ran already: its argument is the command's process, and it returns a
 * descriptor of the memory, or a negative error number. */
#define SHARED_ATTACH "segue_watch_attach"

#define SHARED_RANGES 65536u
#define SHARED_PLACES (UINT32_C(1) << 14)
/* The same, if each has a stack. */
#define SHARED_PLACES_WITH_STACKS (UINT32_C(1) << 9)

enum shared_state {
    SHARED_BEGUN,
    SHARED_READY,
    SHARED_GO,
    SHARED_INSTALLED,
    SHARED_OPENED,
    SHARED_WATCHED,
    SHARED_FAILED,
    SHARED_END,
    SHARED_LEFT
};

/* What is taken out of masks: the library serves faults and caught system calls by signals, and knocks by SIGSEGV at
 * threads that block SIGXCPU, by which it suspends them. */
#define SHARED_BIT(number) (UINT64_C(1) << ((number)-1))
#define SHARED_OPEN (SHARED_BIT(SIGSEGV) | SHARED_BIT(SIGBUS) | SHARED_BIT(SIGFPE) | SHARED_BIT(SIGSYS))

/* A thread whose mask is opened. */
#define SHARED_MASKS 4096u

struct shared_mask {
    uint32_t thread;
    /* When it was made (thread_began): another may have its number by then. */
    uint64_t began;
    /* As in struct opened_mask. */
    uint64_t removed, rest;
};

/* Of size 0: a file's, or blocks of the heap. */
struct shared_range {
    uint64_t address, size;
    /* enum segue_watch_flags. */
    uint32_t flags;
    /* Of the watch, once it is watched. */
    uint32_t id;
    /* Blocks of the heap: the least size and the largest, if no function is asked for; else the functions that allocate
     * them, from that place in the list on. */
    bool is_heap;
    uint32_t first_function, function_count;
    uint64_t least, most;
};

#define SHARED_FILES 64u
#define SHARED_PATH 4096u

struct shared_file {
    char path[SHARED_PATH];
    /* Of size 0: all of it. */
    uint64_t offset, size;
    /* Its range, which has its flags. */
    uint32_t range;
    struct file_found found;
};

/* A function's code, or a part of it. */
struct shared_function {
    uint64_t start, end;
};

#define SHARED_FUNCTIONS 4096u
/* The frames in which such a function is looked for, from the allocator's caller on. */
#define SHARED_FRAMES 4u

struct shared {
    /* enum shared_state. */
    uint32_t state;
    /* The program's process, and the command's. */
    uint32_t process, command;
    uint32_t range_count;
    /* The thread that is the program's side in a program that ran already; 0 in one that was started. */
    uint32_t helper;
    /* Written by the command alone. */
    uint32_t mask_count;
    /* System calls are not seen. */
    bool lacks_calls;
    /* With SHARED_FAILED: there was no memory. */
    bool lacks_memory;
    /* The command wants the stack of each access; it wants to stop threads. */
    bool keeps_stacks, stops;
    struct gate gate;
    /* Of SHARED_FAILED; and of SHARED_LEFT, if not all is as before. */
    char reason[256];
    struct shared_range ranges[SHARED_RANGES];
    uint32_t file_count;
    struct shared_file files[SHARED_FILES];
    /* The first ones are C++'s operator new, whose frames do not count. */
    uint32_t wrapper_count, function_count;
    struct shared_function functions[SHARED_FUNCTIONS];
    /* Code in which no site becomes hot; of no size, if all may be changed. */
    struct shared_function untouched;
    struct loaded_list loaded;
    /* Blocks that a target asks for, and for which there was no memory. */
    uint64_t unwatched_blocks;
    struct shared_mask masks[SHARED_MASKS];
    _Alignas(64) struct counts_place counts[COUNTS_PLACES + 1];
    /* The last: its places are behind it. */
    _Alignas(64) struct watch_queue queue;
};

/* Behind the places. */
static inline size_t shared_stacks(void)
{
    return (sizeof(struct shared) + queue_size(SHARED_PLACES) + 63) & ~(size_t)63;
}

static inline struct queue_stack *shared_stack(struct shared *shared)
{
    return (struct queue_stack *)(void *)((char *)shared + shared_stacks());
}

static inline size_t shared_size(void)
{
    return shared_stacks() + SHARED_PLACES_WITH_STACKS * sizeof(struct queue_stack);
}

#endif
