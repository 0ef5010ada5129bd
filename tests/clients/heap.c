/* heap.c: memory for a heap, as a collector's author uses it: reserved, committed and given back; what a child has of
 * it. */
#include "tests/support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <segue/segue.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE ((size_t)4096)
#define GUARD ((size_t)65536)
#define MIB ((size_t)1 << 20)
#define GIB ((size_t)1 << 30)

static struct segue_mapping make(struct segue_mapping_options options)
{
    struct segue_mapping mapping;
    if (segue_mapping_create_with(&options, &mapping) != SEGUE_OK)
        fail_msg("%s", segue_reason());
    return mapping;
}

/* The exit status of `run` in a child. */
static int in_child(int (*run)(struct segue_mapping *), struct segue_mapping *mapping)
{
    int status;
    pid_t child = fork();
    if (child == 0)
        _exit(run(mapping));
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

/* The kernel's figure in kilobytes for the mapping that begins at `address`, or -1; or whether it has that flag. */
static long of_mapping(const void *address, const char *name, const char *flag)
{
    char line[512];
    long found = -1;
    bool here = false;
    FILE *maps = fopen("/proc/self/smaps", "r");
    while (fgets(line, sizeof line, maps)) {
        unsigned long start, end;
        if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
            here = (uintptr_t)address >= start && (uintptr_t)address < end;
        if (here && strncmp(line, name, strlen(name)) == 0)
            found = flag ? strstr(line, flag) != NULL : atol(line + strlen(name));
    }
    fclose(maps);
    return found;
}

static int read_first(struct segue_mapping *mapping)
{
    signal(SIGSEGV, SIG_DFL);
    return *(volatile char *)mapping->memory;
}

static int read_alias(struct segue_mapping *mapping)
{
    signal(SIGSEGV, SIG_DFL);
    return *(volatile char *)mapping->alias;
}

/* ---- reserve, commit, decommit ---- */

static void reserved_pages_are_committed_and_given_back(void **state)
{
    struct segue_mapping heap = make(
        (struct segue_mapping_options){.size = 64 * MIB, .flags = SEGUE_MAPPING_RESERVE, .fork = SEGUE_FORK_SHARE});
    (void)state;
    assert_int_equal(in_child(read_first, &heap), -SIGSEGV);
    assert_int_equal(in_child(read_alias, &heap), -SIGSEGV);
    assert_int_equal(segue_mapping_commit(&heap, 16 * MIB, 8 * MIB), SEGUE_OK);
    char *at = (char *)heap.memory + 16 * MIB;
    memset(at, 7, 8 * MIB);
    assert_int_equal(((char *)heap.alias)[20 * MIB], 7);
    assert_int_equal(of_mapping(at, "Rss:", NULL), 8 * 1024);
    /* Committed again they are what they were. */
    assert_int_equal(segue_mapping_commit(&heap, 16 * MIB, 16 * MIB), SEGUE_OK);
    assert_int_equal(at[PAGE], 7);
    assert_int_equal(segue_mapping_decommit(&heap, 16 * MIB, 8 * MIB), SEGUE_OK);
    assert_int_equal(of_mapping(at, "Rss:", NULL), 0);
    assert_int_equal(segue_mapping_commit(&heap, 16 * MIB, 8 * MIB), SEGUE_OK);
    assert_int_equal(at[PAGE], 0);
    /* What was never committed may be given back, too. */
    assert_int_equal(segue_mapping_decommit(&heap, 0, heap.size), SEGUE_OK);
    assert_int_equal(in_child(read_first, &heap), -SIGSEGV);
    segue_mapping_destroy(&heap);
}

/* The memory really goes back: of both views, and of the process. */
static void decommitted_memory_is_free(void **state)
{
    struct segue_mapping heap = make((struct segue_mapping_options){.size = 16 * MIB});
    (void)state;
    memset(heap.memory, 1, heap.size);
    memset(heap.alias, 1, heap.size);
    assert_int_equal(of_mapping(heap.memory, "Pss:", NULL), 8 * 1024);
    assert_int_equal(of_mapping(heap.alias, "Rss:", NULL), 16 * 1024);
    assert_int_equal(segue_mapping_decommit(&heap, 0, heap.size), SEGUE_OK);
    assert_int_equal(of_mapping(heap.memory, "Rss:", NULL), 0);
    assert_int_equal(of_mapping(heap.alias, "Rss:", NULL), 0);
    segue_mapping_destroy(&heap);
}

static void what_cannot_be_is_refused_by_name(void **state)
{
    struct segue_mapping mapping;
    static const struct segue_mapping_options wrong[] = {
        {.size = 0},
        {.size = PAGE, .flags = 32},
        {.size = PAGE, .fork = 3},
        {.size = PAGE, .alignment = 3 * PAGE},
        {.size = PAGE, .alignment = 512},
        {.size = PAGE, .at = (void *)(0x500000000000 + PAGE), .alignment = 2 * PAGE},
        {.size = PAGE, .name = "a name that is much longer than any"},
        {.size = PAGE, .reserved = {[5] = 1}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(segue_mapping_create_with(&wrong[i], &mapping), SEGUE_INVALID);
        assert_string_not_equal(segue_reason(), "");
    }
    assert_int_equal(segue_mapping_create_with(NULL, &mapping), SEGUE_INVALID);
    assert_int_equal(segue_mapping_create_with(&wrong[0], NULL), SEGUE_INVALID);
    struct segue_mapping_options options = {.size = 3 * GIB, .flags = SEGUE_MAPPING_NEAR};
    assert_int_equal(segue_mapping_create_with(&options, &mapping), SEGUE_UNSUPPORTED);
    struct segue_mapping heap = make((struct segue_mapping_options){.size = PAGE});
    assert_int_equal(segue_mapping_commit(&heap, 0, 2 * PAGE), SEGUE_INVALID);
    assert_int_equal(segue_mapping_commit(&heap, 1, PAGE - 1), SEGUE_INVALID);
    assert_int_equal(segue_mapping_decommit(NULL, 0, PAGE), SEGUE_INVALID);
    assert_int_equal(segue_mapping_decommit(&heap, 0, 0), SEGUE_OK);
    segue_mapping_destroy(&heap);
}

/* ---- where ---- */

static void is_aligned_and_near(const struct segue_mapping *heap, size_t alignment)
{
    intptr_t distance = (char *)heap->alias - (char *)heap->memory;
    assert_int_equal((uintptr_t)heap->memory % alignment, 0);
    assert_int_equal((uintptr_t)heap->alias % alignment, 0);
    assert_in_range(llabs(distance), heap->size, 0x7fffffff);
}

static void both_views_are_aligned(void **state)
{
    char *at = (char *)0x500000000000;
    (void)state;
    for (size_t alignment = PAGE; alignment <= 256 * MIB; alignment *= 4) {
        struct segue_mapping heap =
            make((struct segue_mapping_options){.size = 5 * PAGE, .alignment = alignment, .flags = SEGUE_MAPPING_NEAR});
        is_aligned_and_near(&heap, alignment);
        segue_mapping_destroy(&heap);
        heap = make((struct segue_mapping_options){
            .size = 5 * PAGE, .at = at, .alignment = alignment, .flags = SEGUE_MAPPING_NEAR});
        assert_ptr_equal(heap.memory, at);
        is_aligned_and_near(&heap, alignment);
        segue_mapping_destroy(&heap);
    }
}

static size_t mappings(void)
{
    char line[512];
    size_t count = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (fgets(line, sizeof line, maps))
        count++;
    fclose(maps);
    return count;
}

static size_t descriptors(void)
{
    size_t count = 0;
    for (int i = 0; i < 1024; i++)
        count += fcntl(i, F_GETFD) >= 0;
    return count;
}

static void destruction_leaves_nothing(void **state)
{
    (void)state;
    struct segue_mapping heap = make((struct segue_mapping_options){.size = PAGE});
    segue_mapping_destroy(&heap);
    size_t before = mappings(), open_before = descriptors();
    for (uint32_t i = 0; i < 30; i++) {
        heap = make((struct segue_mapping_options){.size = 5 * PAGE,
                                                   .at = i % 2 ? (void *)0x500000000000 : NULL,
                                                   .alignment = 16 * PAGE,
                                                   .flags = i & 3,
                                                   .fork = i % 3});
        segue_mapping_destroy(&heap);
    }
    assert_int_equal(mappings(), before);
    assert_int_equal(descriptors(), open_before);
}

static void core_holds_what_is_asked_for(void **state)
{
    static const struct {
        uint32_t flags;
        bool memory, alias;
    } rows[] = {{0, true, false}, {SEGUE_MAPPING_DUMP_ALIAS, true, true}, {SEGUE_MAPPING_NO_DUMP, false, false}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct segue_mapping heap = make((struct segue_mapping_options){.size = PAGE, .flags = rows[i].flags});
        assert_int_equal(of_mapping(heap.memory, "VmFlags:", " dd"), !rows[i].memory);
        assert_int_equal(of_mapping(heap.alias, "VmFlags:", " dd"), !rows[i].alias);
        segue_mapping_destroy(&heap);
    }
}

static bool kernel_has_huge_pages(void)
{
    char text[128] = "[never]";
    FILE *file = fopen("/sys/kernel/mm/transparent_hugepage/shmem_enabled", "r");
    if (file && !fgets(text, sizeof text, file))
        text[0] = 0;
    if (file)
        fclose(file);
    return !strstr(text, "[never]") && !strstr(text, "[deny]");
}

static void huge_pages_are_had_or_refused(void **state)
{
    const struct segue_mapping_options options = {.size = 8 * MIB, .flags = SEGUE_MAPPING_HUGE};
    struct segue_mapping heap;
    (void)state;
    if (!kernel_has_huge_pages()) {
        assert_int_equal(segue_mapping_create_with(&options, &heap), SEGUE_UNSUPPORTED);
        assert_non_null(strstr(segue_reason(), "shmem_enabled"));
        return;
    }
    assert_int_equal(segue_mapping_create_with(&options, &heap), SEGUE_OK);
    is_aligned_and_near(&heap, 2 * MIB);
    memset(heap.memory, 1, heap.size);
    assert_true(of_mapping(heap.memory, "ShmemPmdMapped:", NULL) > 0);
    segue_mapping_destroy(&heap);
}

/* ---- limits ---- */

static int fill_beyond_limit(struct segue_mapping *unused)
{
    struct rlimit limit = {64 * 1024, RLIM_INFINITY}, found;
    (void)unused;
    signal(SIGXFSZ, SIG_DFL);
    setrlimit(RLIMIT_FSIZE, &limit);
    for (uint32_t fork = SEGUE_FORK_COPY; fork <= SEGUE_FORK_NONE; fork++) {
        struct segue_mapping_options options = {.size = 16 * MIB, .fork = fork};
        struct segue_mapping heap;
        if (segue_mapping_create_with(&options, &heap) != SEGUE_OK)
            return 1;
        memset(heap.memory, 5, heap.size);
        if (in_child(read_first, &heap) != (fork == SEGUE_FORK_NONE ? -SIGSEGV : 5))
            return 2;
    }
    getrlimit(RLIMIT_FSIZE, &found);
    return found.rlim_cur == limit.rlim_cur ? 0 : 3;
}

/* Not even by the hard limit, unless a copy needs a file. */
static int fill_beyond_hard_limit(struct segue_mapping *unused)
{
    struct rlimit limit = {64 * 1024, 64 * 1024};
    struct segue_mapping heap;
    (void)unused;
    signal(SIGXFSZ, SIG_DFL);
    setrlimit(RLIMIT_FSIZE, &limit);
    struct segue_mapping_options options = {.size = 16 * MIB, .fork = SEGUE_FORK_SHARE};
    if (segue_mapping_create_with(&options, &heap) != SEGUE_OK)
        return 1;
    memset(heap.memory, 5, heap.size);
    options.fork = SEGUE_FORK_COPY;
    if (segue_mapping_create_with(&options, &heap) != SEGUE_UNSUPPORTED || !strstr(segue_reason(), "limit"))
        return 2;
    return 0;
}

static void limit_on_files_does_not_limit_a_heap(void **state)
{
    (void)state;
    assert_int_equal(in_child(fill_beyond_limit, NULL), 0);
    assert_int_equal(in_child(fill_beyond_hard_limit, NULL), 0);
}

static void large_heaps_are_only_addresses(void **state)
{
    struct segue_mapping heap = make((struct segue_mapping_options){.size = 64 * GIB, .flags = SEGUE_MAPPING_RESERVE});
    (void)state;
    assert_int_equal(segue_mapping_commit(&heap, 63 * GIB, PAGE), SEGUE_OK);
    ((char *)heap.memory)[63 * GIB] = 9;
    assert_int_equal(((char *)heap.alias)[63 * GIB], 9);
    segue_mapping_destroy(&heap);
}

/* ---- children ---- */

static int change_copy(struct segue_mapping *heap)
{
    volatile char *memory = heap->memory, *alias = heap->alias;
    signal(SIGSEGV, SIG_DFL);
    if (memory[0] != 1 || memory[8 * MIB] != 2 || memory[4 * MIB] != 0)
        return 1;
    memory[0] = 77;
    alias[8 * MIB] = 78;
    return alias[0] == 77 && memory[8 * MIB] == 78 ? 0 : 2;
}

static void child_has_a_copy_of_its_own(void **state)
{
    struct segue_mapping heap = make((struct segue_mapping_options){.size = 16 * MIB});
    volatile char *memory = heap.memory;
    (void)state;
    memory[0] = 1;
    memory[8 * MIB] = 2;
    for (int i = 0; i < 3; i++)
        assert_int_equal(in_child(change_copy, &heap), 0);
    assert_int_equal(memory[0], 1);
    assert_int_equal(memory[8 * MIB], 2);
    segue_mapping_destroy(&heap);
}

static int see_what_is_populated(struct segue_mapping *heap)
{
    /* 64 KiB were written; the kernel counts a view that was read in a copy only then. */
    for (size_t i = 0; i < 16; i++)
        if (((volatile char *)heap->memory)[i * MIB] != 3)
            return 1;
    return of_mapping(heap->memory, "Rss:", NULL) == 64 && of_mapping(heap->alias, "Rss:", NULL) == 0 ? 0 : 2;
}

static void only_what_is_populated_is_copied(void **state)
{
    struct segue_mapping heap = make((struct segue_mapping_options){.size = 64 * GIB});
    (void)state;
    for (size_t i = 0; i < 16; i++)
        ((char *)heap.memory)[i * MIB] = 3;
    assert_int_equal(in_child(see_what_is_populated, &heap), 0);
    segue_mapping_destroy(&heap);
}

static int protection_is_the_parents(struct segue_mapping *heap)
{
    struct segue_mapping at = *heap;
    if (((volatile char *)heap->memory)[PAGE] != 4 || ((volatile char *)heap->alias)[0] != 4)
        return 1;
    if (of_mapping(heap->alias, "VmFlags:", " dd") != 1)
        return 2;
    if (in_child(read_first, &at) != -SIGSEGV)
        return 3;
    at.memory = (char *)heap->memory + PAGE;
    if (in_child(read_first, &at) != 4)
        return 4;
    /* A child's child has a copy of the child's. */
    ((volatile char *)heap->alias)[PAGE] = 5;
    return in_child(read_first, &at) == 5 ? 0 : 5;
}

static void protection_is_copied_with_the_memory(void **state)
{
    struct segue_mapping heap = make((struct segue_mapping_options){.size = 64 * PAGE});
    (void)state;
    memset(heap.memory, 4, heap.size);
    for (size_t page = 0; page < 64; page += 2)
        assert_int_equal(segue_mapping_protect(&heap, page * PAGE, PAGE, 0), SEGUE_OK);
    assert_int_equal(in_child(protection_is_the_parents, &heap), 0);
    segue_mapping_destroy(&heap);
}

static int step_in_the_copy(struct segue_mapping *heap)
{
    volatile uint64_t *word = heap->memory;
    struct segue_counters before, after;
    segue_counters_read(&before);
    *word += 1;
    segue_counters_read(&after);
    return *(uint64_t *)heap->alias == 42 && after.stepped > before.stepped ? 0 : 1;
}

static void region_of_a_copy_is_stepped(void **state)
{
    struct segue_mapping heap = make((struct segue_mapping_options){.size = PAGE});
    const struct segue_region region = {.window = segue_mapping_window(&heap)};
    (void)state;
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    *(uint64_t *)heap.memory = 41;
    assert_int_equal(segue_region_add(&region), SEGUE_OK);
    assert_int_equal(segue_mapping_protect(&heap, 0, heap.size, 0), SEGUE_OK);
    assert_int_equal(in_child(step_in_the_copy, &heap), 0);
    assert_int_equal(*(uint64_t *)heap.alias, 41);
    assert_int_equal(segue_mapping_protect(&heap, 0, heap.size, SEGUE_READ | SEGUE_WRITE), SEGUE_OK);
    assert_int_equal(segue_region_remove(heap.memory), SEGUE_OK);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
    segue_mapping_destroy(&heap);
}

static int store_for_the_parent(struct segue_mapping *heap)
{
    *(volatile char *)heap->memory = 9;
    return 0;
}

static void child_shares_or_has_nothing_where_asked(void **state)
{
    struct segue_mapping shared = make((struct segue_mapping_options){.size = PAGE, .fork = SEGUE_FORK_SHARE});
    struct segue_mapping none = make((struct segue_mapping_options){.size = PAGE, .fork = SEGUE_FORK_NONE});
    (void)state;
    *(char *)none.memory = 1;
    assert_int_equal(in_child(store_for_the_parent, &shared), 0);
    assert_int_equal(*(char *)shared.memory, 9);
    assert_int_equal(in_child(read_first, &none), -SIGSEGV);
    assert_int_equal(in_child(read_alias, &none), -SIGSEGV);
    assert_int_equal(*(char *)none.alias, 1);
    segue_mapping_destroy(&shared);
    segue_mapping_destroy(&none);
}

/* A program that closes what it does not know (daemons) loses the copy, and nothing else. */
static int fork_after_closing_all(struct segue_mapping *heap)
{
    for (int i = 3; i < 4096; i++)
        close(i);
    return in_child(read_first, heap) == -SIGSEGV && *(char *)heap->memory == 6 ? 0 : 1;
}

static void lost_descriptor_leaves_the_child_without_access(void **state)
{
    struct segue_mapping heap = make((struct segue_mapping_options){.size = PAGE});
    (void)state;
    *(char *)heap.memory = 6;
    assert_int_equal(in_child(fork_after_closing_all, &heap), 0);
    segue_mapping_destroy(&heap);
}

/* ---- a server that forks ---- */

#define REQUESTS 24
#define CELLS 4096u

/* A table in the heap. A child serves one request with changes of its own, while the parent goes on with its. */
static uint64_t sum(const uint64_t *table)
{
    uint64_t total = 0;
    for (size_t i = 0; i < CELLS; i++)
        total = total * 31 + table[i];
    return total;
}

static int serve(int connection, uint64_t *table)
{
    uint64_t answer[2], factor;
    if (read(connection, &factor, sizeof factor) != sizeof factor)
        return 1;
    answer[0] = sum(table);
    for (size_t i = 0; i < CELLS; i++)
        table[i] *= factor;
    answer[1] = sum(table);
    return write(connection, answer, sizeof answer) == sizeof answer ? 0 : 2;
}

static void forking_server_gives_each_child_the_heap_as_it_was(void **state)
{
    struct segue_mapping heap = make((struct segue_mapping_options){.size = CELLS * sizeof(uint64_t) + 64 * MIB});
    uint64_t *table = heap.memory, expected[REQUESTS][2];
    int connections[REQUESTS];
    pid_t children[REQUESTS];
    (void)state;
    for (size_t i = 0; i < CELLS; i++)
        table[i] = i;
    for (uint64_t i = 0; i < REQUESTS; i++) {
        int ends[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
        expected[i][0] = sum(table);
        children[i] = fork();
        if (children[i] == 0)
            _exit(serve(ends[1], table));
        close(ends[1]);
        connections[i] = ends[0];
        /* The parent goes on before the child has read anything. */
        for (size_t k = 0; k < CELLS; k++)
            table[k] += i;
    }
    for (uint64_t i = 0; i < REQUESTS; i++) {
        uint64_t factor = i + 2, answer[2];
        int status;
        assert_int_equal(write(connections[i], &factor, sizeof factor), sizeof factor);
        assert_int_equal(read(connections[i], answer, sizeof answer), sizeof answer);
        assert_true(answer[0] == expected[i][0]);
        assert_true(answer[1] == expected[i][0] * factor);
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
        close(connections[i]);
    }
    segue_mapping_destroy(&heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reserved_pages_are_committed_and_given_back),
        cmocka_unit_test(decommitted_memory_is_free),
        cmocka_unit_test(what_cannot_be_is_refused_by_name),
        cmocka_unit_test(both_views_are_aligned),
        cmocka_unit_test(destruction_leaves_nothing),
        cmocka_unit_test(core_holds_what_is_asked_for),
        cmocka_unit_test(huge_pages_are_had_or_refused),
        cmocka_unit_test(limit_on_files_does_not_limit_a_heap),
        cmocka_unit_test(large_heaps_are_only_addresses),
        cmocka_unit_test(child_has_a_copy_of_its_own),
        cmocka_unit_test(only_what_is_populated_is_copied),
        cmocka_unit_test(protection_is_copied_with_the_memory),
        cmocka_unit_test(region_of_a_copy_is_stepped),
        cmocka_unit_test(child_shares_or_has_nothing_where_asked),
        cmocka_unit_test(lost_descriptor_leaves_the_child_without_access),
        cmocka_unit_test(forking_server_gives_each_child_the_heap_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
