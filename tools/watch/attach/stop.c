/* stop.c: see stop.h.
 *
 * The thread sends itself SIGTRAP, and gets it when the library's handler returns: behind the access, in its own code.
 * A debugger sees the signal. Without a debugger, the command traces the thread for so long, and gives it SIGSTOP in
 * its place.
 *
 * SOURCES: ptrace(2): PTRACE_SEIZE, PTRACE_DETACH with a signal. */
#include "stop.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>

#include "tools/support/message.h"

#define VERB "watch"
/* Looks for the signal, a tenth of a millisecond apart. */
#define LOOKS 20000u
/* Of those, when the thread is interrupted: it blocks SIGTRAP. */
#define PATIENCE 10000u

static void answer(struct shared *shared, enum gate_answer what)
{
    __atomic_store_n(&shared->gate.answer, what, __ATOMIC_RELEASE);
}

void stop_not(struct shared *shared)
{
    answer(shared, GATE_GO_ON);
}

static bool has_tracer(pid_t thread)
{
    char path[64], line[256];
    int tracer = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)thread);
    FILE *from = fopen(path, "re");
    while (from && fgets(line, sizeof line, from))
        if (sscanf(line, "TracerPid: %d", &tracer) == 1)
            break;
    if (from)
        fclose(from);
    return tracer != 0;
}

enum stopped {
    STOPPED_NOT,
    STOPPED_BEHIND,
    /* It blocks SIGTRAP. */
    STOPPED_LATER,
};

/* Until its SIGTRAP; it gets all other signals. That it has ended is left for others to see. */
static enum stopped stop_traced(pid_t thread)
{
    static const struct timespec moment = {.tv_nsec = 100000};
    for (unsigned looks = 0; looks < LOOKS; looks++) {
        siginfo_t found = {.si_pid = 0};
        if (waitid(P_PID, (id_t)thread, &found, WSTOPPED | WNOHANG | __WALL) != 0)
            return STOPPED_NOT;
        if (looks == PATIENCE)
            ptrace(PTRACE_INTERRUPT, thread, NULL, NULL);
        if (found.si_pid == 0) {
            nanosleep(&moment, NULL);
            continue;
        }
        /* A signal, or an event of ptrace behind one. */
        const int number = found.si_status & 0xff;
        const bool is_event = found.si_status >> 8 != 0;
        if (is_event ? looks >= PATIENCE : number == SIGTRAP) {
            /* An event takes no signal. */
            bool is_stopped = ptrace(PTRACE_DETACH, thread, NULL, (void *)(uintptr_t)(is_event ? 0 : SIGSTOP)) == 0;
            if (is_event)
                is_stopped = is_stopped && kill(thread, SIGSTOP) == 0;
            return !is_stopped ? STOPPED_NOT : is_event ? STOPPED_LATER : STOPPED_BEHIND;
        }
        ptrace(PTRACE_CONT, thread, NULL, (void *)(uintptr_t)(is_event ? 0 : number));
    }
    return STOPPED_NOT;
}

static void say(enum stopped stopped, const struct segue_watch_record *record, const char *name)
{
    const unsigned long long thread = record->thread;
    if (stopped == STOPPED_NOT) {
        complain(
            VERB,
            "%s was not stopped behind this access: its thread %llu has ended before it took SIGTRAP; does it block "
            "it?",
            name, thread);
        return;
    }
    if (stopped == STOPPED_LATER)
        complain(VERB, "thread %llu blocks SIGTRAP: it is not at this access any more", thread);
    complain(VERB,
             "%s is stopped behind this access. To look: gdb -p %d -ex 'handle SIGSTOP nostop nopass'. To let it go "
             "on: kill -CONT %d",
             name, (int)record->process, (int)record->process);
}

void stop_thread(struct shared *shared, const struct segue_watch_record *record, const char *name)
{
    const pid_t thread = (pid_t)record->thread;
    if (ptrace(PTRACE_SEIZE, thread, NULL, NULL) == 0) {
        answer(shared, GATE_TRAP);
        say(stop_traced(thread), record, name);
    } else if (has_tracer(thread)) {
        answer(shared, GATE_TRAP);
    } else {
        complain(VERB, "%s cannot be stopped behind this access: %s", name, strerror(errno));
        answer(shared, GATE_GO_ON);
    }
}
