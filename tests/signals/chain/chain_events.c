/* chain_events.c: what happens in the cells of chain_cell.h. */
#include "chain_cell.h"

#include <errno.h>
#include <pthread.h>
#include <segue/segue.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define REGION 0x21000000u
#define BEYOND 0x23000000u
#define OPEN 0x24000000u
#define TIMER_VALUE 7
#define QUEUED_VALUE 42

/* chain_cell_x86_64.S */
void cell_load(uintptr_t), cell_store(uintptr_t), cell_jump(uintptr_t), cell_call(uintptr_t),
    cell_misaligned(uintptr_t), cell_privileged(uintptr_t), cell_divide(uintptr_t), cell_alignment(uintptr_t),
    cell_overflow(uintptr_t);

void cell_map(uintptr_t address, int protection)
{
    if (mmap((void *)address, CELL_PAGE, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) ==
        MAP_FAILED)
        _exit(94);
}

static enum segue_verdict pass(void *unused, const struct segue_event *event)
{
    (void)unused;
    (void)event;
    errno = EILSEQ;
    return SEGUE_PASS;
}

static void add_region(const struct segue_region *region)
{
    if (segue_region_add(region) != SEGUE_OK)
        _exit(91);
}

/* Closed, and stepped; open for a program without Segue. */
static void prepare_region(bool without)
{
    struct segue_mapping mapping;
    if (segue_mapping_create((void *)REGION, CELL_PAGE, &mapping) != SEGUE_OK)
        _exit(90);
    memset(mapping.alias, 0x77, CELL_PAGE);
    if (without)
        return;
    struct segue_region region = {
        .window = {.base = REGION, .size = CELL_PAGE, .kind = SEGUE_WINDOW_ALIAS, .alias = mapping.alias}};
    add_region(&region);
    mprotect((void *)REGION, CELL_PAGE, PROT_NONE);
}

/* Closed for both, and of a region whose policy wants nothing to do with it. */
static void prepare_passed(bool without)
{
    struct segue_region region = {.window = {.base = CELL_PASSED, .size = CELL_PAGE, .kind = SEGUE_WINDOW_EXPOSED},
                                  .policy = pass};
    cell_map(CELL_PASSED, PROT_NONE);
    if (!without)
        add_region(&region);
}

static void prepare_open(bool without)
{
    (void)without;
    cell_map(OPEN, PROT_READ | PROT_WRITE);
}

static void prepare_beyond(bool without)
{
    (void)without;
    mmap((void *)BEYOND, CELL_PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED_NOREPLACE, fileno(tmpfile()), 0);
}

static void send_to_self(uintptr_t unused)
{
    (void)unused;
    syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGSEGV);
}

static void queue_to_self(uintptr_t unused)
{
    union sigval value = {.sival_int = QUEUED_VALUE};
    (void)unused;
    pthread_sigqueue(pthread_self(), SIGSEGV, value);
}

/* To the process, which has one thread: it takes the signal before kill returns. */
static void send_to_process(uintptr_t unused)
{
    (void)unused;
    kill(getpid(), SIGSEGV);
}

/* The signal waits until it is let in, at one place: the frame's place depends on the stack pointer. */
static void let_timer_send(uintptr_t unused)
{
    timer_t timer;
    sigset_t sent, waiting;
    struct itimerspec soon = {.it_value = {.tv_nsec = 1000000}};
    struct sigevent event = {
        .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGSEGV, .sigev_value = {.sival_int = TIMER_VALUE}};
    (void)unused;
    event._sigev_un._tid = (int)syscall(SYS_gettid);
    sigemptyset(&sent);
    sigaddset(&sent, SIGSEGV);
    pthread_sigmask(SIG_BLOCK, &sent, NULL);
    if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0 || timer_settime(timer, 0, &soon, NULL) != 0)
        _exit(89);
    do
        sigpending(&waiting);
    while (!sigismember(&waiting, SIGSEGV));
    pthread_sigmask(SIG_UNBLOCK, &sent, NULL);
}

/* Sends the signal to a thread once that waits in the system call. */
struct sender {
    long thread, call;
};

static void *send_when_waiting(void *argument)
{
    const struct sender *sender = argument;
    char path[64], line[16] = "-1";
    snprintf(path, sizeof path, "/proc/self/task/%ld/syscall", sender->thread);
    while (strtol(line, NULL, 10) != sender->call || line[0] == 'r') {
        FILE *file = fopen(path, "r");
        if (!file || !fgets(line, sizeof line, file))
            _exit(88);
        fclose(file);
        usleep(100);
    }
    syscall(SYS_tgkill, getpid(), sender->thread, SIGSEGV);
    if (cell.previous->ending == CELL_NO_HANDLER && write(cell.pipe[1], "", 1) != 1)
        _exit(87);
    return NULL;
}

static void start_sender(struct sender *sender, long call)
{
    pthread_t thread;
    sigset_t all, before;
    *sender = (struct sender){syscall(SYS_gettid), call};
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_create(&thread, NULL, send_when_waiting, sender);
    pthread_detach(thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* The handler writes what is read: so it goes on if it is restarted. */
static void interrupt_read(uintptr_t unused)
{
    static struct sender sender;
    char byte;
    (void)unused;
    /* What an earlier handler has written is gone. */
    if (pipe(cell.pipe) != 0)
        _exit(81);
    start_sender(&sender, SYS_read);
    ssize_t got = read(cell.pipe[0], &byte, 1);
    cell_say("read %zd errno %d\n", got, got < 0 ? errno : 0);
}

static void interrupt_sleep(uintptr_t unused)
{
    static struct sender sender;
    /* Only a signal that is ignored leaves it to end by itself. */
    struct timespec left = {.tv_nsec = 30000000};
    (void)unused;
    if (cell.previous->handler != SIG_IGN)
        left.tv_sec = 15;
    start_sender(&sender, SYS_clock_nanosleep);
    cell_say("sleep %d\n", clock_nanosleep(CLOCK_MONOTONIC, 0, &left, NULL));
}

const struct cell_fault cell_faults[] = {
    {"ours", CELL_FAULT, cell_load, prepare_region, REGION},
    {"passed", CELL_FAULT, cell_load, prepare_passed, CELL_PASSED},
    {"data", CELL_FAULT, cell_load, NULL, CELL_CLOSED},
    {"data_store", CELL_FAULT, cell_store, NULL, CELL_CLOSED},
    {"code", CELL_FAULT, cell_jump, NULL, CELL_CLOSED},
    {"null_call", CELL_FAULT, cell_call, NULL, 0},
    {"non_canonical", CELL_FAULT, cell_load, NULL, 0x123456789abcdef0},
    {"misaligned", CELL_FAULT, cell_misaligned, prepare_open, OPEN},
    {"alignment", CELL_FAULT, cell_alignment, prepare_open, OPEN},
    {"privileged", CELL_FAULT, cell_privileged, NULL, 0},
    {"divide", CELL_FAULT, cell_divide, NULL, 0},
    {"beyond_file", CELL_FAULT, cell_load, prepare_beyond, BEYOND},
    {"overflow", CELL_OVERFLOW, cell_overflow, NULL, 0},
    {"tgkill", CELL_SENT, send_to_self, NULL, 0},
    {"sigqueue", CELL_SENT, queue_to_self, NULL, 0},
    {"kill", CELL_SENT, send_to_process, NULL, 0},
    {"timer", CELL_SENT, let_timer_send, NULL, 0},
    {"in_read", CELL_SENT, interrupt_read, NULL, 0},
    {"in_sleep", CELL_SENT, interrupt_sleep, NULL, 0},
};
const size_t cell_fault_count = sizeof cell_faults / sizeof *cell_faults;
