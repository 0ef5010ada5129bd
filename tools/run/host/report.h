/* report.h: what is told on standard error: messages, --trace, --stats. All but report_prepare are async-signal-safe.
 */
#ifndef SEGUE_RUN_REPORT_H
#define SEGUE_RUN_REPORT_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <ucontext.h>

#define CALL_NUMBERS 512

/* Counted for the process and the children that it forks, in memory that they share. */
struct counters {
    /* From the program into the host. */
    uint64_t crossings;
    /* Accesses through fs: that faulted, and what came of them. */
    uint64_t faults, sites_eager, sites_lazy, sites_page, emulated, modules, untrusted;
    /* Faults of the program's own. */
    uint64_t own_faults;
    uint64_t signals, threads, processes, programs;
    /* FS base was not 0 when the program was left: must stay 0. */
    uint64_t wrong_bases;
    /* Calls: made by the program's own instruction with its own registers, or by the host. */
    uint64_t passed, served;
    /* Sites whose calls are not trapped any more, nor counted. */
    uint64_t sites_calls;
    /* Processor ticks (RDTSC) in the handler. */
    uint64_t ticks;
    uint64_t calls[CALL_NUMBERS];
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

/* Events; told with --trace. */
void report_call(const ucontext_t *frame);
void report_signal(const siginfo_t *info);
void report_event(const char *format, ...);

/* The program ends, by a signal or with 0: the figures are told if they were asked for. */
void report_end(int signal);

const char *report_call_name(uint64_t number);

/* What the command ends with when it is not the program that ends: as env(1) and timeout(1) have it. */
enum { EXIT_RUNNER = 125, EXIT_NOT_EXECUTABLE = 126, EXIT_NOT_FOUND = 127 };

#endif
