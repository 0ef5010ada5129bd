/* strings.c: repeated strings through the installed handler: any length, any number of regions, any kind of window; and
 * what else reaches many regions in one step. */
#include <segue/segue.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "tests/support/child.h"
#include "tests/support/test.h"

#define PAGE 4096u
#define MEGABYTE (1u << 20)
#define PAGES 512u

/* The closed pages, and where their bytes can be seen. Page i's window is the view's page `place[i]`. */
static char *closed, *view;
static uint32_t place[PAGES];

/* What policies were asked, and the regions' bounds. */
static uint64_t region_pages;
static unsigned long asked;
static bool wrong;
static uint64_t asked_bytes, last_address, last_size;

static enum segue_verdict watch(void *context, const struct segue_event *event)
{
    uint64_t base = (uint64_t)(uintptr_t)context, size = region_pages * PAGE;
    asked++;
    asked_bytes += event->size;
    last_address = event->address;
    last_size = event->size;
    wrong |= event->can_step != SEGUE_OK || event->size == 0 || event->address - base >= size ||
             event->size > size - (event->address - base);
    return SEGUE_STEP;
}

/* A device: its memory is the view, and each call is written down. */
static struct {
    unsigned long reads, writes;
    size_t element;
    bool wrong;
    /* The address that must come next, and how far from it the one after that is; 0: any. */
    uint64_t next;
    int64_t step;
    /* Calls until it refuses; 0: never. */
    unsigned long refuse_at;
} device;

static bool note_call(uint64_t address, size_t size)
{
    device.wrong |= size != device.element || (device.next && address != device.next);
    if (device.refuse_at && --device.refuse_at == 0) {
        device.refuse_at = 1;
        return false;
    }
    device.next = device.step ? address + (uint64_t)device.step : 0;
    return true;
}

static enum segue_status device_read(void *context, uint64_t address, void *bytes, size_t size)
{
    (void)context;
    if (!note_call(address, size))
        return SEGUE_UNSUPPORTED;
    device.reads++;
    memcpy(bytes, view + (address - (uint64_t)(uintptr_t)closed), size);
    return SEGUE_OK;
}

static enum segue_status device_write(void *context, uint64_t address, const void *bytes, size_t size)
{
    (void)context;
    if (!note_call(address, size))
        return SEGUE_UNSUPPORTED;
    device.writes++;
    memcpy(view + (address - (uint64_t)(uintptr_t)closed), bytes, size);
    return SEGUE_OK;
}

static struct segue_mapping mapping;

/* Regions of `pages` pages each over all of the memory. Aliases stand in another order than the pages do if `mixed`. */
static void begin(enum segue_window_kind kind, unsigned pages, bool mixed)
{
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    region_pages = pages;
    if (kind == SEGUE_WINDOW_FORCED) {
        closed = view = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        assert_true(closed != MAP_FAILED);
    } else {
        assert_int_equal(segue_mapping_create(NULL, PAGES * PAGE, &mapping), SEGUE_OK);
        closed = mapping.memory;
        view = mapping.alias;
    }
    for (unsigned i = 0; i < PAGES; i++)
        place[i] = mixed ? i ^ 1 : i;
    for (unsigned i = 0; i < PAGES; i += pages) {
        struct segue_region region = {
            .window = {.base = (uint64_t)(uintptr_t)closed + i * PAGE, .size = pages * PAGE, .kind = kind},
            .policy = watch,
            .context = closed + i * PAGE,
        };
        if (kind == SEGUE_WINDOW_ALIAS)
            region.window.alias = view + place[i] * PAGE;
        if (kind == SEGUE_WINDOW_CALLBACK) {
            region.window.read = device_read;
            region.window.write = device_write;
        }
        assert_int_equal(segue_region_add(&region), SEGUE_OK);
    }
    mprotect(closed, PAGES * PAGE, PROT_NONE);
    asked = asked_bytes = 0;
    wrong = false;
    memset(&device, 0, sizeof device);
    device.element = 1;
}

static void end(enum segue_window_kind kind)
{
    mprotect(closed, PAGES * PAGE, PROT_READ | PROT_WRITE);
    for (unsigned i = 0; i < PAGES; i += (unsigned)region_pages)
        assert_int_equal(segue_region_remove(closed + i * PAGE), SEGUE_OK);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
    if (kind == SEGUE_WINDOW_FORCED)
        munmap(closed, PAGES * PAGE);
    else
        assert_int_equal(segue_mapping_destroy(&mapping), SEGUE_OK);
}

/* The byte at an offset in the closed pages; they must be open in forced windows. */
static char *byte_at(size_t offset)
{
    return view + place[offset / PAGE] * PAGE + offset % PAGE;
}

static unsigned long steps(void)
{
    struct segue_counters counters;
    segue_counters_read(&counters);
    return counters.stepped;
}

static void move_bytes(void *to, const void *from, size_t count)
{
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
}

static void move_words_down(void *to, const void *from, size_t count)
{
    __asm__ volatile("std; rep movsq; cld" : "+D"(to), "+S"(from), "+c"(count) : : "memory", "cc");
}

static void store_bytes(void *to, char value, size_t count)
{
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(count) : "a"(value) : "memory");
}

static uint64_t find_byte(const void *from, char value, uint64_t *count)
{
    __asm__ volatile("repne scasb" : "+D"(from), "+c"(*count) : "a"(value) : "memory", "cc");
    return (uint64_t)(uintptr_t)from;
}

static char *ordinary_bytes(size_t size)
{
    char *bytes = malloc(size);
    assert_non_null(bytes);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (char)(i * 7 + i / 251);
    return bytes;
}

/* Offsets within a page, of region and of other memory. */
static const size_t lengths[] = {60000, 65536, 70000, 256 * 1024, MEGABYTE};
static const size_t offsets[][2] = {{0, 0}, {1, 16}, {4095, 3}, {64, 4090}};

static void copy_of_any_length_goes_into_a_region_and_out(void **state)
{
    (void)state;
    char *bytes = ordinary_bytes(2 * MEGABYTE), *back = malloc(2 * MEGABYTE);
    begin(SEGUE_WINDOW_ALIAS, PAGES, false);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        for (size_t k = 0; k < sizeof offsets / sizeof *offsets; k++) {
            char *to = closed + offsets[k][0], *from = bytes + offsets[k][1];
            move_bytes(to, from, lengths[i]);
            assert_memory_equal(view + offsets[k][0], from, lengths[i]);
            memset(back, 0, lengths[i]);
            move_bytes(back, to, lengths[i]);
            assert_memory_equal(back, from, lengths[i]);
            memset(view, 0, 2 * MEGABYTE);
            memcpy(to, from, lengths[i]);
            assert_memory_equal(view + offsets[k][0], from, lengths[i]);
        }
    assert_false(wrong);
    end(SEGUE_WINDOW_ALIAS);
    free(bytes);
    free(back);
}

static void copy_goes_over_any_number_of_regions(void **state)
{
    (void)state;
    char *bytes = ordinary_bytes(2 * MEGABYTE);
    for (int mixed = 0; mixed < 2; mixed++) {
        begin(SEGUE_WINDOW_ALIAS, 1, mixed);
        move_bytes(closed + 5, bytes, MEGABYTE);
        for (size_t i = 0; i < MEGABYTE; i++)
            if (*byte_at(i + 5) != bytes[i])
                fail_msg("byte %zu", i);
        assert_int_equal(asked_bytes, MEGABYTE);
        /* From region to region, elements that lie across two, downwards. */
        asked_bytes = 0;
        move_words_down(closed + MEGABYTE + 8 * 8191 + 3, closed + 8 * 8191 + 5, 8192);
        for (size_t i = 0; i < 65536; i++)
            if (*byte_at(i + MEGABYTE + 3) != bytes[i])
                fail_msg("byte %zu", i);
        assert_int_equal(asked_bytes, 2 * 65536);
        store_bytes(closed, 9, 2 * MEGABYTE);
        for (size_t i = 0; i < 2 * MEGABYTE; i++)
            if (view[i] != 9)
                fail_msg("byte %zu", i);
        assert_false(wrong);
        end(SEGUE_WINDOW_ALIAS);
    }
    free(bytes);
}

static void search_begins_with_the_largest_count(void **state)
{
    (void)state;
    begin(SEGUE_WINDOW_ALIAS, 1, true);
    memset(view, 'x', PAGES * PAGE);
    *byte_at(100 * PAGE + 17) = 0;
    static const uint64_t counts[] = {
        UINT64_MAX,        UINT64_MAX - 1, UINT64_C(1) << 63, UINT64_C(1) << 32, (UINT64_C(1) << 32) + 1,
        UINT64_C(3) << 31, 500000};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        for (size_t from = 0; from < 3; from++) {
            uint64_t count = counts[i];
            uint64_t found = find_byte(closed + from, 0, &count);
            assert_int_equal(found, (uint64_t)(uintptr_t)closed + 100 * PAGE + 18);
            assert_int_equal(counts[i] - count, 100 * PAGE + 18 - from);
        }
    assert_false(wrong);
    end(SEGUE_WINDOW_ALIAS);
}

static void search_begins_with_the_largest_count_of_32_bits(void **state)
{
    (void)state;
    char *low =
        mmap((void *)0x30000000, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    assert_true(low != MAP_FAILED);
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    region_pages = 4;
    struct segue_region region = {
        .window = {.base = (uint64_t)(uintptr_t)low, .size = 4 * PAGE, .kind = SEGUE_WINDOW_FORCED},
        .policy = watch,
        .context = low,
    };
    memset(low, 'x', 4 * PAGE);
    low[3 * PAGE + 9] = low[3 * PAGE + 8] = 0;
    assert_int_equal(segue_region_add(&region), SEGUE_OK);
    mprotect(low, 4 * PAGE, PROT_NONE);
    wrong = false;
    /* Two bytes, so that one would lie across the end of the address space. */
    for (uint32_t odd = 0; odd < 2; odd++) {
        uint64_t at = (uint64_t)(uintptr_t)low + 2 * odd, count = UINT32_MAX;
        __asm__ volatile("addr32 repne scasw" : "+D"(at), "+c"(count) : "a"(0) : "memory", "cc");
        assert_int_equal(at, (uint64_t)(uintptr_t)low + 3 * PAGE + 10);
        assert_int_equal(UINT32_MAX - count, (3 * PAGE + 10 - 2 * odd) / 2);
    }
    assert_false(wrong);
    mprotect(low, 4 * PAGE, PROT_READ | PROT_WRITE);
    assert_int_equal(segue_region_remove(low), SEGUE_OK);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
    munmap(low, 4 * PAGE);
}

static void forced_window_takes_one_fault_a_page(void **state)
{
    (void)state;
    char *bytes = ordinary_bytes(MEGABYTE);
    begin(SEGUE_WINDOW_FORCED, PAGES, false);
    unsigned long before = steps();
    store_bytes(closed + 11, 3, MEGABYTE);
    assert_true(steps() - before <= MEGABYTE / PAGE);
    before = steps();
    move_bytes(closed + MEGABYTE - 9, bytes, MEGABYTE);
    assert_true(steps() - before <= MEGABYTE / PAGE);
    before = steps();
    move_bytes(bytes, closed + MEGABYTE - 9, MEGABYTE);
    assert_true(steps() - before <= MEGABYTE / PAGE);
    assert_false(wrong);
    end(SEGUE_WINDOW_FORCED);
    free(bytes);
}

static void device_sees_each_element_once_and_in_order(void **state)
{
    (void)state;
    begin(SEGUE_WINDOW_CALLBACK, PAGES, false);
    char *bytes = ordinary_bytes(MEGABYTE);
    device.step = 1;
    unsigned long before = steps();
    store_bytes(closed + 11, 3, MEGABYTE);
    assert_int_equal(device.writes, MEGABYTE);
    assert_true(steps() - before <= MEGABYTE / PAGE);
    device.step = -8;
    device.element = 8;
    device.next = 0;
    before = steps();
    move_words_down(closed + MEGABYTE + 3, bytes + MEGABYTE - 8, 1000);
    assert_int_equal(device.writes, MEGABYTE + 1000);
    assert_true(steps() - before <= 3);
    assert_memory_equal(view + MEGABYTE + 3 + 8 - 8000, bytes + MEGABYTE - 8000, 8000);
    assert_int_equal(device.reads, 0);
    assert_false(device.wrong);
    assert_false(wrong);
    end(SEGUE_WINDOW_CALLBACK);
    free(bytes);
}

static void overlapping_copy_goes_element_by_element(void **state)
{
    (void)state;
    static const int distances[] = {1, 2, 3, 7, 8, 9, 64, 200, 255, 256, 257, 5000};
    char *bytes = ordinary_bytes(3 * PAGE), *expected = malloc(6 * PAGE);
    for (int kind = 0; kind < 2; kind++) {
        begin(kind ? SEGUE_WINDOW_FORCED : SEGUE_WINDOW_ALIAS, 1, !kind);
        for (size_t i = 0; i < sizeof distances / sizeof *distances; i++) {
            memcpy(expected, bytes, 3 * PAGE);
            move_bytes(closed, bytes, 3 * PAGE);
            for (size_t k = 0; k < 3 * PAGE; k++)
                expected[k + (size_t)distances[i]] = expected[k];
            move_bytes(closed + distances[i], closed, 3 * PAGE);
            if (kind)
                mprotect(closed, PAGES * PAGE, PROT_READ);
            for (size_t k = 0; k < 3 * PAGE + (size_t)distances[i]; k++)
                if (*byte_at(k) != expected[k])
                    fail_msg("kind %d, distance %d, byte %zu", kind, distances[i], k);
            mprotect(closed, PAGES * PAGE, PROT_NONE);
        }
        assert_false(wrong);
        end(kind ? SEGUE_WINDOW_FORCED : SEGUE_WINDOW_ALIAS);
    }
    free(bytes);
    free(expected);
}

/* Only the regions of what the step does. */
static void policy_is_asked_about_what_the_step_does(void **state)
{
    (void)state;
    char *bytes = ordinary_bytes(PAGES * PAGE);
    begin(SEGUE_WINDOW_ALIAS, 4, false);
    /* The windows have one distance, so that a step goes over several. */
    unsigned long before = steps();
    move_bytes(closed + 100, bytes, 3 * 4 * PAGE);
    unsigned long taken = steps() - before;
    assert_int_equal(asked_bytes, 3 * 4 * PAGE);
    assert_int_equal(asked, 4);
    assert_true(taken <= 4);
    /* A count that goes far beyond the string's end. */
    memset(view, 'x', PAGES * PAGE);
    view[50] = 0;
    uint64_t count = UINT64_MAX;
    asked = asked_bytes = 0;
    find_byte(closed + 10, 0, &count);
    assert_true(asked_bytes <= PAGES * PAGE && asked >= 1 && !wrong);
    /* Where the other operand ends first. */
    end(SEGUE_WINDOW_ALIAS);
    begin(SEGUE_WINDOW_ALIAS, 1, true);
    asked = asked_bytes = 0;
    move_bytes(closed + 20 * PAGE, closed + 40 * PAGE - 10, 100);
    assert_int_equal(asked_bytes, 200);
    assert_int_equal(asked, 4);
    assert_false(wrong);
    end(SEGUE_WINDOW_ALIAS);
    free(bytes);
}

/* In a child: faults that are the program's own. */
static uint64_t fault_address, fault_count, fault_target;
static void *fault_back;

static void on_fault(int number, siginfo_t *info, void *ucontext)
{
    greg_t *registers = ((ucontext_t *)ucontext)->uc_mcontext.gregs;
    (void)number;
    fault_address = (uint64_t)(uintptr_t)info->si_addr;
    fault_count = (uint64_t)registers[REG_RCX];
    fault_target = (uint64_t)registers[REG_RDI];
    registers[REG_RIP] = (greg_t)(uintptr_t)fault_back;
}

/* Whether it completed. */
static bool try_to_store(void *to, size_t count, bool down)
{
    bool done = false;
    __asm__ volatile("leaq 1f(%%rip), %%rdx\n\t"
                     "movq %%rdx, %[back]\n\t"
                     "testb %[down], %[down]\n\t"
                     "jz 2f\n\t"
                     "std\n"
                     "2:\trep stosb\n\t"
                     "movb $1, %[done]\n"
                     "1:\tcld"
                     : "+D"(to), "+c"(count), [done] "+m"(done), [back] "=m"(fault_back)
                     : "a"(5), [down] "q"(down)
                     : "memory", "cc", "rdx");
    return done;
}

static void take_faults(void)
{
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigaction(SIGSEGV, &action, NULL);
}

/* The device refuses the 1,000th byte. Those before it are stored. */
static int refuse_in_the_middle(void)
{
    take_faults();
    for (int down = 0; down < 2; down++) {
        begin(SEGUE_WINDOW_CALLBACK, PAGES, false);
        char *start = closed + 2 * PAGE + 100;
        device.refuse_at = 1000;
        assert_false(try_to_store(start, 3000, down));
        assert_int_equal(fault_count, 3000 - 999);
        assert_int_equal(fault_target, (uint64_t)(uintptr_t)start + (uint64_t)(down ? -999 : 999));
        assert_int_equal(fault_address, fault_target);
        assert_int_equal(device.writes, 999);
        end(SEGUE_WINDOW_CALLBACK);
    }
    return 0;
}

static void device_that_refuses_leaves_the_elements_before_it(void **state)
{
    (void)state;
    struct child_result result = child_run("refuse_in_the_middle");
    assert_string_equal(result.output, "");
    assert_int_equal(result.status, 0);
}

/* A page is missing between regions. */
static int miss_in_the_middle(void)
{
    take_faults();
    for (int down = 0; down < 2; down++) {
        begin(SEGUE_WINDOW_ALIAS, 1, true);
        unsigned hole = down ? 5 : 15;
        assert_int_equal(segue_region_remove(closed + hole * PAGE), SEGUE_OK);
        munmap(closed + hole * PAGE, PAGE);
        char *start = closed + 10 * PAGE + 77;
        uint64_t before = down ? 4 * PAGE + 78 : 5 * PAGE - 77;
        assert_false(try_to_store(start, 10 * PAGE, down));
        assert_int_equal(fault_count, 10 * PAGE - before);
        assert_int_equal(fault_address, (uint64_t)(uintptr_t)closed + hole * PAGE + (down ? PAGE - 1 : 0));
        assert_int_equal(fault_target, fault_address);
        assert_false(wrong);
        struct segue_region again = {
            .window = {.base = (uint64_t)(uintptr_t)closed + hole * PAGE, .size = PAGE, .kind = SEGUE_WINDOW_EXPOSED}};
        mmap(closed + hole * PAGE, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        assert_int_equal(segue_region_add(&again), SEGUE_OK);
        end(SEGUE_WINDOW_ALIAS);
    }
    return 0;
}

static int miss_in_a_forced_window(void)
{
    take_faults();
    for (int down = 0; down < 2; down++) {
        begin(SEGUE_WINDOW_FORCED, PAGES, false);
        unsigned hole = down ? 5 : 15;
        munmap(closed + hole * PAGE, PAGE);
        char *start = closed + 10 * PAGE + 77;
        uint64_t before = down ? 4 * PAGE + 78 : 5 * PAGE - 77;
        assert_false(try_to_store(start, 10 * PAGE, down));
        assert_int_equal(fault_count, 10 * PAGE - before);
        assert_int_equal(fault_address, (uint64_t)(uintptr_t)closed + hole * PAGE + (down ? PAGE - 1 : 0));
        assert_int_equal(fault_target, fault_address);
        mmap(closed + hole * PAGE, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        end(SEGUE_WINDOW_FORCED);
    }
    return 0;
}

static void missing_page_stops_the_string_at_its_first_byte(void **state)
{
    static const char *const names[] = {"miss_in_the_middle", "miss_in_a_forced_window"};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct child_result result = child_run(names[i]);
        assert_string_equal(result.output, "");
        assert_int_equal(result.status, 0);
    }
}

/* ENTER's words lie on up to five pages: two that it pushes to, two that it reads frames from, and the one that it
 * probes. */
static void enter_reaches_any_number_of_regions(void **state)
{
    (void)state;
    begin(SEGUE_WINDOW_ALIAS, 1, true);
    uint64_t frames[33];
    for (unsigned i = 0; i < 33; i++) {
        frames[i] = 0x1111111111111111u * (i % 15 + 1);
        for (unsigned k = 0; k < 8; k++)
            *byte_at(100 * PAGE - 31 * 8 + 60 + i * 8 + k) = (char)(frames[i] >> 8 * k);
    }
    uint64_t stack = (uint64_t)(uintptr_t)closed + 200 * PAGE + 100,
             base = (uint64_t)(uintptr_t)closed + 100 * PAGE + 60;
    uint64_t after_stack, after_base, kept;
    unsigned long before = steps();
    __asm__ volatile("movq %%rsp, %[kept]\n\t"
                     "movq %%rbp, %%r12\n\t"
                     "movq %[kept], %%r13\n\t"
                     "movq %[stack], %%rsp\n\t"
                     "movq %[base], %%rbp\n\t"
                     "enter $4000, $31\n\t"
                     "movq %%rbp, %%rax\n\t"
                     "movq %%rsp, %%rdx\n\t"
                     "movq %%r13, %%rsp\n\t"
                     "movq %%r12, %%rbp\n\t"
                     : "=&a"(after_base), "=&d"(after_stack), [kept] "=&r"(kept)
                     : [stack] "r"(stack), [base] "r"(base)
                     : "memory", "r12", "r13", "cc");
    assert_int_equal(steps() - before, 1);
    assert_int_equal(after_base, stack - 8);
    assert_int_equal(after_stack, stack - 8 - 31 * 8 - 4000);
    for (unsigned i = 0; i < 30; i++)
        for (unsigned k = 0; k < 8; k++)
            assert_int_equal((uint8_t)*byte_at(200 * PAGE + 100 - 16 - i * 8 + k), (uint8_t)(frames[30 - i] >> 8 * k));
    assert_false(wrong);
    assert_int_equal(asked, 1 + 30 + 30 + 1 + 2 + 1);
    end(SEGUE_WINDOW_ALIAS);
}

int main(int argc, char **argv)
{
    static const struct child_case cases[] = {
        {"refuse_in_the_middle", refuse_in_the_middle},
        {"miss_in_the_middle", miss_in_the_middle},
        {"miss_in_a_forced_window", miss_in_a_forced_window},
    };
    child_main(argc, argv, cases, sizeof cases / sizeof *cases);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copy_of_any_length_goes_into_a_region_and_out),
        cmocka_unit_test(copy_goes_over_any_number_of_regions),
        cmocka_unit_test(search_begins_with_the_largest_count),
        cmocka_unit_test(search_begins_with_the_largest_count_of_32_bits),
        cmocka_unit_test(forced_window_takes_one_fault_a_page),
        cmocka_unit_test(device_sees_each_element_once_and_in_order),
        cmocka_unit_test(overlapping_copy_goes_element_by_element),
        cmocka_unit_test(policy_is_asked_about_what_the_step_does),
        cmocka_unit_test(device_that_refuses_leaves_the_elements_before_it),
        cmocka_unit_test(missing_page_stops_the_string_at_its_first_byte),
        cmocka_unit_test(enter_reaches_any_number_of_regions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
