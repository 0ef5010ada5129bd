/* locked.c [WAIT]: locks all memory, now and later, and says how much there is: the library's tables are not to be part
 * of it. With an argument it waits for a byte of its standard input, locked. What it prints does not depend on who
 * watches it. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* In kB. */
#define SMALL 300000

long watched;

static long size_of(const char *name)
{
    char line[256];
    long size = -1;
    FILE *from = fopen("/proc/self/status", "r");
    while (from && fgets(line, sizeof line, from))
        if (strncmp(line, name, strlen(name)) == 0)
            sscanf(line + strlen(name), ": %ld", &size);
    if (from)
        fclose(from);
    return size;
}

static void show(const char *what, int result)
{
    watched++;
    printf("%s: %d, locked %d, small %d\n", what, result, size_of("VmLck") > 0, size_of("VmRSS") < SMALL);
    fflush(stdout);
}

int main(int count, char **arguments)
{
    char byte;
    (void)arguments;
    show("none", mlockall(0));
    show("unknown", mlockall(16));
    show("all", mlockall(MCL_CURRENT | MCL_FUTURE));
    char *later = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(later, 1, 1 << 20);
    show("later", later == MAP_FAILED);
    if (count > 1) {
        if (read(STDIN_FILENO, &byte, 1) != 1)
            return 1;
        show("watched", 0);
    }
    show("unlocked", munlockall());
    printf("%ld\n", watched);
    return 0;
}
