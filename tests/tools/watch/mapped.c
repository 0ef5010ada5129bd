/* mapped.c: changes what is mapped where it is watched, and writes down each access that it makes to `area`, as `segue
 * watch` is to report it. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096
#define WORDS (PAGE / 8)
#define PAGES 8

__attribute__((aligned(PAGE))) long area[PAGES * WORDS];
static volatile sig_atomic_t faults;

static void need(int holds, const char *what)
{
    if (holds)
        return;
    perror(what);
    exit(1);
}

/* `at`: where the word of `area` is by now. */
static void put(volatile long *at, int word, long value)
{
    printf("writes area");
    if (word)
        printf("+%d", 8 * word);
    printf(" (8 bytes): %ld -> %ld\n", *at, value);
    *at = value;
}

static void open_all(int number)
{
    (void)number;
    faults++;
    need(mprotect(area, 2 * PAGE, PROT_READ | PROT_WRITE) == 0, "mprotect");
}

int main(void)
{
    signal(SIGSEGV, open_all);
    for (int i = 0; i < PAGES; i++)
        put(&area[i * WORDS], i * WORDS, i + 1);

    /* A write barrier. */
    for (int i = 0; i < 3; i++) {
        need(mprotect(area, 2 * PAGE, i == 1 ? PROT_NONE : PROT_READ) == 0, "mprotect");
        if (i == 1)
            need(area[0] == 100, "area");
        put(&area[0], 0, 100 + i);
    }
    need(faults == 3, "faults");

    /* Pages that are moved, dropped, unmapped and replaced. */
    long *moved = mremap(&area[2 * WORDS], 2 * PAGE, 64 * PAGE, MREMAP_MAYMOVE);
    need(moved != MAP_FAILED && moved[0] == 3 && moved[WORDS] == 4 && moved[2 * WORDS] == 0, "mremap");
    printf("moves area+%d (%d bytes)\n", 2 * PAGE, 2 * PAGE);
    put(&moved[WORDS], 3 * WORDS, 40);
    moved[2 * WORDS] = 1;
    need(madvise(moved, PAGE, MADV_DONTNEED) == 0 && moved[0] == 0 && moved[WORDS] == 40, "madvise");
    put(&moved[0], 2 * WORDS, 30);
    need(munmap(moved, PAGE) == 0, "munmap");
    printf("ends the watch of area+%d (%d bytes)\n", 2 * PAGE, PAGE);
    put(&moved[WORDS], 3 * WORDS, 41);
    void *new =
        mmap(&area[4 * WORDS], 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    need(new == &area[4 * WORDS] && area[4 * WORDS] == 0, "mmap");
    printf("ends the watch of area+%d (%d bytes)\n", 4 * PAGE, 2 * PAGE);
    area[4 * WORDS] = 5;
    put(&area[7 * WORDS + 1], 7 * WORDS + 1, 8);

    need(mprotect(&area[7 * WORDS], PAGE, PROT_READ | PROT_EXEC) == 0, "mprotect");
    printf("ends the watch of area+%d (%d bytes)\n", 7 * PAGE, PAGE);
    need(area[7 * WORDS + 1] == 8, "area");
    put(&area[6 * WORDS], 6 * WORDS, 7);
    fprintf(stderr, "done\n");
    return 0;
}
