/* handler_keys.c: the installed handler where pages have protection keys, and what the handlers behind it begin with.
 */
#include "tests/support/test.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "handler_fixture.h"
#include "signals/fault/keyed.h"
#include "tests/support/processor/pkru.h"
#include "tests/support/processor/registers.h"
#include "tests/support/processor/tiles.h"

#ifndef SEGV_PKUERR
#define SEGV_PKUERR 4
#endif
#define ROUNDS 500

/* ---- memory behind a key ---------------------------------------------------------------------------------------- */

static int key;
static char *keyed;

/* One page whose rights the calling thread may set; closed to every handler. */
static void make_keyed_page(void)
{
    key = pkey_alloc(0, 0);
    assert_true(key > 0);
    keyed = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_int_equal(pkey_mprotect(keyed, PAGE, PROT_READ | PROT_WRITE, key), 0);
}

static void drop_keyed_page(void)
{
    munmap(keyed, PAGE);
    pkru_write(PKRU_INITIAL);
    pkey_free(key);
}

/* ---- who had the handler before ---------------------------------------------------------------------------------- */

static struct {
    unsigned calls;
    siginfo_t info;
    uint32_t rights;
    uint64_t mask_register;
    unsigned char zmm31[64];
} seen;

/* Skips this much of the program. */
static unsigned instruction_size;

__attribute__((target("avx512f,avx512bw"))) static void note_vectors(void)
{
    __asm__ volatile("vmovdqu64 %%zmm31, %0\n\tkmovq %%k3, %1" : "=m"(seen.zmm31), "=m"(seen.mask_register));
}

static void previous(int number, siginfo_t *info, void *context)
{
    ucontext_t *frame = context;
    unsigned a, b, c, d;
    (void)number;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_AVX512F) && (b & bit_AVX512BW))
        note_vectors();
    seen.calls++;
    seen.info = *info;
    seen.rights = key ? pkru_read() : 0;
    frame->uc_mcontext.gregs[REG_RIP] += instruction_size;
}

static void install_over(unsigned size)
{
    struct sigaction action = {.sa_sigaction = previous, .sa_flags = SA_SIGINFO | SA_NODEFER};
    instruction_size = size;
    memset(&seen, 0, sizeof seen);
    assert_int_equal(sigaction(SIGSEGV, &action, NULL), 0);
    assert_int_equal(segue_install(NULL), SEGUE_OK);
}

/* ---- steps --------------------------------------------------------------------------------------------------------
 */

static void step_leaves_the_threads_rights_alone(void **state)
{
    (void)state;
    skip_if(pkru_missing());
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(add(0, 1, NULL, NULL), SEGUE_OK);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        uint32_t rights = i * 0x9e3779b9u & ~3u;
        pkru_write(rights);
        uint64_t value = load(page_of(0) + 8);
        uint32_t after = pkru_read();
        pkru_write(PKRU_INITIAL);
        assert_int_equal(value, 8);
        assert_int_equal(after, rights);
    }
}

#define MOVS_SIZE 2
static void copy_quad(void *to, const void *from)
{
    __asm__ volatile("movsq" : "+D"(to), "+S"(from) : : "memory");
}

/* The other operand lies behind a key that the thread has, and the handler has not. */
static void other_operand_is_reached_by_the_threads_rights(void **state)
{
    (void)state;
    skip_if(pkru_missing());
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    make_keyed_page();
    assert_int_equal(add(0, 1, NULL, NULL), SEGUE_OK);
    copy_quad(keyed + 16, page_of(0) + 24);
    assert_int_equal(*(uint64_t *)(void *)(keyed + 16), 24);
    *(uint64_t *)(void *)(keyed + 32) = 77;
    copy_quad(page_of(0) + 40, keyed + 32);
    assert_int_equal(((uint64_t *)memory.alias)[5], 77);
    drop_keyed_page();
}

/* What it may not touch is its own fault, reported as the kernel would have reported it. */
static void other_operand_that_the_thread_may_not_touch_is_its_own_fault(void **state)
{
    (void)state;
    skip_if(pkru_missing());
    install_over(MOVS_SIZE);
    make_keyed_page();
    keyed[16] = 1;
    assert_int_equal(add(0, 1, NULL, NULL), SEGUE_OK);
    for (unsigned i = 0; i < 2; i++) {
        pkru_write(PKRU_INITIAL & ~PKRU_NO_ACCESS(key) & ~PKRU_NO_WRITE(key));
        memset(keyed, 0x5a, PAGE);
        pkru_write(i ? (PKRU_INITIAL & ~PKRU_NO_ACCESS(key)) | PKRU_NO_WRITE(key) : PKRU_INITIAL);
        uint32_t rights = pkru_read();
        seen.calls = 0;
        copy_quad(keyed + 16, page_of(0) + 24);
        assert_int_equal(seen.calls, 1);
        assert_int_equal(seen.info.si_code, SEGV_PKUERR);
        assert_ptr_equal(seen.info.si_addr, keyed + 16);
        assert_int_equal(seen.info.si_pkey, key);
        assert_int_equal(seen.rights, PKRU_INITIAL);
        assert_int_equal(pkru_read(), rights);
        pkru_write(PKRU_INITIAL & ~PKRU_NO_ACCESS(key));
        assert_int_equal(keyed[16], 0x5a);
    }
    drop_keyed_page();
}

/* ---- regions behind a key ------------------------------------------------------------------------------------------
 */

#define LOAD_SIZE 3

/* Open pages or closed ones: the thread may not touch them for the key's sake. */
static void page_behind_a_key_is_the_programs_own_affair(void **state)
{
    struct notes notes = {.verdict = SEGUE_STEP};
    (void)state;
    skip_if(pkru_missing());
    install_over(LOAD_SIZE);
    key = pkey_alloc(0, PKEY_DISABLE_ACCESS);
    assert_int_equal(add(0, 1, take_notes, &notes), SEGUE_OK);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(pkey_mprotect(page_of(0), PAGE, i ? PROT_NONE : PROT_READ | PROT_WRITE, key), 0);
        seen.calls = 0;
        load(page_of(0) + 8);
        assert_int_equal(seen.calls, 1);
        assert_int_equal(seen.info.si_code, SEGV_PKUERR);
        assert_int_equal(notes.calls, 0);
    }
    /* With the right to it, a closed page is the region's. */
    pkru_write(PKRU_INITIAL & ~PKRU_NO_ACCESS(key));
    assert_int_equal(load(page_of(0) + 8), 8);
    assert_int_equal(notes.calls, 1);
    assert_int_equal(pkey_mprotect(page_of(0), PAGE, PROT_READ | PROT_WRITE, 0), 0);
    pkru_write(PKRU_INITIAL);
    pkey_free(key);
}

/* A page that is closed to some threads by a key, and stepped for them. */
static void region_that_asks_for_it_serves_faults_of_keys(void **state)
{
    struct notes notes = {.verdict = SEGUE_STEP};
    (void)state;
    skip_if(pkru_missing());
    install_over(LOAD_SIZE);
    key = pkey_alloc(0, PKEY_DISABLE_ACCESS);
    struct segue_region region = {
        .window = {.base = (uintptr_t)page_of(0), .size = PAGE, .kind = SEGUE_WINDOW_ALIAS, .alias = memory.alias},
        .policy = take_notes,
        .context = &notes,
        .flags = SEGUE_REGION_PROTECTION_KEYS,
    };
    assert_int_equal(segue_region_add(&region), SEGUE_OK);
    assert_int_equal(pkey_mprotect(page_of(0), PAGE, PROT_READ | PROT_WRITE, key), 0);
    assert_int_equal(load(page_of(0) + 8), 8);
    store(page_of(0) + 16, 99);
    assert_int_equal(((uint64_t *)memory.alias)[2], 99);
    assert_int_equal(notes.calls, 2);
    assert_int_equal(seen.calls, 0);
    /* A thread with the right does not fault. */
    pkru_write(PKRU_INITIAL & ~PKRU_NO_ACCESS(key));
    assert_int_equal(load(page_of(0) + 16), 99);
    assert_int_equal(notes.calls, 2);
    pkey_mprotect(page_of(0), PAGE, PROT_READ | PROT_WRITE, 0);
    pkru_write(PKRU_INITIAL);
    pkey_free(key);
}

/* ---- policies that change what a handler begins with ---------------------------------------------------------------
 */

static enum segue_verdict open_alias(void *context, const struct segue_event *event)
{
    (void)event;
    pkru_write(pkru_read() & ~PKRU_NO_ACCESS(key));
    return *(enum segue_verdict *)context;
}

/* The memory behind the region is kept from everybody by a key, which only the policy opens, for the one step. */
static void policy_opens_the_alias_for_one_step(void **state)
{
    enum segue_verdict verdict = SEGUE_STEP;
    (void)state;
    skip_if(pkru_missing());
    install_over(LOAD_SIZE);
    key = pkey_alloc(0, PKEY_DISABLE_ACCESS);
    assert_int_equal(add(0, 1, open_alias, &verdict), SEGUE_OK);
    assert_int_equal(pkey_mprotect(memory.alias, PAGE, PROT_READ | PROT_WRITE, key), 0);
    assert_int_equal(load(page_of(0) + 8), 8);
    assert_int_equal(seen.calls, 0);
    assert_int_equal(pkru_read(), PKRU_INITIAL);
    /* Who is handed the fault on begins as ever. */
    verdict = SEGUE_PASS;
    load(page_of(0) + 8);
    assert_int_equal(seen.calls, 1);
    assert_int_equal(seen.rights, PKRU_INITIAL);
    assert_int_equal(seen.info.si_code, SEGV_ACCERR);
    pkey_mprotect(memory.alias, PAGE, PROT_READ | PROT_WRITE, 0);
    pkey_free(key);
}

/* All that the handler stands on is behind key 0. Linux gives no signal to a thread that may not write there (6.18), so
 * this cannot be seen in a whole fault. */
static void thread_that_may_not_touch_what_the_handler_stands_on_is_not_stepped(void **state)
{
    static _Alignas(64) unsigned char area[4096];
    const struct segue_xstate image = {.area = area, .size = sizeof area, .features = PKRU_BIT};
    static const struct {
        uint32_t thread, handler;
        bool refused;
    } cases[] = {
        {PKRU_INITIAL, PKRU_INITIAL, false},
        {0, PKRU_INITIAL, false},
        {0xaaaaaaa8, PKRU_INITIAL, false},
        {0xfffffffc, PKRU_INITIAL, false},
        {PKRU_INITIAL | 1, PKRU_INITIAL, true},
        {PKRU_INITIAL | 2, PKRU_INITIAL, true},
        {3, PKRU_INITIAL, true},
        {PKRU_INITIAL, PKRU_INITIAL & ~PKRU_NO_ACCESS(5), true},
        {PKRU_NO_WRITE(5), PKRU_INITIAL & ~PKRU_NO_ACCESS(5), true},
        {PKRU_NO_WRITE(5), PKRU_NO_WRITE(5), false},
        {PKRU_NO_WRITE(5), PKRU_NO_ACCESS(5), false},
        {PKRU_NO_ACCESS(5), PKRU_NO_WRITE(5), true},
    };
    unsigned offset, size, c, d;
    (void)state;
    skip_if(pkru_missing());
    __cpuid_count(0xd, 9, size, offset, c, d);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        area[513] = 2;
        memcpy(area + offset, &cases[i].thread, sizeof cases[i].thread);
        const char *why = keyed_refusal(&image, cases[i].handler);
        if (!why == cases[i].refused)
            fail_msg("case %zu: %s", i, why ? why : "it is not refused");
    }
}

#define MOV_RAX_RDI_RET "\x48\x8b\x07\xc3"

/* Linux closes pages that may be executed only by a key of its own: their instructions are stepped nevertheless. */
static void code_that_may_only_be_executed_is_stepped(void **state)
{
    (void)state;
    uint64_t (*function)(const void *);
    char *code = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy(code, MOV_RAX_RDI_RET, sizeof MOV_RAX_RDI_RET);
    assert_int_equal(mprotect(code, PAGE, PROT_EXEC), 0);
    memcpy(&function, &code, sizeof function);
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(add(0, 1, NULL, NULL), SEGUE_OK);
    assert_int_equal(function(page_of(0) + 48), 48);
    munmap(code, PAGE);
}

/* ---- what a handler behind ours begins with
 * -------------------------------------------------------------------------- */

static enum segue_verdict dirty_vectors(void *context, const struct segue_event *event)
{
    (void)context, (void)event;
    __asm__ volatile("vpternlogd $0xff, %%zmm31, %%zmm31, %%zmm31\n\tkxnorq %%k3, %%k3, %%k3" ::: "memory");
    return SEGUE_PASS;
}

static void handler_behind_a_policy_begins_with_initial_registers(void **state)
{
    unsigned a, b, c, d;
    static const unsigned char zero[64];
    (void)state;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & bit_AVX512F) || !(b & bit_AVX512BW)) {
        print_message("SKIP: the processor has no AVX-512\n");
        skip();
    }
    install_over(LOAD_SIZE);
    assert_int_equal(add(0, 1, dirty_vectors, NULL), SEGUE_OK);
    load(page_of(0));
    assert_int_equal(seen.calls, 1);
    assert_memory_equal(seen.zmm31, zero, sizeof zero);
    assert_int_equal(seen.mask_register, 0);
}

/* ---- threads with tiles
 * ---------------------------------------------------------------------------------------------- */

/* The last, since what was asked for cannot be given back. The frame is four times as large; the alternate stacks that
 * the library gives are large enough, or the kernel would refuse. */
static void thread_with_tiles_is_stepped(void **state)
{
    static _Alignas(64) unsigned char before[2 * TILE_BYTES], after[2 * TILE_BYTES];
    struct notes notes = {.verdict = SEGUE_PASS};
    (void)state;
    install_over(LOAD_SIZE);
    skip_if(tiles_missing());
    assert_int_equal(add(0, 1, NULL, NULL), SEGUE_OK);
    for (size_t i = 0; i < sizeof before; i++)
        before[i] = (unsigned char)(i * 7 + 1);
    tiles_configure();
    tiles_load(before);
    for (unsigned i = 0; i < ROUNDS; i++)
        assert_int_equal(load(page_of(0) + 8), 8);
    tiles_store(after);
    assert_memory_equal(after, before, sizeof before);
    /* Handed on: the frame is moved to the thread's own stack, and the thread goes on from there. */
    assert_int_equal(add(1, 1, take_notes, &notes), SEGUE_OK);
    for (unsigned i = 0; i < ROUNDS; i++)
        load(page_of(1) + 8);
    assert_int_equal(seen.calls, ROUNDS);
    tiles_store(after);
    assert_memory_equal(after, before, sizeof before);
    tiles_release();
    assert_int_equal(load(page_of(0) + 8), 8);
    assert_int_equal(tiles_in_use(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(step_leaves_the_threads_rights_alone),
        FIXTURE_TEST(other_operand_is_reached_by_the_threads_rights),
        FIXTURE_TEST(other_operand_that_the_thread_may_not_touch_is_its_own_fault),
        FIXTURE_TEST(page_behind_a_key_is_the_programs_own_affair),
        FIXTURE_TEST(region_that_asks_for_it_serves_faults_of_keys),
        FIXTURE_TEST(policy_opens_the_alias_for_one_step),
        FIXTURE_TEST(thread_that_may_not_touch_what_the_handler_stands_on_is_not_stepped),
        FIXTURE_TEST(code_that_may_only_be_executed_is_stepped),
        FIXTURE_TEST(handler_behind_a_policy_begins_with_initial_registers),
        FIXTURE_TEST(thread_with_tiles_is_stepped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
