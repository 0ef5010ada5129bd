/* mapping.c: memory with two views: where they stand, what is around them, and what a core holds of them. */
#include "tests/support/test.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <segue/segue.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096u
#define GUARD 65536u

static sigjmp_buf back;

static void leave(int number)
{
    (void)number;
    siglongjmp(back, 1);
}

static bool faults(const volatile char *at)
{
    if (sigsetjmp(back, 1))
        return true;
    (void)*at;
    return false;
}

static void around_a_view_is_closed(const char *view, size_t size)
{
    /* cmocka's own comes in before each test. */
    signal(SIGSEGV, leave);
    assert_false(faults(view));
    assert_false(faults(view + size - 1));
    assert_true(faults(view - 1));
    assert_true(faults(view - GUARD));
    assert_true(faults(view + size));
    assert_true(faults(view + size + GUARD - 1));
}

static void neighbours_of_both_views_are_closed(void **state)
{
    struct segue_mapping mapping;
    (void)state;
    for (size_t pages = 1; pages < 600; pages = 3 * pages + 1) {
        assert_int_equal(segue_mapping_create(NULL, pages * PAGE, &mapping), SEGUE_OK);
        around_a_view_is_closed(mapping.memory, mapping.size);
        around_a_view_is_closed(mapping.alias, mapping.size);
        *(char *)mapping.memory = 1;
        assert_int_equal(*(char *)mapping.alias, 1);
        assert_int_equal(segue_mapping_destroy(&mapping), SEGUE_OK);
    }
}

static int by_value(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
    return a < b ? -1 : a > b;
}

/* Who knows one view does not know the other. */
static void distance_is_random_and_below_2_GiB(void **state)
{
    enum { COUNT = 64 };
    struct segue_mapping mapping;
    int64_t distances[COUNT];
    int above = 0, same = 0;
    (void)state;
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(segue_mapping_create(NULL, 16 * PAGE, &mapping), SEGUE_OK);
        distances[i] = (char *)mapping.alias - (char *)mapping.memory;
        assert_in_range(llabs(distances[i]), 16 * PAGE + 2 * GUARD, 1ull << 31);
        above += distances[i] > 0;
        segue_mapping_destroy(&mapping);
    }
    qsort(distances, COUNT, sizeof *distances, by_value);
    for (int i = 1; i < COUNT; i++)
        same += distances[i] == distances[i - 1];
    /* By chance less than once in 10^12 runs. */
    assert_in_range(above, 1, COUNT - 1);
    assert_in_range(same, 0, 8);
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

static void destruction_leaves_nothing_mapped(void **state)
{
    struct segue_mapping mapping;
    (void)state;
    assert_int_equal(segue_mapping_create(NULL, PAGE, &mapping), SEGUE_OK);
    segue_mapping_destroy(&mapping);
    size_t before = mappings();
    for (int i = 0; i < 20; i++) {
        void *at = i % 2 ? (void *)0x500000000000 : NULL;
        assert_int_equal(segue_mapping_create(at, 5 * PAGE, &mapping), SEGUE_OK);
        segue_mapping_destroy(&mapping);
    }
    assert_int_equal(mappings(), before);
}

/* The neighbours of a place that the caller chose are the caller's: mappings side by side make one heap. */
static void mappings_may_stand_side_by_side(void **state)
{
    char *at = (char *)(uintptr_t)(sizeof(void *) == 8 ? UINT64_C(0x500000000000) : 0x50000000);
    struct segue_mapping left, right;
    (void)state;
    assert_int_equal(segue_mapping_create(at, 4 * PAGE, &left), SEGUE_OK);
    assert_int_equal(segue_mapping_create(at + 4 * PAGE, 4 * PAGE, &right), SEGUE_OK);
    assert_ptr_equal(right.memory, at + 4 * PAGE);
    around_a_view_is_closed(left.alias, left.size);
    around_a_view_is_closed(right.alias, right.size);
    segue_mapping_destroy(&left);
    at[4 * PAGE] = 1;
    assert_int_equal(*(char *)right.alias, 1);
    segue_mapping_destroy(&right);
}

/* Whether the kernel leaves the mapping at `address` out of a core. */
static bool is_left_out(const void *address)
{
    char line[512];
    bool here = false, left_out = false;
    FILE *maps = fopen("/proc/self/smaps", "r");
    while (fgets(line, sizeof line, maps)) {
        unsigned long start, end;
        if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
            here = (uintptr_t)address >= start && (uintptr_t)address < end;
        if (here && strncmp(line, "VmFlags:", 8) == 0)
            left_out = strstr(line, " dd") != NULL;
    }
    fclose(maps);
    return left_out;
}

static void core_holds_the_memory_once(void **state)
{
    struct segue_mapping mapping;
    (void)state;
    assert_int_equal(segue_mapping_create(NULL, PAGE, &mapping), SEGUE_OK);
    assert_true(is_left_out(mapping.alias));
    assert_false(is_left_out(mapping.memory));
    segue_mapping_destroy(&mapping);
}

/* Two views, and no room for a random distance nor for much else. */
static void little_room_is_enough(void **state)
{
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        struct rlimit limit = {96u << 20, 96u << 20};
        struct segue_mapping mapping;
        setrlimit(RLIMIT_AS, &limit);
        if (segue_mapping_create(NULL, 16u << 20, &mapping) != SEGUE_OK)
            _exit(1);
        memset(mapping.memory, 7, mapping.size);
        _exit(((char *)mapping.alias)[mapping.size - 1] == 7 &&
                      segue_mapping_create(NULL, 1u << 29, &mapping) == SEGUE_NO_MEMORY
                  ? 0
                  : 2);
    }
    int status = -1;
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
}

/* Address space is not memory. */
static void large_mappings_are_only_addresses(void **state)
{
    const size_t size = (size_t)(sizeof(void *) == 8 ? UINT64_C(64) << 30 : 512u << 20);
    struct segue_mapping mapping;
    (void)state;
    assert_int_equal(segue_mapping_create(NULL, size, &mapping), SEGUE_OK);
    ((char *)mapping.memory)[mapping.size - 1] = 3;
    assert_int_equal(((char *)mapping.alias)[mapping.size - 1], 3);
    segue_mapping_destroy(&mapping);
}

/* As a hardened system: the call fails with that error from here on. */
static bool refuse_protection(unsigned error)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mprotect, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static bool is_refused_by_the_system(const struct segue_mapping *mapping, unsigned error)
{
    pid_t child = fork();
    if (child == 0) {
        if (!refuse_protection(error))
            _exit(1);
        errno = 0;
        if (segue_mapping_protect(mapping, 0, PAGE, SEGUE_READ | SEGUE_FETCH) != SEGUE_SYSTEM)
            _exit(2);
        _exit(errno == (int)error && strstr(segue_reason(), "errno") ? 0 : 3);
    }
    int status = -1;
    waitpid(child, &status, 0);
    if (status != 0)
        print_message("error %u: wait status %#x\n", error, (unsigned)status);
    return status == 0;
}

static void refusal_of_the_system_is_not_lack_of_memory(void **state)
{
    struct segue_mapping mapping;
    (void)state;
    assert_int_equal(segue_mapping_create(NULL, PAGE, &mapping), SEGUE_OK);
    assert_true(is_refused_by_the_system(&mapping, EACCES));
    assert_true(is_refused_by_the_system(&mapping, EPERM));
    segue_mapping_destroy(&mapping);
}

static size_t mappings_allowed(void)
{
    size_t most = 0;
    FILE *file = fopen("/proc/sys/vm/max_map_count", "r");
    if (file && fscanf(file, "%zu", &most) != 1)
        most = 0;
    if (file)
        fclose(file);
    return most;
}

/* Every second page apart: each makes two more mappings. */
static void protection_of_too_many_mappings_lacks_memory(void **state)
{
    struct segue_mapping mapping;
    enum segue_status status = SEGUE_OK;
    size_t most = mappings_allowed(), page = 1;
    (void)state;
    skip_if(most == 0 || most > 1u << 20 ? "this system allows more mappings than a test makes" : NULL);
    assert_int_equal(segue_mapping_create(NULL, (most + 2) * PAGE, &mapping), SEGUE_OK);
    for (; page < most && status == SEGUE_OK; page += 2)
        status = segue_mapping_protect(&mapping, page * PAGE, PAGE, SEGUE_READ);
    assert_int_equal(status, SEGUE_NO_MEMORY);
    assert_int_equal(errno, ENOMEM);
    assert_string_not_equal(segue_reason(), "");
    /* The page that failed is as it was, and those before can be joined again. */
    ((volatile char *)mapping.memory)[(page - 2) * PAGE] = 1;
    assert_int_equal(segue_mapping_protect(&mapping, 0, mapping.size, SEGUE_READ | SEGUE_WRITE), SEGUE_OK);
    segue_mapping_destroy(&mapping);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(neighbours_of_both_views_are_closed),
        cmocka_unit_test(distance_is_random_and_below_2_GiB),
        cmocka_unit_test(destruction_leaves_nothing_mapped),
        cmocka_unit_test(mappings_may_stand_side_by_side),
        cmocka_unit_test(core_holds_the_memory_once),
        cmocka_unit_test(little_room_is_enough),
        cmocka_unit_test(large_mappings_are_only_addresses),
        cmocka_unit_test(refusal_of_the_system_is_not_lack_of_memory),
        cmocka_unit_test(protection_of_too_many_mappings_lacks_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
