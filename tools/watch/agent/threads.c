/* threads.c: see threads.h. */
#include "threads.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Of a line of /proc/PID/stat, by proc(5). */
#define FIELD_OF_BEGINNING 22u

static FILE *open_file(pid_t process, pid_t thread, const char *name)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task/%d/%s", (int)process, (int)thread, name);
    return fopen(path, "re");
}

uint64_t thread_blocks(pid_t process, pid_t thread)
{
    char line[256];
    uint64_t blocked = 0;
    FILE *from = open_file(process, thread, "status");
    while (from && fgets(line, sizeof line, from))
        if (sscanf(line, "SigBlk: %" SCNx64, &blocked) == 1)
            break;
    if (from)
        fclose(from);
    return blocked;
}

/* The second field is a name in parentheses, which may have any bytes. */
uint64_t thread_began(pid_t process, pid_t thread)
{
    char text[1024];
    uint64_t began = 0;
    FILE *from = open_file(process, thread, "stat");
    const size_t size = from ? fread(text, 1, sizeof text - 1, from) : 0;
    if (from)
        fclose(from);
    text[size] = 0;
    const char *behind = strrchr(text, ')');
    for (unsigned field = 2; behind && field < FIELD_OF_BEGINNING; field++)
        behind = strchr(behind + 1, ' ');
    if (behind && sscanf(behind, "%" SCNu64, &began) != 1)
        began = 0;
    return began;
}
