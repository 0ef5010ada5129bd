/* report.h: the host's output on standard error: messages, --trace, --stats. All but report_prepare are
 * async-signal-safe. */
#ifndef SEGUE_RUN_REPORT_H
#define SEGUE_RUN_REPORT_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <ucontext.h>

#include "platform/linux/calls/table/table.h"

/* Counters of the process and the children that it forks, in memory that they share. */
struct counters {
    /* From the program into the host. */
    uint64_t crossings;
    /* Accesses through fs: that faulted, and how they were served. */
    uint64_t faults, sites_eager, sites_lazy, sites_page, emulated, modules, untrusted;
    /* Faults of the program's own. */
    uint64_t own_faults;
    uint64_t signals, threads, processes, programs;
    /* How often the FS base was not 0 when the host was entered: must stay 0. */
    uint64_t wrong_bases;
    /* Calls that the program's own instruction made with its own registers, and calls that the host made. */
    uint64_t passed, served;
    /* Sites whose calls are no longer trapped, and so not counted. */
    uint64_t sites_calls;
    /* Processor ticks (RDTSC) in the handler. */
    uint64_t ticks;
    uint64_t calls[TABLE_NUMBERS];
};

extern struct counters *counters;

/* False when there is no memory. */
bool report_prepare(void);

static inline void count(uint64_t *counter, uint64_t more)
{
    __atomic_fetch_add(counter, more, __ATOMIC_RELAXED);
}

/* "segue run: " and the text, with one %s, %x (64 bits) or %d (64 bits) for each further argument. */
void report_message(const char *format, ...);

/* The same and an end of the process with EXIT_RUNNER. */
_Noreturn void report_fatal(const char *format, ...);

/* The same for a command line that makes no sense. */
_Noreturn void report_misuse(const char *format, ...);

/* Events, printed with --trace. */
void report_call(const ucontext_t *frame);
void report_signal(const siginfo_t *info);
void report_event(const char *format, ...);

/* Called when the program ends, by a signal or with 0: prints the figures if --stats was given. */
void report_end(int signal);

const char *report_call_name(uint64_t number);

/* Exit statuses of the command when the program did not run; the values are those of env(1) and timeout(1). */
enum { EXIT_RUNNER = 125, EXIT_NOT_EXECUTABLE = 126, EXIT_NOT_FOUND = 127 };

#endif
