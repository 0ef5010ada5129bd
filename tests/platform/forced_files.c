/* forced_files.c: the descriptor behind forced accesses: none too many, none that the program could have had, and
 * nothing written to a file of the program's. Each case is a process of its own. */
#include "tests/support/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/memory/forced.h"
#include "tests/support/cases.h"

#define PAGE 4096
#define ROUNDS 60

static char *closed;

static bool prepare(void)
{
    closed = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return closed != MAP_FAILED && forced_prepare() == SEGUE_OK;
}

/* Stores a number in the closed page and reads it back. */
static bool works(int number)
{
    int found = 0;
    return forced_write((uintptr_t)closed, &number, sizeof number) &&
           forced_read((uintptr_t)closed, &found, sizeof found) && found == number;
}

static int count_descriptors(pid_t process)
{
    char path[64];
    int count = 0;
    snprintf(path, sizeof path, "/proc/%d/fd", process);
    DIR *folder = opendir(path);
    for (struct dirent *entry; folder && (entry = readdir(folder));)
        count += entry->d_name[0] != '.';
    if (folder)
        closedir(folder);
    return count;
}

/* --- Processes with one memory, and descriptors of their own. --- */

static volatile int turn, child_works = 1;

static int answer(void *way)
{
    if (way)
        close_range(3, ~0u, 0);
    for (int round = 1; round < 2 * ROUNDS; round += 2) {
        while (turn != round)
            sched_yield();
        child_works &= works(round);
        turn++;
    }
    /* It is looked at, and killed. */
    for (;;)
        pause();
    return 0;
}

static int in_turn(void *way)
{
    char *stack = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (!prepare())
        return CASE_SKIPPED;
    int before = count_descriptors(getpid()), status;
    pid_t child = clone(answer, stack + 16 * PAGE, CLONE_VM | SIGCHLD, way);
    if (child < 0)
        return 2;
    for (int round = 0; round < 2 * ROUNDS; round += 2) {
        if (!works(round))
            return 3;
        turn++;
        while (turn != round + 2)
            sched_yield();
        /* Now its own has none that it opened before. */
        if (round == ROUNDS)
            close_range(3, ~0u, 0);
    }
    int own = count_descriptors(getpid()), others = count_descriptors(child);
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    printf("%d at first, %d and the other's %d at last\n", before, own, others);
    return !child_works ? 4 : own > before + 1 ? 5 : others > before + 1 ? 6 : 0;
}

static int sharers_that_have_it_use_one(void)
{
    return in_turn(NULL);
}

static int sharers_that_closed_it_leave_none_open(void)
{
    return in_turn((void *)1);
}

/* The one who keeps it ends. */
static int file_is_kept_again_when_its_keeper_is_gone(void)
{
    char *stack = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (!prepare())
        return CASE_SKIPPED;
    int before = count_descriptors(getpid());
    for (int i = 0; i < 30; i++) {
        turn = 1;
        pid_t child = clone(answer, stack + 16 * PAGE, CLONE_VM | SIGCHLD, (void *)1);
        while (turn != 2)
            sched_yield();
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        if (!works(i))
            return 2;
    }
    return !child_works ? 3 : count_descriptors(getpid()) != before ? 4 : 0;
}

/* --- A process that has few. --- */

static int small_limit_leaves_all_descriptors_to_the_program(void)
{
    static const rlim_t limits[] = {5, 8, 40};
    if (!prepare())
        return CASE_SKIPPED;
    close_range(3, ~0u, 0);
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        struct rlimit limit = {limits[i], 1024};
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || !works((int)i))
            return 2;
        for (int wanted = 3; wanted < (int)limits[i]; wanted++)
            if (dup(1) != wanted)
                return 3;
        /* With none left the page is opened, as there is one thread. */
        if (!works((int)i + 100))
            return 4;
        close_range(3, ~0u, 0);
    }
    /* Where there are enough, one is kept, above those. */
    struct rlimit limit = {256, 1024};
    setrlimit(RLIMIT_NOFILE, &limit);
    int before = count_descriptors(getpid());
    if (!works(7) || count_descriptors(getpid()) != before + 1 || dup(1) != 3)
        return 5;
    return 0;
}

/* Without a descriptor nothing says what rights a page has but the kernel's own reads of it. */
static int without_descriptors_only_closed_pages_are_opened(void)
{
    static const struct rlimit none = {0, 1024};
    static const int others[] = {PROT_EXEC, PROT_READ, PROT_READ | PROT_EXEC, PROT_READ | PROT_WRITE};
    if (!prepare())
        return CASE_SKIPPED;
    close_range(3, ~0u, 0);
    if (setrlimit(RLIMIT_NOFILE, &none) != 0 || !works(1))
        return 2;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        int number = 0;
        char *page = mmap(NULL, PAGE, others[i], MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (page == MAP_FAILED || forced_write((uintptr_t)page, &number, sizeof number) ||
            forced_read((uintptr_t)page, &number, sizeof number))
            return 3;
    }
    return works(2) ? 0 : 4;
}

/* --- Numbers that the program uses. --- */

static int files_under_its_number_are_not_written_to(void)
{
    char path[] = "/tmp/segue-forced-XXXXXX";
    struct stat status;
    if (!prepare())
        return CASE_SKIPPED;
    int file = mkstemp(path);
    unlink(path);
    if (file < 0 || write(file, "mine", 4) != 4)
        return 2;
    for (int round = 0; round < 40; round++) {
        /* Every number that has a file in it is the program's file. */
        for (int number = 3; number < 800; number++)
            if (number != file && dup2(file, number) != number)
                return 3;
        if (!works(round) || fstat(file, &status) != 0 || status.st_size != 4)
            return 4;
    }
    return 0;
}

#define EACH_CASE(X)                                                                                                   \
    X(sharers_that_have_it_use_one)                                                                                    \
    X(sharers_that_closed_it_leave_none_open)                                                                          \
    X(file_is_kept_again_when_its_keeper_is_gone)                                                                      \
    X(small_limit_leaves_all_descriptors_to_the_program)                                                               \
    X(without_descriptors_only_closed_pages_are_opened)                                                                \
    X(files_under_its_number_are_not_written_to)

CASES_MAIN(EACH_CASE)
