/* chain_cell.h: one cell of the matrix that chain_matrix.c compares: a program that sets a previous handler, installs
 * Segue or not, and has a fault of one kind on one thread. It writes what it sees to standard output. */
#ifndef SEGUE_TESTS_CHAIN_CELL_H
#define SEGUE_TESTS_CHAIN_CELL_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cell_thread {
    CELL_MAIN,
    /* A thread that has attached itself, and one that has not. */
    CELL_ATTACHED,
    CELL_OTHER,
    CELL_THREADS,
};

/* How a handler ends. */
enum cell_ending {
    CELL_NO_HANDLER,
    /* Sets the instruction to where the thread goes on. */
    CELL_SKIPS,
    /* Opens what is closed, else puts back the default action; returns. */
    CELL_OPENS,
    CELL_RETURNS,
    CELL_JUMPS,
    CELL_SWITCHES,
    CELL_EXITS,
    /* Faults itself, where that is let through at once and where it is not, and then skips. */
    CELL_FAULTS,
};

/* Which alternate stack the program has. */
enum cell_stack {
    CELL_NO_STACK,
    /* Smaller than ours, set before Segue is installed or the thread attached, or after. */
    CELL_STACK_BEFORE,
    CELL_STACK_AFTER,
    /* Large enough for Segue to use. */
    CELL_STACK_LARGE,
};

struct cell_previous {
    const char *name;
    /* SIG_DFL, SIG_IGN, or anything else for the cell's own handler. */
    void (*handler)(int);
    unsigned flags;
    enum cell_ending ending;
    enum cell_stack stack;
};

enum cell_kind {
    /* Of an instruction: registers are compared. */
    CELL_FAULT,
    /* The stack runs out: no code can look at it. */
    CELL_OVERFLOW,
    /* A signal that is sent. */
    CELL_SENT,
};

struct cell_fault {
    const char *name;
    enum cell_kind kind;
    /* Makes it happen; given the address below. */
    void (*happen)(uintptr_t address);
    /* What is prepared, and where the thread looks; 0 for no address. */
    void (*prepare)(bool bare);
    uintptr_t address;
};

extern const struct cell_previous cell_previous[];
extern const size_t cell_previous_count;
extern const struct cell_fault cell_faults[];
extern const size_t cell_fault_count;
extern const char *const cell_thread_names[CELL_THREADS];

/* Pages that are closed in every cell, and in those of a region that its policy passes. */
#define CELL_PAGE 4096u
#define CELL_CLOSED 0x20000000u
#define CELL_PASSED 0x22000000u

/* The cell that runs in this process. */
extern struct cell {
    const struct cell_previous *previous;
    const struct cell_fault *fault;
    bool bare;
    /* How often the handler has run; each time it writes a byte into the pipe. */
    volatile int handled;
    int pipe[2];
} cell;

/* For what happens in a cell: a private page; a line of output. */
void cell_map(uintptr_t address, int protection);
void cell_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Runs a cell; returns the exit status. */
int cell_run(const struct cell_previous *previous, const struct cell_fault *fault, enum cell_thread thread, bool bare);

#endif
