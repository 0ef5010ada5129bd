/* patch_segment.c: accesses through GS become accesses through FS, at the fault: what is rewritten, emulated, undone
 * and passed on, and fresh sites under two threads.
 *
 * The library's own handler serves threads whose GS base is 0, as it is in any Linux program. From fs: to gs: is in
 * patch_segment_without_fs.c. */
#include "segment_fixture.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <segue/mapping.h>

#include "tests/support/times.h"

/* --- The library's handler: gs: becomes fs:. --- */

/* How many patches there are, and one of them. */
struct listed {
    size_t count;
    struct segue_patch last;
};

static enum segue_status list_patch(void *context, const struct segue_patch *patch)
{
    struct listed *listed = context;
    assert_true(listed->count == 0 || patch->address > listed->last.address);
    listed->count++;
    listed->last = *patch;
    return SEGUE_OK;
}

static struct listed list_patches(void)
{
    struct listed listed = {0};
    assert_int_equal(segue_patches_list(0, SIZE_MAX, list_patch, &listed), SEGUE_OK);
    return listed;
}

static void site_is_rewritten_at_its_first_fault_and_never_faults_again(void **state)
{
    char *code = CODE("\x65\x48\x8b\x04\x25\x10\0\0\0\xc3");
    (void)state;
    begin(gs_to_fs, 0);
    uint64_t before = faults();
    assert_int_equal(call(code, 0), fs_base());
    assert_int_equal(faults(), before + 1);
    assert_memory_equal(code, "\x64\x48\x8b\x04\x25\x10\0\0\0\xc3", 10);
    for (int i = 0; i < 1000; i++)
        call(code, 0);
    assert_int_equal(faults(), before + 1);
    struct listed listed = list_patches();
    assert_int_equal(listed.count, 1);
    assert_int_equal(listed.last.address, (uint64_t)code);
    assert_int_equal(listed.last.changed, (uint64_t)code);
    assert_int_equal(listed.last.kind, SEGUE_PATCH_SEGMENT);
    assert_int_equal(listed.last.length, 1);
    assert_int_equal(listed.last.old_bytes[0], 0x65);
    assert_int_equal(listed.last.new_bytes[0], 0x64);
    assert_int_equal(listed.last.faults, 1);
    assert_true(listed.last.time != 0 && !listed.last.undone);
    assert_int_equal(segue_patches_list((uint64_t)code + 1, PAGE, list_patch, NULL), SEGUE_OK);
    assert_int_equal(segue_patches_list(0, SIZE_MAX, NULL, NULL), SEGUE_INVALID);
    undo_and_stop();
    assert_int_equal((uint8_t)code[0], 0x65);
    munmap(code, 2 * PAGE);
}

static void errno_in_handler_is_kept(void **state)
{
    char *code = CODE("\x65\x48\x8b\x04\x25\x10\0\0\0\xc3");
    (void)state;
    /* Rewritten, and emulated. */
    for (uint32_t flags = 0; flags <= SEGUE_SEGMENT_EMULATE; flags += SEGUE_SEGMENT_EMULATE) {
        begin(gs_to_fs, flags);
        uint64_t before = faults();
        errno = 77;
        assert_int_equal(call(code, 0), fs_base());
        assert_int_equal(errno, 77);
        assert_int_equal(faults(), before + 1);
        undo_and_stop();
    }
    munmap(code, 2 * PAGE);
}

/* What an encoder would write shorter: a displacement that fits one byte, an address that has a form of its own,
 * prefixes that say nothing. */
static void encoder_shortening_does_not_happen(void **state)
{
    static const struct {
        const char *bytes;
        size_t size, index;
    } codes[] = {
        {"\x65\x48\x8b\x04\x25\x10\0\0\0\xc3", 10, 0}, {"\x65\x48\x8b\x87\x10\0\0\0\xc3", 9, 0},
        {"\x65\x48\x8b\x84\x27\x10\0\0\0\xc3", 10, 0}, {"\x65\x48\xa1\x10\0\0\0\0\0\0\0\xc3", 12, 0},
        {"\x3e\x3e\x65\x48\x8b\x47\x10\xc3", 8, 2},
    };
    (void)state;
    begin(gs_to_fs, 0);
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        char *code = code_map(codes[i].bytes, codes[i].size);
        assert_int_equal(call(code, 0), fs_base());
        for (size_t at = 0; at < codes[i].size; at++)
            assert_int_equal((uint8_t)code[at], at == codes[i].index ? 0x64 : (uint8_t)codes[i].bytes[at]);
        assert_int_equal(segue_patches_undo((uint64_t)code, PAGE, NULL), SEGUE_OK);
        munmap(code, 2 * PAGE);
    }
    stop();
}

static void prefixes_66_66_66_64_and_others_are_rewritten_where_they_stand(void **state)
{
    static const struct {
        const char *bytes;
        size_t size, index;
    } codes[] = {
        {"\x66\x66\x66\x65\x48\x8b\x04\x25\x10\0\0\0\xc3", 13, 3},
        {"\x64\x65\x48\x8b\x04\x25\x10\0\0\0\xc3", 11, 1},
        {"\x65\x2e\x48\x8b\x04\x25\x10\0\0\0\xc3", 11, 0},
        {"\x67\x65\x48\x8b\x04\x25\x10\0\0\0\xc3", 11, 1},
        {"\x65\xc5\xfb\x10\x04\x25\x10\0\0\0\x66\x48\x0f\x7e\xc0\xc3", 16, 0},
    };
    (void)state;
    begin(gs_to_fs, 0);
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        char *code = code_map(codes[i].bytes, codes[i].size);
        assert_int_equal(call(code, 0), fs_base());
        for (size_t at = 0; at < codes[i].size; at++)
            assert_int_equal((uint8_t)code[at], at == codes[i].index ? 0x64 : (uint8_t)codes[i].bytes[at]);
        segue_patches_undo((uint64_t)code, PAGE, NULL);
        munmap(code, 2 * PAGE);
    }
    stop();
}

/* page-start: a site that is a page's first byte, and one that two pages share. */
static void page_start_and_page_end_are_no_special_places(void **state)
{
    static const char bytes[] = "\x65\x48\x8b\x04\x25\x10\0\0\0\xc3";
    (void)state;
    begin(gs_to_fs, 0);
    for (size_t offset = PAGE - 10; offset <= PAGE; offset++) {
        char *code = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        memcpy(code + offset, bytes, sizeof bytes - 1);
        mprotect(code, 2 * PAGE, PROT_READ | PROT_EXEC);
        assert_int_equal(call(code + offset, 0), fs_base());
        assert_int_equal((uint8_t)code[offset], 0x64);
        munmap(code, 2 * PAGE);
    }
    stop();
}

static void genuine_fault_goes_to_the_program_at_its_own_address(void **state)
{
    char *code = CODE("\x65\x48\x8b\x07\xc3");
    char *closed = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint64_t offset = (uint64_t)closed - fs_base();
    (void)state;
    begin(gs_to_fs, 0);
    /* Before rewriting: the first fault rewrites, the second is the program's. After: one, the program's. */
    for (int i = 0; i < 2; i++) {
        memset(&passed, 0, sizeof passed);
        passed.length = 4;
        uint64_t before = faults();
        call(code, offset);
        assert_int_equal(passed.count, 1);
        assert_int_equal(passed.address, (uint64_t)closed);
        assert_int_equal(passed.code, SEGV_ACCERR);
        assert_int_equal(passed.rdi, offset);
        assert_int_equal(faults() - before, i == 0 ? 2 : 1);
    }
    undo_and_stop();
    munmap(code, 2 * PAGE);
    munmap(closed, PAGE);
}

static void protection_fault_is_tried_once_and_then_the_programs(void **state)
{
    char *code = CODE("\x65\x48\x8b\x07\xc3");
    (void)state;
    begin(gs_to_fs, 0);
    for (int i = 0; i < 3; i++) {
        memset(&passed, 0, sizeof passed);
        passed.length = 4;
        uint64_t before = faults();
        call(code, 0x8000000000000000u);
        assert_int_equal(passed.count, 1);
        assert_int_equal(passed.code, SI_KERNEL);
        /* The first of them rewrites, or tries again. */
        assert_int_equal(faults() - before, 2);
    }
    undo_and_stop();
    munmap(code, 2 * PAGE);
}

static void emulating_leaves_the_code_as_it_is(void **state)
{
    char *code = CODE("\x65\x48\x8b\x04\x25\x10\0\0\0\xc3");
    char *adds = CODE("\x65\x48\x01\x07\xc3");
    char *closed = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    (void)state;
    begin(gs_to_fs, SEGUE_SEGMENT_EMULATE);
    for (int i = 0; i < 10; i++)
        assert_int_equal(call(code, 0), fs_base());
    assert_int_equal((uint8_t)code[0], 0x65);
    /* What cannot be done goes to the program, at the address that it meant. */
    memset(&passed, 0, sizeof passed);
    passed.length = 4;
    call(adds, (uint64_t)closed - fs_base());
    assert_int_equal(passed.count, 1);
    assert_int_equal(passed.address, (uint64_t)closed);
    assert_int_equal((uint8_t)adds[0], 0x65);
    stop();
    munmap(code, 2 * PAGE);
    munmap(adds, 2 * PAGE);
    munmap(closed, PAGE);
}

static void chosen_base_is_used(void **state)
{
    char *code = CODE("\x65\x48\x8b\x07\xc3");
    uint64_t words[4] = {1, 2, 3, 4};
    struct segue_segment_options options = {
        .rewrite = gs_to_fs,
        .flags = SEGUE_SEGMENT_EMULATE | SEGUE_SEGMENT_CHOSEN_BASE,
        .base = (uint64_t)(uintptr_t)words,
    };
    (void)state;
    begin_with(&options);
    assert_int_equal(call(code, 16), 3);
    assert_int_equal(call(code, 24), 4);
    stop();
    options.flags = SEGUE_SEGMENT_CHOSEN_BASE;
    assert_int_equal(segue_segment_enable(&options), SEGUE_INVALID);
    munmap(code, 2 * PAGE);
}

/* Code that can be written in no way: a shared mapping of a file that is open for reading alone. */
static void code_that_cannot_be_written_is_emulated(void **state)
{
    char name[] = "/tmp/segue-code-XXXXXX";
    int file = mkstemp(name);
    (void)state;
    assert_int_equal(write(file, "\x65\x48\x8b\x04\x25\x10\0\0\0\xc3", 10), 10);
    close(file);
    FILE *reading = fopen(name, "r");
    char *code = mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, fileno(reading), 0);
    fclose(reading);
    unlink(name);
    assert_true(code != MAP_FAILED);
    begin(gs_to_fs, 0);
    assert_int_equal(call(code, 0), fs_base());
    assert_int_equal((uint8_t)code[0], 0x65);
    undo_and_stop();
    munmap(code, PAGE);
}

static void undone_site_faults_and_is_rewritten_again(void **state)
{
    struct listed listed;
    size_t count;
    char *code = CODE("\x65\x48\x8b\x04\x25\x10\0\0\0\xc3");
    (void)state;
    begin(gs_to_fs, 0);
    for (unsigned i = 1; i <= 3; i++) {
        assert_int_equal(call(code, 0), fs_base());
        listed = list_patches();
        assert_int_equal(listed.last.faults, i);
        assert_false(listed.last.undone);
        assert_int_equal(segue_patches_undo((uint64_t)code, 1, &count), SEGUE_OK);
        assert_int_equal(count, 1);
        assert_int_equal((uint8_t)code[0], 0x65);
        listed = list_patches();
        assert_int_equal(listed.count, 1);
        assert_true(listed.last.undone);
    }
    /* Another's byte is left alone. */
    call(code, 0);
    mprotect(code, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
    code[0] = (char)0x90;
    assert_int_equal(segue_patches_undo(0, SIZE_MAX, &count), SEGUE_OK);
    assert_int_equal(count, 0);
    assert_int_equal((uint8_t)code[0], 0x90);
    stop();
    assert_int_equal(segue_segment_disable(), SEGUE_NOT_FOUND);
    munmap(code, 2 * PAGE);
}

/* As by dlclose: the program need not say so before it undoes the others. */
static void undoing_passes_over_code_that_is_gone(void **state)
{
    size_t count;
    char *gone = CODE("\x65\x48\x8b\x04\x25\x10\0\0\0\xc3"), *code = CODE("\x65\x48\x8b\x04\x25\x10\0\0\0\xc3");
    (void)state;
    begin(gs_to_fs, 0);
    assert_int_equal(call(gone, 0), fs_base());
    assert_int_equal(call(code, 0), fs_base());
    munmap(gone, 2 * PAGE);
    assert_int_equal(segue_patches_undo(0, SIZE_MAX, &count), SEGUE_OK);
    assert_int_equal(count, 1);
    assert_int_equal((uint8_t)code[0], 0x65);
    stop();
    munmap(code, 2 * PAGE);
}

static void range_is_rewritten_before_it_can_fault(void **state)
{
    static const char bytes[] = "\x65\x48\x8b\x04\x25\x10\0\0\0\xc3";
    struct segue_rewrite_counts counts;
    struct segue_mapping mapping;
    (void)state;
    begin(gs_to_fs, 0);
    assert_int_equal(segue_mapping_create(NULL, PAGE, &mapping), SEGUE_OK);
    memcpy(mapping.alias, bytes, sizeof bytes - 1);
    mprotect(mapping.memory, PAGE, PROT_READ | PROT_EXEC);
    struct segue_segment_code code = {mapping.memory, sizeof bytes - 1, (uint64_t)mapping.memory, NULL, 0, {0}};
    uint64_t before = faults();
    assert_int_equal(segue_segment_rewrite(&code, mapping.alias, &counts), SEGUE_OK);
    assert_int_equal(counts.rewritten, 1);
    assert_int_equal(call(mapping.memory, 0), fs_base());
    assert_int_equal(faults(), before);
    /* Memory that will hold other code. */
    assert_int_equal(segue_patches_forget((uint64_t)mapping.memory, PAGE), SEGUE_OK);
    size_t undone;
    assert_int_equal(segue_patches_undo(0, SIZE_MAX, &undone), SEGUE_OK);
    assert_int_equal(undone, 0);
    stop();
    assert_int_equal(segue_segment_rewrite(&code, NULL, NULL), SEGUE_NOT_FOUND);
    segue_mapping_destroy(&mapping);
}

/* --- Two threads at the same fresh sites. --- */

#define SLOT 16u
#define IN_STEP 64u

static struct {
    char *memory;
    size_t sites;
    uint32_t arrived;
} jit;

/* Both walk over the same sites, and wait for each other every few. */
static void *walk_over_sites(void *sum)
{
    uint64_t own = fs_base(), right = 0;
    for (size_t i = 0; i < jit.sites; i += IN_STEP) {
        uint32_t wanted = (uint32_t)(i / IN_STEP + 1) * 2;
        __atomic_fetch_add(&jit.arrived, 1, __ATOMIC_ACQ_REL);
        while ((int32_t)(__atomic_load_n(&jit.arrived, __ATOMIC_ACQUIRE) - wanted) < 0)
            __builtin_ia32_pause();
        for (size_t k = i; k < i + IN_STEP && k < jit.sites; k++)
            right += call(jit.memory + SLOT * k, 0) == own;
    }
    *(uint64_t *)sum = right;
    return NULL;
}

static size_t sites_in_torture(void)
{
    const char *given = getenv("SEGUE_SITES");
    return given ? strtoul(given, NULL, 10) : 10000 * test_times();
}

static void fresh_sites_are_each_rewritten_once_under_two_threads(void **state)
{
    static const char bytes[SLOT] = "\x65\x48\x8b\x04\x25\x10\0\0\0\xc3";
    pthread_t threads[2];
    uint64_t right[2];
    (void)state;
    jit.sites = sites_in_torture();
    jit.memory = mmap(NULL, jit.sites * SLOT, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (size_t i = 0; i < jit.sites; i++)
        memcpy(jit.memory + SLOT * i, bytes, SLOT);
    mprotect(jit.memory, jit.sites * SLOT, PROT_READ | PROT_EXEC);
    begin(gs_to_fs, 0);
    uint64_t before = faults();
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, walk_over_sites, &right[i]);
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(right[i], jit.sites);
    }
    uint64_t seen = faults() - before;
    assert_true(seen >= jit.sites && seen <= 2 * jit.sites);
    assert_int_equal(list_patches().count, jit.sites);
    for (size_t i = 0; i < jit.sites; i++)
        assert_int_equal((uint8_t)jit.memory[SLOT * i], 0x64);
    printf("%zu sites, %llu faults\n", jit.sites, (unsigned long long)seen);
    stop();
    munmap(jit.memory, jit.sites * SLOT);
}

/* One thread takes back all the time what the other's faults rewrite. */
static bool undoing;

static void *undo_all_the_time(void *unused)
{
    while (__atomic_load_n(&undoing, __ATOMIC_RELAXED))
        segue_patches_undo(0, SIZE_MAX, NULL);
    return unused;
}

static void undo_under_a_running_thread_is_never_seen(void **state)
{
    pthread_t thread;
    struct segue_segment_options options = {.rewrite = gs_to_fs, .capacity = 16};
    char *code = CODE("\x65\x48\x8b\x04\x25\x10\0\0\0\xc3");
    uint64_t own = fs_base();
    (void)state;
    begin_with(&options);
    undoing = true;
    pthread_create(&thread, NULL, undo_all_the_time, NULL);
    for (int i = 0; i < 300000; i++)
        assert_true(call(code, 0) == own);
    __atomic_store_n(&undoing, false, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    undo_and_stop();
    munmap(code, 2 * PAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(site_is_rewritten_at_its_first_fault_and_never_faults_again),
        cmocka_unit_test(errno_in_handler_is_kept),
        cmocka_unit_test(encoder_shortening_does_not_happen),
        cmocka_unit_test(prefixes_66_66_66_64_and_others_are_rewritten_where_they_stand),
        cmocka_unit_test(page_start_and_page_end_are_no_special_places),
        cmocka_unit_test(genuine_fault_goes_to_the_program_at_its_own_address),
        cmocka_unit_test(protection_fault_is_tried_once_and_then_the_programs),
        cmocka_unit_test(emulating_leaves_the_code_as_it_is),
        cmocka_unit_test(chosen_base_is_used),
        cmocka_unit_test(code_that_cannot_be_written_is_emulated),
        cmocka_unit_test(undone_site_faults_and_is_rewritten_again),
        cmocka_unit_test(undoing_passes_over_code_that_is_gone),
        cmocka_unit_test(range_is_rewritten_before_it_can_fault),
        cmocka_unit_test(fresh_sites_are_each_rewritten_once_under_two_threads),
        cmocka_unit_test(undo_under_a_running_thread_is_never_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
