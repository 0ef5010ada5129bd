/* changes.c: the program's own calls that change what is mapped go on working where its pages are watched. */
#include "tests/support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <segue/segue.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/cases.h"

#define PAGE 4096u
#define PAGES 4u
#define APART 16u
#define RECORDS 4096u

static struct segue_watch_record records[RECORDS];

static void prepare(void)
{
    const struct segue_options options = {.flags = SEGUE_INSTALL_SYSTEM_CALLS};
    enum segue_status status = segue_install(&options);
    if (status == SEGUE_UNSUPPORTED)
        exit(CASE_SKIPPED);
    assert_int_equal(status, SEGUE_OK);
    assert_int_equal(segue_suspend_install(NULL), SEGUE_OK);
}

/* Beside no stack, and nothing of the library's. */
static char *map(unsigned pages)
{
    char *room = mmap(NULL, (pages + 2 * APART) * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(room, MAP_FAILED);
    assert_int_equal(mprotect(room + APART * PAGE, pages * PAGE, PROT_READ | PROT_WRITE), 0);
    return room + APART * PAGE;
}

static uint64_t begin(volatile void *address, size_t size, uint32_t flags)
{
    const struct segue_watch watch = {.address = address, .size = size, .flags = flags};
    uint64_t id = 0;
    if (segue_watch_add(&watch, 1, &id) != SEGUE_OK)
        fail_msg("%s", segue_reason());
    return id;
}

static size_t read_all(void)
{
    size_t count = 0, more;
    while (count < RECORDS && segue_watch_read(records + count, RECORDS - count, 0, &more, NULL) == SEGUE_OK)
        count += more;
    return count;
}

/* The mappings from the first address to the last, as the system shows them: rights, files, advice. */
static void describe(const char *from, const char *to, char *text, size_t size)
{
    char line[512];
    bool is_inside = false;
    FILE *maps = fopen("/proc/self/smaps", "r");
    *text = 0;
    while (fgets(line, sizeof line, maps)) {
        unsigned long start, end;
        if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
            is_inside = start < (unsigned long)to && end > (unsigned long)from;
        if (is_inside && (strchr(line, '-') || strncmp(line, "VmFlags", 7) == 0))
            strncat(text, line, size - strlen(text) - 1);
    }
    fclose(maps);
}

/* ---- protections ---- */

static char *guarded;
static volatile sig_atomic_t faults;
static volatile uint64_t fault_address;
static volatile int fault_code;

static void open_page(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    faults++;
    fault_address = (uint64_t)(uintptr_t)info->si_addr;
    fault_code = info->si_code;
    mprotect(guarded, PAGE, PROT_READ | PROT_WRITE);
}

static __attribute__((noinline)) void add_to(volatile long *number)
{
    *number += 1;
}

/* As a collector's write barrier. `warm`: the instruction accesses the page before. */
static int check_barrier(size_t offset, unsigned warm)
{
    volatile long *number = (volatile long *)(guarded + offset);
    const long before = *number;
    for (unsigned i = 0; i < warm; i++)
        add_to(number);
    for (int round = 1; round <= 5; round++) {
        faults = 0;
        NEED(mprotect(guarded, PAGE, round % 2 ? PROT_READ : PROT_NONE) == 0);
        if (round % 2)
            NEED(*number == before + (long)warm + round - 1 && faults == 0);
        add_to(number);
        NEED(faults == 1 && fault_address == (uint64_t)(uintptr_t)number && fault_code == SEGV_ACCERR);
        NEED(*number == before + (long)warm + round);
    }
    return 0;
}

static int protections_are_the_programs(void)
{
    const struct sigaction action = {.sa_sigaction = open_page, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigaction(SIGSEGV, &action, NULL);
    prepare();
    guarded = map(PAGES);
    uint64_t id = begin(guarded + 64, 8, SEGUE_WATCH_WRITE);
    NEED(check_barrier(64, 0) == 0 && check_barrier(128, 0) == 0);
    NEED(check_barrier(64, 50) == 0 && check_barrier(136, 50) == 0);
    NEED(read_all() == 5 + 50 + 5);
    for (unsigned i = 0; i < 60; i++)
        NEED(records[i].kind == SEGUE_WATCH_ACCESS && records[i].before[0] == i && records[i].after[0] == i + 1);
    /* The range has pages that are not watched; and there are rights that need no change. */
    NEED(mprotect(guarded, PAGES * PAGE, PROT_READ) == 0);
    NEED(syscall(SYS_pkey_mprotect, guarded, 2 * PAGE, PROT_READ, -1) == 0);
    /* A call that writes finds the program's rights, too. */
    int pipes[2];
    NEED(pipe(pipes) == 0 && write(pipes[1], "x", 1) == 1);
    NEED(read(pipes[0], guarded + 64, 1) == -1 && errno == EFAULT);
    NEED(segue_watch_remove(id) == SEGUE_OK);
    char text[4096];
    describe(guarded, guarded + PAGES * PAGE, text, sizeof text);
    NEED(strstr(text, " r--p ") && !strstr(text, " rw-p ") && !strstr(text, " ---p "));
    NEED(*(long *)(guarded + 64) == 60);
    munmap(guarded, PAGES * PAGE);
    return 0;
}

/* A page that becomes code is watched no more. */
static int code_is_not_watched(void)
{
    static const unsigned char code[] = {0xb8, 42, 0, 0, 0, 0xc3};
    prepare();
    char *page = map(1);
    begin(page, 64, SEGUE_WATCH_WRITE);
    memcpy(page, code, sizeof code);
    NEED(read_all() > 0);
    NEED(mprotect(page, PAGE, PROT_READ | PROT_EXEC) == 0);
    NEED(((int (*)(void))(uintptr_t)page)() == 42);
    NEED(read_all() == 1 && records[0].kind == SEGUE_WATCH_ENDED && records[0].size == 64);
    NEED(records[0].system_call == SYS_mprotect && records[0].address == (uint64_t)(uintptr_t)page);
    NEED(mprotect(page, PAGE, PROT_READ | PROT_WRITE) == 0);
    memset(page, 1, PAGE);
    NEED(read_all() == 0);
    munmap(page, PAGE);
    return 0;
}

/* ---- what goes ---- */

static int pages_are_unmapped(void)
{
    prepare();
    volatile char *memory = map(PAGES);
    uint64_t id = begin(memory + 8, PAGES * PAGE - 16, SEGUE_WATCH_WRITE);
    for (unsigned i = 0; i < PAGES; i++)
        memory[i * PAGE + 8] = (char)i;
    NEED(read_all() == PAGES);
    NEED(munmap((void *)memory + PAGE, PAGE) == 0);
    NEED(read_all() == 1 && records[0].kind == SEGUE_WATCH_ENDED && records[0].id == id);
    NEED(records[0].address == (uint64_t)(uintptr_t)memory + PAGE && records[0].size == PAGE);
    unsigned char there;
    NEED(mincore((void *)memory + PAGE, PAGE, &there) == -1 && errno == ENOMEM);
    /* What is mapped there now is something else. */
    NEED(mmap((void *)memory + PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
              -1, 0) == memory + PAGE);
    for (unsigned round = 0; round < 3; round++)
        for (unsigned i = 0; i < PAGES; i++)
            memory[i * PAGE + 8]++;
    NEED(memory[PAGE + 8] == 3 && memory[8] == 3 && memory[2 * PAGE + 8] == 5 && memory[3 * PAGE + 8] == 6);
    NEED(read_all() == 3 * (PAGES - 1));
    NEED(segue_watch_remove(id) == SEGUE_OK && segue_watch_remove(id) == SEGUE_NOT_FOUND);
    NEED(memory[2 * PAGE + 8] == 5);
    id = begin(memory, 8, SEGUE_WATCH_WRITE);
    NEED(munmap((void *)memory, PAGES * PAGE) == 0);
    NEED(read_all() == 1 && records[0].system_call == SYS_munmap);
    NEED(segue_watch_remove(id) == SEGUE_OK);
    return 0;
}

static int pages_are_replaced(void)
{
    prepare();
    volatile char *memory = map(PAGES);
    uint64_t id = begin(memory + PAGE, 8, SEGUE_WATCH_WRITE);
    /* A call that fails leaves all as it was. */
    NEED(mmap((void *)memory, PAGES * PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, -1, 0) == MAP_FAILED && errno == EBADF);
    NEED(munmap((void *)memory + 1, PAGE) == -1 && errno == EINVAL);
    memory[PAGE] = 7;
    NEED(read_all() == 1 && records[0].kind == SEGUE_WATCH_ACCESS);
    NEED(mmap((void *)memory, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
         memory);
    NEED(memory[PAGE] == 0);
    memory[PAGE] = 8;
    NEED(read_all() == 1 && records[0].kind == SEGUE_WATCH_ENDED && records[0].system_call == SYS_mmap);
    NEED(segue_watch_remove(id) == SEGUE_OK && memory[PAGE] == 8);
    int segment = shmget(IPC_PRIVATE, 2 * PAGE, IPC_CREAT | 0600);
    if (segment == -1)
        return 0;
    id = begin(memory + PAGE, 8, SEGUE_WATCH_WRITE);
    NEED(shmat(segment, (void *)memory, SHM_REMAP) == (void *)memory && shmctl(segment, IPC_RMID, NULL) == 0);
    NEED(memory[PAGE] == 0 && read_all() == 1 && records[0].system_call == SYS_shmat);
    NEED(segue_watch_remove(id) == SEGUE_OK);
    return 0;
}

static int the_break_shrinks(void)
{
    prepare();
    char *end = sbrk(0);
    char *start = (char *)(((uintptr_t)end + PAGE - 1) & -(uintptr_t)PAGE);
    NEED(brk(start + PAGES * PAGE) == 0);
    start[2 * PAGE] = 1;
    uint64_t id = begin(start + 2 * PAGE, 8, SEGUE_WATCH_WRITE);
    start[2 * PAGE] = 2;
    NEED(brk(start + 3 * PAGE) == 0 && read_all() == 1);
    NEED(brk(start + PAGE) == 0);
    NEED(read_all() == 1 && records[0].kind == SEGUE_WATCH_ENDED && records[0].system_call == SYS_brk);
    NEED(brk(start + PAGES * PAGE) == 0 && start[2 * PAGE] == 0);
    NEED(segue_watch_remove(id) == SEGUE_OK);
    return 0;
}

/* ---- what moves ---- */

static int pages_move(void)
{
    prepare();
    char *memory = map(PAGES);
    for (unsigned i = 0; i < PAGES; i++)
        memory[i * PAGE] = (char)i;
    uint64_t id = begin(memory + PAGE, 8, SEGUE_WATCH_WRITE);
    memory[PAGE] = 10;
    char *moved = mremap(memory, PAGES * PAGE, 64 * PAGE, MREMAP_MAYMOVE);
    NEED(moved != MAP_FAILED && moved != memory);
    for (unsigned i = 0; i < 64; i++)
        NEED(moved[i * PAGE] == (i == 1 ? 10 : i < PAGES ? (char)i : 0));
    moved[PAGE] = 11;
    NEED(read_all() == 3);
    NEED(records[1].kind == SEGUE_WATCH_MOVED && records[1].moved_to == (uint64_t)(uintptr_t)moved + PAGE);
    NEED(records[1].address == (uint64_t)(uintptr_t)memory + PAGE && records[1].size == 8);
    NEED(records[2].address == (uint64_t)(uintptr_t)moved + PAGE && records[2].before[0] == 10);
    /* In place, and too small. */
    NEED(mremap(moved, 64 * PAGE, 2 * PAGE, 0) == moved);
    moved[PAGE] = 12;
    NEED(read_all() == 1 && records[0].after[0] == 12);
    NEED(mremap(moved, 2 * PAGE, PAGE, 0) == moved);
    NEED(read_all() == 1 && records[0].kind == SEGUE_WATCH_ENDED);
    NEED(mremap(moved, PAGE, 0, 0) == MAP_FAILED && errno == EINVAL);
    NEED(mremap(moved, 0, PAGE, MREMAP_MAYMOVE) == MAP_FAILED && errno == EINVAL);
    NEED(segue_watch_remove(id) == SEGUE_OK);
    return 0;
}

/* Private pages that are first touched while a part of them is watched: one mapping again when it moves. */
static int untouched_pages_move(void)
{
    prepare();
    FILE *file = tmpfile();
    NEED(file && ftruncate(fileno(file), PAGES * PAGE) == 0);
    for (unsigned has_file = 0; has_file < 2; has_file++) {
        char *memory = map(PAGES);
        const int flags = MAP_PRIVATE | MAP_FIXED | (has_file ? 0 : MAP_ANONYMOUS);
        NEED(mmap(memory, PAGES * PAGE, PROT_READ | PROT_WRITE, flags, has_file ? fileno(file) : -1, 0) == memory);
        uint64_t id = begin(memory + PAGE, 8, SEGUE_WATCH_WRITE);
        for (unsigned i = PAGES; i-- > 0;)
            memory[i * PAGE] = (char)(i + 1);
        char *moved = mremap(memory, PAGES * PAGE, 64 * PAGE, MREMAP_MAYMOVE);
        NEED(moved != MAP_FAILED && moved != memory);
        for (unsigned i = 0; i < PAGES; i++)
            NEED(moved[i * PAGE] == (char)(i + 1));
        NEED(read_all() == 2 && records[1].kind == SEGUE_WATCH_MOVED);
        NEED(segue_watch_remove(id) == SEGUE_OK && munmap(moved, 64 * PAGE) == 0);
    }
    fclose(file);
    return 0;
}

/* Many ranges move at once; one of them to where another was. */
static int many_ranges_move(void)
{
    enum { RANGES = 1000 };
    static struct segue_watch watches[RANGES];
    static uint64_t ids[RANGES];
    prepare();
    char *memory = map(8 * PAGES), *other = map(8 * PAGES);
    for (unsigned i = 0; i < RANGES; i++)
        watches[i] = (struct segue_watch){.address = memory + 64 + 100 * i, .size = 8, .flags = SEGUE_WATCH_WRITE};
    NEED(segue_watch_add(watches, RANGES, ids) == SEGUE_OK);
    uint64_t id = begin(other + PAGE, 8, SEGUE_WATCH_WRITE);
    NEED(mremap(memory, 8 * PAGES * PAGE, 8 * PAGES * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, other) == other);
    size_t count = read_all(), moved = 0, ended = 0;
    for (size_t i = 0; i < count; i++) {
        moved += records[i].kind == SEGUE_WATCH_MOVED && records[i].moved_to - (uint64_t)(uintptr_t)other < 100064;
        ended += records[i].kind == SEGUE_WATCH_ENDED && records[i].id == id;
    }
    NEED(moved == RANGES && ended == 1 && count == RANGES + 1);
    for (unsigned i = 0; i < RANGES; i++)
        other[64 + 100 * i] = 1;
    NEED(read_all() == RANGES);
    for (unsigned i = 0; i < RANGES; i++)
        NEED(segue_watch_remove(ids[i]) == SEGUE_OK);
    NEED(segue_watch_remove(id) == SEGUE_OK && munmap(other, 8 * PAGES * PAGE) == 0);
    return 0;
}

/* The C library's blocks: mremap, munmap, the break, madvise. */
static int blocks_of_the_heap(void)
{
    prepare();
    const size_t large = 256 * PAGE;
    char *block = malloc(large);
    memset(block, 5, large);
    uint64_t id = begin(block + 5 * PAGE, 8, SEGUE_WATCH_WRITE);
    for (unsigned i = 1; i < 5; i++) {
        char *more = realloc(block, large << i);
        NEED(more && more[5 * PAGE + 1] == 5 && more[large - 1] == 5);
        block = more;
        block[5 * PAGE] = (char)i;
    }
    size_t seen = 0, all = read_all();
    for (size_t i = 0; i < all; i++)
        seen += records[i].kind == SEGUE_WATCH_ACCESS;
    NEED(seen == 4);
    free(block);
    NEED(read_all() == 1 && records[0].system_call == SYS_munmap);
    NEED(segue_watch_remove(id) == SEGUE_OK);
    char *blocks[64];
    for (unsigned i = 0; i < 64; i++)
        memset(blocks[i] = malloc(100000), 1, 100000);
    id = begin(blocks[60], 100000, SEGUE_WATCH_READ);
    for (unsigned i = 0; i < 64; i++)
        free(blocks[i]);
    char *after = calloc(1, 100000);
    for (unsigned i = 0; i < 100000; i++)
        NEED(after[i] == 0);
    free(after);
    NEED(segue_watch_remove(id) == SEGUE_OK);
    return 0;
}

/* ---- advice ---- */

static int contents_are_dropped(void)
{
    char name[] = "/tmp/segue-changes-XXXXXX";
    prepare();
    int file = mkstemp(name);
    NEED(file >= 0 && unlink(name) == 0 && ftruncate(file, PAGES * PAGE) == 0 && pwrite(file, "file", 4, PAGE) == 4);
    char *of_file = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0), *memory = map(PAGES);
    memset(memory, 3, PAGES * PAGE);
    memset(of_file, 3, PAGES * PAGE);
    uint64_t ids[] = {begin(memory + PAGE, 8, SEGUE_WATCH_WRITE), begin(of_file + PAGE, 8, SEGUE_WATCH_WRITE)};
    for (unsigned i = 0; i < 20; i++)
        memory[PAGE + 32]++;
    NEED(mprotect(memory, PAGES * PAGE, PROT_READ) == 0);
    NEED(madvise(memory, 3 * PAGE, MADV_DONTNEED) == 0 && madvise(of_file, 3 * PAGE, MADV_DONTNEED) == 0);
    for (unsigned i = 0; i < PAGES * PAGE; i++)
        NEED(memory[i] == (i < 3 * PAGE ? 0 : 3));
    NEED(memcmp(of_file + PAGE, "file", 5) == 0 && of_file[0] == 0 && of_file[3 * PAGE] == 3);
    NEED(mprotect(memory, PAGES * PAGE, PROT_READ | PROT_WRITE) == 0);
    memory[PAGE] = 9;
    of_file[PAGE] = 'F';
    NEED(read_all() == 2 && records[0].before[0] == 0 && records[1].before[0] == 'f');
    NEED(madvise(memory, PAGES * PAGE, MADV_FREE) == 0 && memory[PAGE] == 9);
    NEED(madvise(of_file, PAGES * PAGE, MADV_FREE) == -1 && errno == EINVAL);
    NEED(madvise(memory, PAGES * PAGE, MADV_REMOVE) == -1 && errno == EINVAL);
    NEED(madvise(memory, PAGES * PAGE, MADV_WILLNEED) == 0 && madvise(memory, PAGES * PAGE, 99) == -1);
    NEED(mlock(memory + PAGE, 8) == 0 && munlock(memory + PAGE, 8) == 0);
    NEED(msync(memory, PAGES * PAGE, MS_SYNC) == 0);
    NEED(segue_watch_remove(ids[0]) == SEGUE_OK && segue_watch_remove(ids[1]) == SEGUE_OK);
    NEED(memory[PAGE] == 9 && memcmp(of_file + PAGE, "File", 5) == 0);
    /* It is the file's mapping again. */
    NEED(madvise(of_file, PAGES * PAGE, MADV_DONTNEED) == 0 && memcmp(of_file + PAGE, "file", 5) == 0);
    return 0;
}

/* Afterwards the mappings are what they were: in one piece, of their files, with their advice. */
static int mappings_are_as_before(void)
{
    static char before[1 << 16], after[1 << 16];
    prepare();
    int file = open("/proc/self/exe", O_RDONLY);
    char *memory = map(64), *of_file = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
    memset(memory + 16 * PAGE, 1, 32 * PAGE);
    NEED(madvise(memory, 64 * PAGE, MADV_NOHUGEPAGE) == 0 && madvise(of_file, 2 * PAGE, MADV_DONTDUMP) == 0);
    NEED(mprotect(memory + 40 * PAGE, PAGE, PROT_NONE) == 0);
    for (unsigned round = 0; round < 3; round++) {
        describe(memory, memory + 64 * PAGE, before, sizeof before);
        describe(of_file, of_file + 4 * PAGE, before + strlen(before), 4096);
        uint64_t ids[4];
        const struct segue_watch watches[] = {
            {.address = memory + 20 * PAGE, .size = 8, .flags = SEGUE_WATCH_WRITE},
            {.address = memory + 2 * PAGE, .size = 5 * PAGE, .flags = SEGUE_WATCH_WRITE},
            {.address = memory + 39 * PAGE, .size = 3 * PAGE, .flags = SEGUE_WATCH_WRITE},
            {.address = of_file + PAGE, .size = 2 * PAGE, .flags = SEGUE_WATCH_WRITE},
        };
        NEED(segue_watch_add(watches, 4, ids) == SEGUE_OK);
        memory[20 * PAGE] = memory[3 * PAGE] = 2;
        of_file[PAGE + 1] = 3;
        for (unsigned i = 0; i < 4; i++)
            NEED(segue_watch_remove(ids[i]) == SEGUE_OK);
        describe(memory, memory + 64 * PAGE, after, sizeof after);
        describe(of_file, of_file + 4 * PAGE, after + strlen(after), 4096);
        if (strcmp(before, after) != 0)
            dprintf(2, "%s\n%s", before, after);
        NEED(strcmp(before, after) == 0);
        NEED(memory[20 * PAGE] == 2 && memory[21 * PAGE] == 1 && memory[3 * PAGE] == 2 && of_file[PAGE + 1] == 3);
    }
    /* One mapping, as far as the system is concerned. */
    NEED(mremap(memory, 40 * PAGE, 128 * PAGE, MREMAP_MAYMOVE) != MAP_FAILED);
    return 0;
}

/* ---- threads ---- */

/* Records that a thread makes before they are read, at most: it would wait for a place where the queue is full, and the
 * one who reads would then wait for the thread. */
#define UNREAD 16384

static char *busy;
static volatile bool is_over;
static volatile size_t records_read;

static void *count(void *result)
{
    long done = 0;
    for (; !is_over || done < 100; done++) {
        volatile long *watched = (volatile long *)(busy + 3 * PAGE), *beside = watched + 8;
        while (3 * (size_t)done > records_read + UNREAD && !is_over)
            sched_yield();
        *beside += 1;
        __atomic_fetch_add(watched, 1, __ATOMIC_RELAXED);
        *beside -= 1;
    }
    *(long *)result = done;
    return NULL;
}

static long read_counted(void)
{
    long counted = 0;
    const size_t all = read_all();
    for (size_t i = 0; i < all; i++)
        counted += records[i].address == (uint64_t)(uintptr_t)busy + 3 * PAGE;
    records_read += all;
    return counted;
}

/* Of a region whose pages go one by one, no access to another page is missed. */
static int threads_go_on(void)
{
    pthread_t thread;
    long done, seen = 0;
    prepare();
    for (int round = 0; round < 4; round++) {
        uint64_t id;
        int pipes[2];
        is_over = false;
        records_read = 0;
        busy = map(PAGES);
        NEED(pipe(pipes) == 0);
        const struct segue_watch watch = {
            .address = busy, .size = PAGES * PAGE - 4000, .flags = SEGUE_WATCH_WRITE | SEGUE_WATCH_WAIT};
        if (segue_watch_add(&watch, 1, &id) != SEGUE_OK)
            fail_msg("%s", segue_reason());
        NEED(pthread_create(&thread, NULL, count, &done) == 0);
        for (unsigned page = 0; page < 3; page++) {
            for (int i = 0; i < 50; i++) {
                NEED(write(pipes[1], "x", 1) == 1 && read(pipes[0], busy + 3 * PAGE + 500, 1) == 1);
                seen += read_counted();
            }
            NEED(munmap(busy + page * PAGE, PAGE) == 0);
        }
        is_over = true;
        pthread_join(thread, NULL);
        for (size_t before = 0; before != records_read;) {
            before = records_read;
            seen += read_counted();
        }
        NEED(*(long *)(busy + 3 * PAGE) == done);
        NEED(seen == done);
        seen = 0;
        NEED(segue_watch_remove(id) == SEGUE_OK);
        NEED(*(long *)(busy + 3 * PAGE) == done);
    }
    return 0;
}

/* At each depth, down to a stack's end below which another one begins, unmaps a page. How many pages are gone. */
static unsigned unmap_at_each_depth(const char *end, unsigned depth, unsigned *refused)
{
    volatile char room[2048];
    unsigned gone = 0;
    room[0] = 1;
    /* Clang would keep the one byte that is used. */
    __asm__ volatile("" : : "r"(room) : "memory");
    if ((const char *)__builtin_frame_address(0) - end > 3 * (long)sizeof room)
        gone = unmap_at_each_depth(end, depth + 1, refused);
    if (munmap(busy + depth * PAGE, PAGE) == 0)
        return gone + (unsigned)room[0];
    *refused += errno == ENOMEM;
    return gone;
}

static void *descend(void *end)
{
    unsigned refused = 0;
    if (segue_thread_attach() != SEGUE_OK)
        return end;
    unsigned gone = unmap_at_each_depth(end, 0, &refused);
    segue_thread_detach();
    return gone > 1 && refused > 1 ? NULL : end;
}

static int a_stack_may_end(void)
{
    enum { STACK = 1 << 16 };
    void *wrong;
    pthread_t thread;
    pthread_attr_t attributes;
    prepare();
    busy = map(STACK / 2048);
    char *end = map(2 * STACK / PAGE) + STACK;
    uint64_t id = begin(busy, STACK / 2048 * PAGE, SEGUE_WATCH_WRITE);
    NEED(mprotect(end - PAGE, PAGE, PROT_NONE) == 0 && pthread_attr_init(&attributes) == 0);
    NEED(pthread_attr_setstack(&attributes, end, STACK) == 0);
    NEED(pthread_create(&thread, &attributes, descend, end) == 0 && pthread_join(thread, &wrong) == 0 && !wrong);
    NEED(segue_watch_remove(id) == SEGUE_OK);
    return 0;
}

static int children_change_their_own(void)
{
    prepare();
    char *memory = map(PAGES);
    memory[PAGE] = 1;
    uint64_t id = begin(memory + PAGE, 8, SEGUE_WATCH_WRITE);
    pid_t child = fork();
    if (child == 0) {
        bool works = mprotect(memory + PAGE, PAGE, PROT_READ) == 0 && memory[PAGE] == 1 &&
                     madvise(memory, PAGES * PAGE, MADV_DONTNEED) == 0 && memory[PAGE] == 0 &&
                     munmap(memory, PAGES * PAGE) == 0;
        _exit(works ? 0 : 1);
    }
    int status;
    NEED(waitpid(child, &status, 0) == child && status == 0);
    NEED(read_all() == 1 && records[0].kind == SEGUE_WATCH_ENDED && records[0].process == (uint32_t)child);
    memory[PAGE]++;
    NEED(memory[PAGE] == 2 && read_all() == 1 && records[0].before[0] == 1);
    NEED(segue_watch_remove(id) == SEGUE_OK && munmap(memory, PAGES * PAGE) == 0);
    return 0;
}

#define EACH_CASE(X)                                                                                                   \
    X(protections_are_the_programs)                                                                                    \
    X(code_is_not_watched)                                                                                             \
    X(pages_are_unmapped)                                                                                              \
    X(pages_are_replaced)                                                                                              \
    X(the_break_shrinks)                                                                                               \
    X(pages_move)                                                                                                      \
    X(untouched_pages_move)                                                                                            \
    X(many_ranges_move)                                                                                                \
    X(blocks_of_the_heap)                                                                                              \
    X(contents_are_dropped)                                                                                            \
    X(mappings_are_as_before)                                                                                          \
    X(threads_go_on)                                                                                                   \
    X(a_stack_may_end)                                                                                                 \
    X(children_change_their_own)

CASES_MAIN(EACH_CASE)
