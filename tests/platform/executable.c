/* executable.c: executable memory is where it was asked to be, shows what is written to it and nothing else, replaces
 * nothing, and is shared with a child only as far as platform/memory/executable.h says. Cases that lose a right or fork
 * run in a process of their own. */
#include "tests/support/test.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/memory/executable.h"
#include "platform/memory/mappings.h"
#include "platform/memory/memory.h"
#include "tests/support/cases.h"
#include "tests/support/child.h"

#define PAGE UINT64_C(4096)
#define MEBIBYTE (UINT64_C(1) << 20)

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#define PR_MDWE_REFUSE_EXEC_GAIN 1
#endif

static char *at(uint64_t address)
{
    return (char *)(uintptr_t)address;
}

/* mov $number, %eax; ret */
static void write_function(const struct executable_memory *memory, uint64_t offset, uint32_t number)
{
    const uint8_t head = 0xb8, tail = 0xc3;
    char *to = at(memory->writable + offset);
    memcpy(to, &head, 1);
    memcpy(to + 1, &number, sizeof number);
    memcpy(to + 5, &tail, 1);
}

static uint32_t call(uint64_t address)
{
    return ((uint32_t(*)(void))(uintptr_t)address)();
}

static int protection_of(uint64_t address)
{
    struct mapping mapping;
    return mappings_find(address, &mapping) ? mapping.protection : -1;
}

static bool is_mapped(uint64_t address)
{
    struct mapping mapping;
    return mappings_find(address, &mapping);
}

static unsigned count_mappings(void)
{
    static char piece[4096];
    struct mappings mappings;
    struct mapping mapping;
    unsigned count = 0;
    assert_true(mappings_open(&mappings, piece, sizeof piece));
    while (mappings_next(&mappings, &mapping))
        count++;
    mappings_close(&mappings);
    return count;
}

/* Free addresses, far from all others. */
static uint64_t free_room(uint64_t size)
{
    void *room = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_ptr_not_equal(room, MAP_FAILED);
    munmap(room, size);
    return (uint64_t)(uintptr_t)room;
}

static struct executable_memory create(uint64_t size, uint32_t most_views)
{
    struct executable_memory memory;
    assert_int_equal(executable_memory_create(NULL, size, most_views, &memory), SEGUE_OK);
    return memory;
}

/* ---- the views ---- */

static void what_is_written_in_one_view_runs_in_the_other(void **state)
{
    (void)state;
    struct executable_memory memory = create(2 * PAGE, 0);
    write_function(&memory, PAGE + 16, 42);
    assert_int_equal(call(memory.executable + PAGE + 16), 42);
    assert_int_equal(*at(memory.executable), 0);
    executable_memory_free(&memory);
}

static void no_view_is_both_writable_and_executable(void **state)
{
    (void)state;
    struct executable_memory memory = create(2 * PAGE, 1);
    uint64_t view, room = free_room(PAGE);
    const struct executable_range range = executable_at(room, PAGE);
    assert_int_equal(executable_view_create(&memory, &range, PAGE, PAGE, &view), SEGUE_OK);
    assert_int_equal(protection_of(memory.executable), PLATFORM_READ | PLATFORM_EXECUTE);
    assert_int_equal(protection_of(memory.writable), PLATFORM_READ | PLATFORM_WRITE);
    assert_int_equal(protection_of(view), PLATFORM_READ | PLATFORM_EXECUTE);
    executable_view_unmap(&memory, view, PAGE);
    executable_memory_free(&memory);
}

static void freed_memory_and_views_leave_no_mapping(void **state)
{
    (void)state;
    struct executable_memory memory;
    uint64_t view;
    const struct executable_range range = executable_near((uint64_t)(uintptr_t)&create, (uint64_t)(uintptr_t)&create);
    unsigned before = count_mappings();
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(executable_memory_create(i ? &range : NULL, MEBIBYTE, 1, &memory), SEGUE_OK);
        assert_int_equal(executable_view_create(&memory, &range, PAGE, PAGE, &view), SEGUE_OK);
        assert_true(count_mappings() > before);
        executable_view_unmap(&memory, view, PAGE);
        executable_memory_free(&memory);
        assert_int_equal(count_mappings(), before);
    }
}

/* What a table of punned rooms needs: many addresses, few pages. */
static void several_views_show_the_same_page(void **state)
{
    (void)state;
    struct executable_memory memory = create(2 * PAGE, 5);
    uint64_t room = free_room(64 * PAGE), views[5];
    write_function(&memory, 0x100, 1);
    write_function(&memory, PAGE + 0x200, 2);
    for (unsigned i = 0; i < 4; i++) {
        const struct executable_range range = executable_at(room + (3 + 7 * i) * PAGE, PAGE);
        assert_int_equal(executable_view_create(&memory, &range, i % 2 * PAGE, PAGE, &views[i]), SEGUE_OK);
        assert_true(views[i] == range.low);
        assert_int_equal(call(views[i] + (i % 2 ? 0x200 : 0x100)), 1 + i % 2);
    }
    const struct executable_range both = executable_at(room + 40 * PAGE, 2 * PAGE);
    assert_int_equal(executable_view_create(&memory, &both, 0, 2 * PAGE, &views[4]), SEGUE_OK);
    write_function(&memory, 0x300, 3);
    assert_int_equal(call(views[0] + 0x300), 3);
    assert_int_equal(call(views[2] + 0x300), 3);
    assert_int_equal(call(views[4] + 0x300), 3);
    assert_int_equal(call(views[4] + PAGE + 0x200), 2);
    for (unsigned i = 0; i < 5; i++)
        executable_view_unmap(&memory, views[i], i < 4 ? PAGE : 2 * PAGE);
    assert_false(is_mapped(views[0]) || is_mapped(views[4]));
    executable_memory_free(&memory);
}

static void views_beyond_the_most_are_refused(void **state)
{
    (void)state;
    struct executable_memory memory = create(PAGE, 2);
    uint64_t room = free_room(8 * PAGE), views[3] = {0, 0, 1};
    struct executable_range range = {room, room + 8 * PAGE, room};
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(executable_view_create(&memory, &range, 0, PAGE, &views[i]), SEGUE_OK);
    assert_int_equal(executable_view_create(&memory, &range, 0, PAGE, &views[2]), SEGUE_BUSY);
    assert_true(views[2] == 1 && memory.views == 2);
    executable_view_unmap(&memory, views[0], PAGE);
    assert_int_equal(executable_view_create(&memory, &range, 0, PAGE, &views[0]), SEGUE_OK);
    executable_view_unmap(&memory, views[0], PAGE);
    executable_view_unmap(&memory, views[1], PAGE);
    executable_memory_free(&memory);
}

static void part_that_is_not_in_the_memory_is_refused(void **state)
{
    (void)state;
    static const uint64_t parts[][2] = {{0, 0},           {8, PAGE},         {0, 8},     {2 * PAGE, PAGE},
                                        {PAGE, 2 * PAGE}, {-PAGE, 2 * PAGE}, {0, -PAGE}, {3 * PAGE, PAGE}};
    struct executable_memory memory = create(2 * PAGE, 8);
    uint64_t room = free_room(8 * PAGE), view = 1;
    const struct executable_range range = {room, room + 8 * PAGE, room};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        assert_int_equal(executable_view_create(&memory, &range, parts[i][0], parts[i][1], &view), SEGUE_INVALID);
        assert_int_equal(executable_view_renew(&memory, room, parts[i][0], parts[i][1]), SEGUE_INVALID);
    }
    assert_true(view == 1 && memory.views == 0 && !is_mapped(room));
    executable_memory_free(&memory);
}

static void renewed_view_shows_another_part(void **state)
{
    (void)state;
    struct executable_memory memory = create(2 * PAGE, 1);
    uint64_t view, room = free_room(PAGE);
    const struct executable_range range = executable_at(room, PAGE);
    write_function(&memory, 0, 1);
    write_function(&memory, PAGE, 2);
    assert_int_equal(executable_view_create(&memory, &range, 0, PAGE, &view), SEGUE_OK);
    assert_int_equal(call(view), 1);
    assert_int_equal(executable_view_renew(&memory, view, PAGE, PAGE), SEGUE_OK);
    assert_int_equal(call(view), 2);
    assert_int_equal(memory.views, 1);
    executable_view_unmap(&memory, view, PAGE);
    executable_memory_free(&memory);
}

static void view_outlives_what_was_left_or_freed(void **state)
{
    (void)state;
    struct executable_memory memory = create(PAGE, 1);
    uint64_t view, room = free_room(PAGE), was = memory.executable;
    const struct executable_range range = executable_at(room, PAGE);
    assert_int_equal(executable_view_create(&memory, &range, 0, PAGE, &view), SEGUE_OK);
    executable_memory_leave(&memory);
    assert_false(is_mapped(was));
    write_function(&memory, 0, 9);
    assert_int_equal(call(view), 9);
    executable_memory_free(&memory);
    assert_int_equal(call(view), 9);
    executable_view_unmap(&memory, view, PAGE);
}

/* ---- where they are ---- */

static void memory_is_at_the_address_if_it_is_free(void **state)
{
    (void)state;
    struct executable_memory memory;
    uint64_t room = free_room(MEBIBYTE);
    const struct executable_range range = executable_at(room, MEBIBYTE);
    assert_int_equal(executable_memory_create(&range, MEBIBYTE, 0, &memory), SEGUE_OK);
    assert_true(memory.executable == room);
    write_function(&memory, MEBIBYTE - 16, 5);
    assert_int_equal(call(room + MEBIBYTE - 16), 5);
    executable_memory_free(&memory);
    assert_false(is_mapped(room));
}

static void occupied_address_is_refused_and_keeps_what_it_has(void **state)
{
    (void)state;
    struct executable_memory memory = create(4 * PAGE, 1), other;
    uint64_t view = 1, room = free_room(4 * PAGE);
    const struct executable_range range = executable_at(room, 4 * PAGE);
    /* The last page alone. */
    char *page = mmap(at(room + 3 * PAGE), PAGE, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    assert_ptr_equal(page, at(room + 3 * PAGE));
    *page = 77;
    unsigned before = count_mappings();
    memset(&other, 0, sizeof other);
    assert_int_equal(executable_memory_create(&range, 4 * PAGE, 0, &other), SEGUE_EXISTS);
    assert_int_equal(executable_view_create(&memory, &range, 0, 4 * PAGE, &view), SEGUE_EXISTS);
    assert_true(other.size == 0 && view == 1 && memory.views == 0);
    assert_int_equal(*page, 77);
    assert_int_equal(count_mappings(), before);
    munmap(page, PAGE);
    executable_memory_free(&memory);
}

/* Every byte of one is within reach of every byte of the other. */
static bool are_in_reach(uint64_t view, uint64_t size, uint64_t start, uint64_t end)
{
    return (int64_t)(view + size - start) <= INT32_MAX && (int64_t)(end - view) <= INT32_MAX;
}

static void memory_is_near_above_or_below_a_module(void **state)
{
    (void)state;
    struct mapping module;
    assert_true(mappings_find((uint64_t)(uintptr_t)memcpy, &module));
    const uint64_t start = module.start, end = module.end;
    const struct executable_range near = executable_near(start, end), above = executable_above(start, end),
                                  below = executable_below(start, end);
    struct executable_memory memories[3];
    assert_int_equal(executable_memory_create(&near, MEBIBYTE, 0, &memories[0]), SEGUE_OK);
    assert_int_equal(executable_memory_create(&above, MEBIBYTE, 0, &memories[1]), SEGUE_OK);
    assert_int_equal(executable_memory_create(&below, MEBIBYTE, 0, &memories[2]), SEGUE_OK);
    for (unsigned i = 0; i < 3; i++)
        assert_true(are_in_reach(memories[i].executable, MEBIBYTE, start, end));
    assert_true(memories[1].executable >= end);
    assert_true(memories[2].executable + MEBIBYTE <= start);
    for (unsigned i = 0; i < 3; i++)
        executable_memory_free(&memories[i]);
}

static void view_is_at_the_closest_free_place(void **state)
{
    (void)state;
    struct executable_memory memory = create(PAGE, 4);
    /* Not the addresses that the heap may grow into: with a page below it. */
    uint64_t room = free_room(33 * PAGE) + PAGE, view;
    void *below = mmap(at(room - PAGE), PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    assert_ptr_equal(below, at(room - PAGE));
    struct executable_range range = {room + 1, room + 32 * PAGE - 1, room + 16 * PAGE + 8};
    char *taken =
        mmap(at(room + 14 * PAGE), 5 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    assert_ptr_equal(taken, at(room + 14 * PAGE));
    /* Pages 14 to 18 are taken, and half a page at each end is not in the range. */
    assert_int_equal(executable_view_create(&memory, &range, 0, PAGE, &view), SEGUE_OK);
    assert_true(view == room + 19 * PAGE || view == room + 13 * PAGE);
    executable_view_unmap(&memory, view, PAGE);
    range.near = 0;
    assert_int_equal(executable_view_create(&memory, &range, 0, PAGE, &view), SEGUE_OK);
    assert_true(view == room + PAGE);
    executable_view_unmap(&memory, view, PAGE);
    range.near = UINT64_MAX;
    assert_int_equal(executable_view_create(&memory, &range, 0, PAGE, &view), SEGUE_OK);
    assert_true(view == room + 30 * PAGE);
    executable_view_unmap(&memory, view, PAGE);
    munmap(taken, 5 * PAGE);
    munmap(below, PAGE);
    executable_memory_free(&memory);
}

static void range_without_room_is_refused(void **state)
{
    (void)state;
    struct executable_memory memory = create(4 * PAGE, 1);
    uint64_t room = free_room(8 * PAGE), view;
    /* At most three free pages in a row. */
    for (unsigned i = 0; i < 2; i++)
        assert_ptr_not_equal(mmap(at(room + (3 + 4 * i) * PAGE), PAGE, PROT_NONE,
                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0),
                             MAP_FAILED);
    const struct executable_range ranges[] = {{room, room + 8 * PAGE, room},
                                              {room, room + 4 * PAGE - 1, room},
                                              {room + PAGE, room, room},
                                              {0, 65536, 0},
                                              {UINT64_MAX - MEBIBYTE, UINT64_MAX, UINT64_MAX},
                                              executable_near(0x1000, UINT64_C(0x100001000))};
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        assert_int_equal(executable_view_create(&memory, &ranges[i], 0, 4 * PAGE, &view), SEGUE_EXISTS);
    munmap(at(room), 8 * PAGE);
    executable_memory_free(&memory);
}

/* Near the heap's end means at the far end of what it may grow into, and the heap still grows. */
static void memory_leaves_the_heap_its_room(void **state)
{
    (void)state;
    struct executable_memory memory = create(PAGE, 1);
    uint64_t heap = (uint64_t)(uintptr_t)sbrk((intptr_t)PAGE) + PAGE, view;
    const struct executable_range range = {heap, heap + 64 * MEBIBYTE, heap};
    assert_int_equal(executable_view_create(&memory, &range, 0, PAGE, &view), SEGUE_OK);
    assert_true(view >= heap + 32 * MEBIBYTE);
    assert_ptr_not_equal(sbrk(16 * (intptr_t)MEBIBYTE), (void *)-1);
    executable_view_unmap(&memory, view, PAGE);
    executable_memory_free(&memory);
}

static void memory_leaves_the_first_stack_its_room(void **state)
{
    (void)state;
    volatile char here = 0;
    struct mapping stack;
    struct executable_memory memory = create(PAGE, 1);
    uint64_t view;
    assert_true(mappings_find((uint64_t)(uintptr_t)&here, &stack));
    const struct executable_range range = {stack.start - 64 * MEBIBYTE, stack.start, stack.start};
    assert_int_equal(executable_view_create(&memory, &range, 0, PAGE, &view), SEGUE_OK);
    assert_true(view + 32 * MEBIBYTE <= stack.start);
    executable_view_unmap(&memory, view, PAGE);
    executable_memory_free(&memory);
}

/* ---- code that is written once ---- */

static void copy_has_code_breakpoints_and_data(void **state)
{
    (void)state;
    static const uint8_t code[] = {0xb8, 0x2a, 0, 0, 0, 0xc3};
    uint8_t *copy = executable_copy(code, sizeof code, PAGE, PAGE);
    assert_non_null(copy);
    assert_int_equal(call((uint64_t)(uintptr_t)copy), 42);
    for (uint64_t i = sizeof code; i < PAGE; i++)
        assert_int_equal(copy[i], 0xcc);
    assert_int_equal(protection_of((uint64_t)(uintptr_t)copy), PLATFORM_READ | PLATFORM_EXECUTE);
    assert_int_equal(protection_of((uint64_t)(uintptr_t)copy + PAGE), PLATFORM_READ | PLATFORM_WRITE);
    assert_int_equal(copy[PAGE], 0);
    copy[2 * PAGE - 1] = 1;
    platform_unmap(copy, 2 * PAGE);
    assert_false(is_mapped((uint64_t)(uintptr_t)copy));
}

/* ---- in processes of their own ---- */

static bool wait_for(pid_t child)
{
    int status;
    return waitpid(child, &status, 0) == child && status == 0;
}

/* What the two processes take turns by. */
static void pass(int file)
{
    if (write(file, "", 1) != 1)
        _exit(100);
}

static void await(int file)
{
    char byte;
    if (read(file, &byte, 1) != 1)
        _exit(101);
}

static int in_child_before_owning(const struct executable_memory *memory, uint64_t view, const int *turns)
{
    if (call(memory->executable) != 1 || call(view) != 1)
        return 1;
    if (is_mapped(memory->writable))
        return 2;
    pass(turns[1]);
    await(turns[2]);
    /* The parent has written. */
    return call(memory->executable) == 2 && call(view) == 2 ? 0 : 3;
}

static int in_child_that_owns(struct executable_memory *memory, uint64_t view, const int *turns, unsigned mappings)
{
    uint64_t was = memory->executable;
    if (executable_memory_own(memory, 64) != SEGUE_OK || memory->executable != was || call(was) != 2)
        return 4;
    if (protection_of(was) != (PLATFORM_READ | PLATFORM_EXECUTE) ||
        protection_of(memory->writable) != (PLATFORM_READ | PLATFORM_WRITE))
        return 5;
    write_function(memory, 0, 3);
    if (call(was) != 3 || call(view) != 2)
        return 6;
    if (executable_view_renew(memory, view, 0, PAGE) != SEGUE_OK || call(view) != 3)
        return 7;
    pass(turns[1]);
    await(turns[2]);
    /* The parent has written again. */
    if (call(was) != 3 || call(view) != 3)
        return 8;
    executable_view_unmap(memory, view, PAGE);
    executable_memory_free(memory);
    return count_mappings() == mappings ? 0 : 9;
}

static int fork_and_own(void)
{
    struct executable_memory memory;
    uint64_t view, room = free_room(PAGE);
    const struct executable_range range = executable_at(room, PAGE);
    int to_parent[2], to_child[2];
    unsigned mappings = count_mappings();
    if (executable_memory_create(NULL, 2 * PAGE, 1, &memory) != SEGUE_OK ||
        executable_view_create(&memory, &range, 0, PAGE, &view) != SEGUE_OK || pipe(to_parent) || pipe(to_child))
        return 20;
    write_function(&memory, 0, 1);
    pid_t child = fork();
    if (child == 0) {
        const int turns[] = {0, to_parent[1], to_child[0]};
        int result = in_child_before_owning(&memory, view, turns);
        _exit(result ? result : in_child_that_owns(&memory, view, turns, mappings));
    }
    await(to_parent[0]);
    write_function(&memory, 0, 2);
    pass(to_child[1]);
    await(to_parent[0]);
    /* The child has written to its own. */
    if (call(memory.executable) != 2 || call(view) != 2)
        return 21;
    write_function(&memory, 0, 4);
    pass(to_child[1]);
    return wait_for(child) ? 0 : 22;
}

static void child_shares_the_code_until_it_owns_the_memory(void **state)
{
    (void)state;
    case_run("fork_and_own");
}

static int fork_without(void)
{
    struct executable_memory memory;
    uint64_t view, room = free_room(PAGE);
    const struct executable_range range = executable_at(room, PAGE);
    if (executable_memory_create(NULL, PAGE, 1, &memory) != SEGUE_OK || !executable_memory_keep_from_child(&memory) ||
        executable_view_create(&memory, &range, 0, PAGE, &view) != SEGUE_OK)
        return 20;
    pid_t child = fork();
    if (child == 0)
        _exit(is_mapped(memory.executable) || is_mapped(memory.writable) || is_mapped(view));
    return wait_for(child) && is_mapped(view) ? 0 : 21;
}

static void child_has_no_view_that_is_kept_from_it(void **state)
{
    (void)state;
    case_run("fork_without");
}

static int refuse_gain(void)
{
    static const uint8_t code[] = {0xb8, 1, 0, 0, 0, 0xc3};
    struct executable_memory memory;
    uint64_t view;
    if (prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) != 0)
        return CASE_SKIPPED;
    void *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mprotect(page, PAGE, PROT_READ | PROT_EXEC) == 0)
        return 1;
    const struct executable_range range = executable_at(free_room(PAGE), PAGE);
    if (executable_memory_create(NULL, PAGE, 1, &memory) != SEGUE_OK ||
        executable_view_create(&memory, &range, 0, PAGE, &view) != SEGUE_OK)
        return 2;
    write_function(&memory, 0, 6);
    if (call(view) != 6)
        return 3;
    const void *copy = executable_copy(code, sizeof code, PAGE, PAGE);
    return copy && call((uint64_t)(uintptr_t)copy) == 1 ? 0 : 4;
}

static void memory_is_had_where_no_page_may_become_executable(void **state)
{
    (void)state;
    case_run("refuse_gain");
}

/* Makes one system call fail from now on. */
static bool forbid(int number, int error)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {sizeof code / sizeof *code, code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static int place_without_list(void)
{
    struct executable_memory memory;
    uint64_t room = free_room(64 * MEBIBYTE);
    struct mapping mapping;
    const struct executable_range range = {room, room + 64 * MEBIBYTE, room + 32 * MEBIBYTE};
    /* The best place is taken. */
    if (mmap(at(range.near), PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED)
        return 1;
    if (!forbid(SYS_openat, 2) || mappings_find(room, &mapping))
        return 2;
    if (executable_memory_create(&range, MEBIBYTE, 0, &memory) != SEGUE_OK)
        return 3;
    if (memory.executable < room || memory.executable + MEBIBYTE > range.end)
        return 4;
    write_function(&memory, 0, 8);
    if (call(memory.executable) != 8)
        return 5;
    /* All that is left is too small. */
    const struct executable_range small = {range.near - 2 * PAGE, range.near + 2 * PAGE, range.near};
    return executable_memory_create(&small, 3 * PAGE, 0, &memory) == SEGUE_EXISTS ? 0 : 6;
}

static void place_is_found_without_the_list_of_mappings(void **state)
{
    (void)state;
    case_run("place_without_list");
}

static int refuse_memory(void)
{
    struct executable_memory memory = {.size = 1};
    const struct rlimit limit = {64 * MEBIBYTE, 64 * MEBIBYTE};
    if (setrlimit(RLIMIT_AS, &limit) != 0)
        return 1;
    unsigned before = count_mappings();
    if (executable_memory_create(NULL, 1024 * MEBIBYTE, 0, &memory) != SEGUE_NO_MEMORY || memory.size != 1)
        return 2;
    return count_mappings() == before ? 0 : 3;
}

static void memory_beyond_the_limit_is_refused(void **state)
{
    (void)state;
    case_run("refuse_memory");
}

int main(int argc, char **argv)
{
    static const struct child_case cases[] = {
        {"fork_and_own", fork_and_own},   {"fork_without", fork_without},
        {"refuse_gain", refuse_gain},     {"place_without_list", place_without_list},
        {"refuse_memory", refuse_memory},
    };
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_in_one_view_runs_in_the_other),
        cmocka_unit_test(no_view_is_both_writable_and_executable),
        cmocka_unit_test(freed_memory_and_views_leave_no_mapping),
        cmocka_unit_test(several_views_show_the_same_page),
        cmocka_unit_test(views_beyond_the_most_are_refused),
        cmocka_unit_test(part_that_is_not_in_the_memory_is_refused),
        cmocka_unit_test(renewed_view_shows_another_part),
        cmocka_unit_test(view_outlives_what_was_left_or_freed),
        cmocka_unit_test(memory_is_at_the_address_if_it_is_free),
        cmocka_unit_test(occupied_address_is_refused_and_keeps_what_it_has),
        cmocka_unit_test(memory_is_near_above_or_below_a_module),
        cmocka_unit_test(view_is_at_the_closest_free_place),
        cmocka_unit_test(range_without_room_is_refused),
        cmocka_unit_test(memory_leaves_the_heap_its_room),
        cmocka_unit_test(memory_leaves_the_first_stack_its_room),
        cmocka_unit_test(copy_has_code_breakpoints_and_data),
        cmocka_unit_test(child_shares_the_code_until_it_owns_the_memory),
        cmocka_unit_test(child_has_no_view_that_is_kept_from_it),
        cmocka_unit_test(memory_is_had_where_no_page_may_become_executable),
        cmocka_unit_test(place_is_found_without_the_list_of_mappings),
        cmocka_unit_test(memory_beyond_the_limit_is_refused),
    };
    child_main(argc, argv, cases, sizeof cases / sizeof *cases);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
