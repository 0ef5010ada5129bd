/* mappings.c: the list of the process's mappings says what the test has mapped, whatever the size of the pieces that it
 * is read by. */
#include "tests/support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/memory/mappings.h"
#include "platform/memory/memory.h"

#define PAGE 4096u
#define MOST 512

static uint64_t address_of(const volatile void *at)
{
    return (uint64_t)(uintptr_t)at;
}

/* Three pages of addresses, the middle one mapped as asked. */
static char *map_middle(int protection, int flags, int file, off_t offset)
{
    char *room = mmap(NULL, 3 * (size_t)PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(room, MAP_FAILED);
    char *middle = mmap(room + PAGE, PAGE, protection, flags | MAP_FIXED, file, offset);
    assert_ptr_not_equal(middle, MAP_FAILED);
    return middle;
}

static void unmap_middle(char *middle)
{
    munmap(middle - PAGE, 3 * (size_t)PAGE);
}

static struct mapping find(const volatile void *at)
{
    struct mapping mapping;
    assert_true(mappings_find(address_of(at), &mapping));
    return mapping;
}

static void mapping_has_its_range_and_protection(void **state)
{
    (void)state;
    char *page = map_middle(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct mapping mapping = find(page + PAGE - 1);
    assert_true(mapping.start == address_of(page) && mapping.end == address_of(page) + PAGE);
    assert_int_equal(mapping.protection, PLATFORM_READ | PLATFORM_WRITE);
    assert_false(mapping.is_shared);
    assert_true(mapping.file == 0 && mapping.growth == MAPPING_KEEPS_ITS_SIZE);
    mprotect(page, PAGE, PROT_READ | PROT_EXEC);
    assert_int_equal(find(page).protection, PLATFORM_READ | PLATFORM_EXECUTE);
    unmap_middle(page);
}

static void unmapped_address_is_not_found(void **state)
{
    (void)state;
    struct mapping mapping;
    char *page = map_middle(PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(page, PAGE);
    assert_false(mappings_find(address_of(page), &mapping));
    unmap_middle(page);
}

static void mapping_of_a_file_has_its_identity_and_offset(void **state)
{
    (void)state;
    int files[2] = {memfd_create("one", MFD_CLOEXEC), memfd_create("other", MFD_CLOEXEC)};
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(ftruncate(files[i], 2 * (off_t)PAGE), 0);
    char *shared = map_middle(PROT_READ, MAP_SHARED, files[0], PAGE);
    char *private = map_middle(PROT_READ, MAP_PRIVATE, files[0], 0);
    char *other = map_middle(PROT_READ, MAP_PRIVATE, files[1], 0);
    assert_true(find(shared).is_shared && find(shared).offset == PAGE);
    assert_true(!find(private).is_shared && find(private).offset == 0);
    assert_true(find(shared).file != 0 && find(shared).file == find(private).file);
    assert_true(find(other).file != 0 && find(other).file != find(shared).file);
    assert_true(mappings_file_of(files[0]) == find(shared).file && mappings_file_of(files[1]) == find(other).file);
    assert_true(mappings_file_of(-1) == 0);
    unmap_middle(shared);
    unmap_middle(private);
    unmap_middle(other);
    close(files[0]);
    close(files[1]);
}

/* At a path: also one that is no longer the program's, a pipe without a writer, and a file that cannot be mapped
 * for reading. */
static void file_at_a_path_is_that_of_its_mappings(void **state)
{
    (void)state;
    char path[] = "/tmp/mappings-XXXXXX", line[64];
    const int file = mkstemp(path), writer = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(file >= 0 && writer >= 0 && ftruncate(file, (off_t)PAGE) == 0);
    char *page = map_middle(PROT_READ, MAP_SHARED, file, 0);
    assert_true(find(page).file != 0);
    assert_true(mappings_file_at(path) == find(page).file);
    assert_true(mappings_file_of(writer) != 0);
    assert_int_equal(unlink(path), 0);
    assert_true(mappings_file_at(path) == 0);
    snprintf(line, sizeof line, "/proc/self/fd/%d", file);
    assert_true(mappings_file_at(line) == find(page).file);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_true(mappings_file_at(path) != 0 && mappings_file_at(path) != find(page).file);
    assert_int_equal(unlink(path), 0);
    unmap_middle(page);
    close(file);
    close(writer);
}

static void heap_and_first_stack_are_known_to_grow(void **state)
{
    (void)state;
    volatile char here = 0;
    const char *end = sbrk((intptr_t)PAGE);
    assert_true(end != (void *)-1);
    assert_int_equal(find(end).growth, MAPPING_IS_HEAP);
    assert_int_equal(find(&here).growth, MAPPING_IS_STACK);
}

static size_t read_all(size_t size, struct mapping *all)
{
    static char piece[16384];
    struct mappings mappings;
    size_t count = 0;
    assert_true(size <= sizeof piece && mappings_open(&mappings, piece, size));
    while (count < MOST && mappings_next(&mappings, &all[count]))
        count++;
    mappings_close(&mappings);
    return count;
}

/* By bytes, by pieces that end inside lines, and by a piece that holds many lines. */
static void list_is_the_same_by_any_pieces(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 7, 256, 16384};
    static struct mapping first[MOST], again[MOST];
    memset(first, 0, sizeof first);
    size_t count = read_all(4096, first);
    assert_true(count > 5 && count < MOST);
    for (size_t i = 1; i < count; i++)
        assert_true(first[i - 1].end <= first[i].start && first[i].start < first[i].end);
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        memset(again, 0, sizeof again);
        assert_int_equal(read_all(sizes[i], again), count);
        assert_memory_equal(again, first, sizeof first);
    }
}

static bool is_same(const struct mapping *one, const struct mapping *other)
{
    return one->start == other->start && one->end == other->end && one->offset == other->offset &&
           one->file == other->file && one->protection == other->protection && one->is_shared == other->is_shared &&
           one->growth == other->growth;
}

static void one_mapping_is_found_as_it_is_listed(void **state)
{
    (void)state;
    static struct mapping all[MOST];
    struct mapping found;
    char *room = map_middle(PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    size_t count = read_all(4096, all);
    assert_true(count > 10 && count < MOST);
    for (size_t i = 0; i + 1 < count; i++) {
        assert_true(mappings_find(all[i].start, &found) && is_same(&found, &all[i]));
        assert_true(mappings_find(all[i].end - 1, &found) && is_same(&found, &all[i]));
        if (all[i].end < all[i + 1].start)
            assert_false(mappings_find(all[i].end, &found));
    }
    unmap_middle(room);
}

/* ---- the list stays open ---- */

static unsigned open_lists(void)
{
    char path[64], target[256];
    unsigned count = 0;
    for (int i = 0; i < 1024; i++) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", i);
        ssize_t size = readlink(path, target, sizeof target - 1);
        target[size > 0 ? size : 0] = 0;
        count += strstr(target, "/maps") != NULL;
    }
    return count;
}

/* Whether this kernel answers questions about one address (PROCMAP_QUERY): then it knows the empty one, too, which it
 * refuses. */
static bool kernel_answers(void)
{
    char empty[104] = {0};
    int list = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    bool answers = list >= 0 && ioctl(list, _IOWR('f', 17, char[104]), empty) != 0 && errno != ENOTTY;
    close(list);
    return answers;
}

static int kept_list(void)
{
    for (int i = 512; i < 1024; i++)
        if (fcntl(i, F_GETFD) >= 0)
            return i;
    return -1;
}

static bool is_found(char *page)
{
    struct mapping mapping;
    mprotect(page, PAGE, PROT_READ);
    bool is_closed = mappings_find(address_of(page), &mapping) && mapping.protection == PLATFORM_READ;
    mprotect(page, PAGE, PROT_READ | PROT_WRITE);
    return is_closed && find(page).protection == (PLATFORM_READ | PLATFORM_WRITE);
}

static void list_stays_open_once(void **state)
{
    (void)state;
    char *page = map_middle(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_int_equal(open_lists(), 0);
    mappings_keep_open();
    for (unsigned i = 0; i < 10; i++)
        assert_true(is_found(page));
    unsigned lists = open_lists();
    assert_int_equal(lists, kernel_answers());
    if (lists)
        assert_true(fcntl(kept_list(), F_GETFD) & FD_CLOEXEC);
    unmap_middle(page);
}

static void program_may_close_the_list_and_use_its_number(void **state)
{
    (void)state;
    char *page = map_middle(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int list = kept_list();
    if (!kernel_answers())
        skip();
    close(list);
    assert_true(is_found(page) && open_lists() == 1);
    int file = memfd_create("the program's", MFD_CLOEXEC);
    list = kept_list();
    assert_int_equal(dup2(file, list), list);
    assert_true(is_found(page));
    assert_true(fcntl(list, F_GET_SEALS) >= 0);
    /* A program that does so again and again does not take all descriptors. */
    for (unsigned i = 0; i < 100; i++) {
        for (int other = 512; other < 1024; other++)
            if (fcntl(other, F_GETFD) >= 0)
                dup2(file, other);
        assert_true(is_found(page));
    }
    assert_true(open_lists() <= 1);
    for (int other = 512; other < 1024; other++)
        close(other);
    close(file);
    unmap_middle(page);
}

/* With a list that is kept: this test comes before the one that uses up all tries. */
static void child_has_a_list_of_its_own(void **state)
{
    (void)state;
    char *page = map_middle(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(is_found(page));
    unsigned lists = open_lists();
    pid_t child = fork();
    if (child == 0) {
        bool is_apart = munmap(page, PAGE) == 0;
        struct mapping mapping;
        is_apart &= !mappings_find(address_of(page), &mapping);
        _exit(!is_apart || open_lists() != lists);
    }
    int status;
    assert_true(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    assert_true(is_found(page) && open_lists() == lists);
    unmap_middle(page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mapping_has_its_range_and_protection),
        cmocka_unit_test(unmapped_address_is_not_found),
        cmocka_unit_test(mapping_of_a_file_has_its_identity_and_offset),
        cmocka_unit_test(file_at_a_path_is_that_of_its_mappings),
        cmocka_unit_test(heap_and_first_stack_are_known_to_grow),
        cmocka_unit_test(list_is_the_same_by_any_pieces),
        cmocka_unit_test(one_mapping_is_found_as_it_is_listed),
        cmocka_unit_test(list_stays_open_once),
        cmocka_unit_test(child_has_a_list_of_its_own),
        cmocka_unit_test(program_may_close_the_list_and_use_its_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
