/* in_call.h: whether another thread of the process waits in a system call, as the kernel says. */
#ifndef SEGUE_TESTS_IN_CALL_H
#define SEGUE_TESTS_IN_CALL_H

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static inline bool is_in_call(long thread, long call)
{
    char path[64], text[64] = "";
    snprintf(path, sizeof path, "/proc/self/task/%ld/syscall", thread);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = read(file, text, sizeof text - 1);
    close(file);
    return size > 0 && strtol(text, NULL, 10) == call && strncmp(text, "running", 7) != 0;
}

#endif
