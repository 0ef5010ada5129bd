/* files.c PATH: maps a file, in each way, and writes down each access that it makes to what is mapped of it, and each
 * mapping that comes, goes and moves, as `segue watch map:PATH` is to report them. With the second argument "wait" it
 * waits for a line on its standard input once the file is mapped shared, and for another one behind the first access;
 * with "many" it has many mappings at once; with "apart" it maps the file where the list of its mappings cannot be
 * read; with "once" it maps one page, of a disk for instance. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096
#define PAGES 4
#define MANY 300

static const char *path;
static int file;

static void need(int holds, const char *what)
{
    if (holds)
        return;
    perror(what);
    exit(1);
}

static void *map(size_t size, int flags, off_t offset)
{
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, file, offset);
    need(at != MAP_FAILED, "mmap");
    printf("maps %s+0x%lx (%zu bytes)\n", path, (long)offset, size);
    return at;
}

/* `offset`: of the word, in the file. */
static void put(void *at, long offset, long value)
{
    volatile long *word = at;
    printf("writes %s+0x%lx (8 bytes): %#lx -> %#lx\n", path, offset, (unsigned long)*word, (unsigned long)value);
    *word = value;
}

static long in_file(off_t offset)
{
    long value;
    need(pread(file, &value, sizeof value, offset) == sizeof value, "pread");
    return value;
}

static void ends(long offset, size_t size)
{
    printf("ends the watch of %s+0x%lx (%zu bytes)\n", path, offset, size);
}

static void unmap(void *at, size_t size, long offset)
{
    need(munmap(at, size) == 0, "munmap");
    ends(offset, size);
}

static volatile sig_atomic_t buses;
static void *bus_at, *bus_wanted;

static void see_bus(int number, siginfo_t *info, void *unused)
{
    (void)number;
    (void)unused;
    bus_at = info->si_addr;
    buses++;
    need(ftruncate(file, PAGES * PAGE) == 0, "ftruncate");
}

static int map_many(void)
{
    for (long i = 1; i <= MANY; i++)
        put(map(PAGE, MAP_SHARED, 0), 0, i);
    map(512 * 1024 * 1024, MAP_SHARED, 0);
    return 0;
}

/* Without /proc, and without a descriptor of it. */
static int map_apart(void)
{
    need(chroot(".") == 0 && close_range((unsigned)file + 1, ~0u, 0) == 0, "chroot");
    *(volatile long *)map(PAGE, MAP_SHARED, 0) = 1;
    need(in_file(0) == 1, "the file");
    fprintf(stderr, "done\n");
    return 0;
}

static int map_once(void)
{
    char *at = map(PAGE, MAP_SHARED, 0);
    put(at, 0, in_file(0) + 1);
    unmap(at, PAGE, 0);
    return 0;
}

int main(int count, char **arguments)
{
    path = arguments[1];
    file = open(path, O_RDWR | O_CREAT, 0600);
    need(file >= 0, "open");
    if (count > 2 && strcmp(arguments[2], "once") == 0)
        return map_once();
    need(ftruncate(file, PAGES * PAGE) == 0, "ftruncate");

    if (count > 2 && strcmp(arguments[2], "many") == 0)
        return map_many();
    if (count > 2 && strcmp(arguments[2], "apart") == 0)
        return map_apart();

    /* Shared: the file has it at once. */
    char *shared = map(PAGES * PAGE, MAP_SHARED, 0), byte;
    if (count > 2) {
        fprintf(stderr, "mapped\n");
        need(read(STDIN_FILENO, &byte, 1) == 1, "read");
    }
    put(shared, 0, 1);
    need(count <= 2 || read(STDIN_FILENO, &byte, 1) == 1, "read");
    put(shared + PAGE + 8, PAGE + 8, 2);
    need(in_file(0) == 1 && in_file(PAGE + 8) == 2, "the file");
    need(pwrite(file, "\3", 1, 0) == 1 && shared[0] == 3, "the mapping");

    /* A second mapping, of a part; and one that is private. */
    char *part = map(PAGE, MAP_SHARED, PAGE);
    put(part + 8, PAGE + 8, 5);
    need(*(volatile long *)(shared + PAGE + 8) == 5, "the first mapping");
    char *private = map(2 * PAGE, MAP_PRIVATE, 2 * PAGE);
    put(private, 2 * PAGE, 6);
    need(in_file(2 * PAGE) == 0, "the file");
    put(shared + 3 * PAGE, 3 * PAGE, 7);
    need(in_file(3 * PAGE) == 7, "the file");

    /* A move, and one that grows; what is dropped. */
    char *moved = mremap(part, PAGE, 3 * PAGE, MREMAP_MAYMOVE);
    need(moved != MAP_FAILED, "mremap");
    if (moved != part)
        printf("moves %s+0x%x (%u bytes)\n", path, PAGE, PAGE);
    printf("maps %s+0x%x (%u bytes)\n", path, 2 * PAGE, 2 * PAGE);
    put(moved + 8, PAGE + 8, 8);
    put(moved + 2 * PAGE, 3 * PAGE, 9);
    need(in_file(3 * PAGE) == 9, "the file");
    need(madvise(moved, PAGE, MADV_DONTNEED) == 0 && *(volatile long *)(moved + 8) == 8, "madvise");
    need(madvise(private, PAGE, MADV_DONTNEED) == 0 && *(volatile long *)private == 0, "madvise");
    unmap(private + PAGE, PAGE, 3 * PAGE);
    char *second = mremap(shared, 0, PAGE, MREMAP_MAYMOVE);
    need(second != MAP_FAILED, "mremap");
    printf("maps %s+0x0 (%u bytes)\n", path, PAGE);
    put(second, 0, 10);
    put(shared, 0, 11);
    need(*(volatile long *)second == 11, "the second mapping");

    /* Pages behind the end of the file. */
    const struct sigaction action = {.sa_sigaction = see_bus, .sa_flags = SA_SIGINFO};
    sigaction(SIGBUS, &action, NULL);
    need(ftruncate(file, 2 * PAGE) == 0, "ftruncate");
    bus_wanted = shared + 3 * PAGE + 16;
    *(volatile long *)bus_wanted = 12;
    printf("writes %s+0x%x (8 bytes): 0 -> 0xc\n", path, 3 * PAGE + 16);
    need(buses == 1 && bus_at == bus_wanted && in_file(3 * PAGE + 16) == 12, "SIGBUS");

    /* A child shares what is shared, and has a copy of the rest. */
    put(private, 2 * PAGE, 13);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        put(shared + 8, 8, 14);
        put(private, 2 * PAGE, 15);
        char *own = map(PAGE, MAP_SHARED, 0);
        put(own + 16, 16, 16);
        unmap(own, PAGE, 0);
        fflush(stdout);
        _exit(0);
    }
    int status;
    need(waitpid(child, &status, 0) == child && status == 0, "waitpid");
    need(*(volatile long *)(shared + 8) == 14 && *(volatile long *)private == 13 && in_file(16) == 16, "fork");

    /* What is read-only; what takes its place. */
    need(mprotect(shared, PAGE, PROT_READ) == 0 && mprotect(shared, PAGE, PROT_READ | PROT_WRITE) == 0, "mprotect");
    put(shared, 0, 17);
    need(mmap(shared, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == shared, "mmap");
    ends(0, PAGE);
    *(volatile long *)shared = 18;
    unmap(second, PAGE, 0);
    need(in_file(0) == 17, "the file");
    /* It came in two parts. */
    need(munmap(moved, 3 * PAGE) == 0, "munmap");
    ends(PAGE, PAGE);
    ends(2 * PAGE, 2 * PAGE);
    fprintf(stderr, "done\n");
    return 0;
}
