/* doctor_process_linux.c: see doctor_process.h.
 *
 * SOURCES: proc(5): /proc/PID/status (SigBlk, SigIgn, SigCgt), /proc/PID/maps, /proc/PID/task. */
#include "doctor_process.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/support/message.h"

static const struct {
    const char *name;
    int number;
} taken[] = {{"SIGSEGV", SIGSEGV}, {"SIGBUS", SIGBUS}, {"SIGFPE", SIGFPE}};

/* What of a thread's status counts here. */
struct status {
    char name[64];
    uint64_t blocked, ignored, caught;
};

static bool read_status(const char *path, struct status *status)
{
    char line[256];
    FILE *file = fopen(path, "r");
    if (!file)
        return false;
    *status = (struct status){.name = "?"};
    while (fgets(line, sizeof line, file)) {
        sscanf(line, "Name: %63[^\n]", status->name);
        sscanf(line, "SigBlk: %lx", &status->blocked);
        sscanf(line, "SigIgn: %lx", &status->ignored);
        sscanf(line, "SigCgt: %lx", &status->caught);
    }
    fclose(file);
    return true;
}

static bool has(uint64_t set, int number)
{
    return set >> (number - 1) & 1;
}

/* The first mapping of a file whose name begins so. Returns 0; ENOENT if no mapping does; another error number if the
 * mappings cannot be read, as those of another user's process. */
static int find_library(long process, const char *name, char *found, size_t size)
{
    char path[64], line[4400];
    int status = ENOENT;
    snprintf(path, sizeof path, "/proc/%ld/maps", process);
    FILE *file = fopen(path, "r");
    if (!file)
        return errno == ENOENT ? ESRCH : errno;
    errno = 0;
    while (status == ENOENT && fgets(line, sizeof line, file)) {
        const char *base = strrchr(line, '/');
        if (!base || strncmp(base + 1, name, strlen(name)) != 0)
            continue;
        status = 0;
        line[strcspn(line, "\n")] = 0;
        snprintf(found, size, "%s", strchr(line, '/'));
    }
    if (status && ferror(file))
        status = errno ? errno : EIO;
    fclose(file);
    return status;
}

/* `is_there` follows the library's name, `is_not` stands alone. */
static void tell_library(long process, const char *what, const char *library, const char *is_there, const char *is_not)
{
    char found[4096];
    int status = find_library(process, library, found, sizeof found);
    if (status == 0) {
        printf("%-22s yes  ", what);
        print_name(stdout, found);
        puts(is_there);
    } else if (status == ENOENT) {
        printf("%-22s no   %s\n", what, is_not);
    } else {
        printf("%-22s ?    its mappings cannot be read: %s\n", what, strerror(status));
    }
}

static void tell_libraries(long process)
{
    tell_library(process, "segue", "libsegue.so", "", "libsegue.so is not mapped; it may be linked statically");
    tell_library(process, "sigchain", "libsegue-sigchain.so", ": what the program blocks and handles is behind Segue",
                 "a handler that the program sets later takes Segue's place");
}

static void tell_actions(const struct status *status)
{
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
        bool caught = has(status->caught, taken[i].number);
        const char *what = caught ? "a handler has it; whose, only segue_install_check can say, inside the process"
                           : has(status->ignored, taken[i].number) ? "ignored: Segue does not have it"
                                                                   : "at its default: Segue does not have it";
        printf("%-22s %-4s %s\n", taken[i].name, caught ? "yes" : "no", what);
    }
}

/* Returns how many block one of the signals. */
static unsigned tell_blocking(long process)
{
    char path[64 + 256];
    unsigned count = 0;
    snprintf(path, sizeof path, "/proc/%ld/task", process);
    DIR *tasks = opendir(path);
    for (struct dirent *entry; tasks && (entry = readdir(tasks));) {
        struct status status;
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "/proc/%ld/task/%.200s/status", process, entry->d_name);
        if (!read_status(path, &status))
            continue;
        for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
            if (!has(status.blocked, taken[i].number))
                continue;
            count++;
            printf("thread %-15.200s no   ", entry->d_name);
            print_name(stdout, status.name);
            printf(" blocks %s: the kernel kills it at a fault, stepped or not\n", taken[i].name);
        }
    }
    if (tasks)
        closedir(tasks);
    return count;
}

int doctor_process(long process)
{
    char path[64];
    struct status status;
    snprintf(path, sizeof path, "/proc/%ld/status", process);
    if (!read_status(path, &status))
        return errno;
    printf("process                     %ld, ", process);
    print_name(stdout, status.name);
    putchar('\n');
    tell_libraries(process);
    tell_actions(&status);
    if (tell_blocking(process) == 0)
        printf("threads                yes  none blocks them now\n");
    return 0;
}
