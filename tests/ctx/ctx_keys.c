/* ctx_keys.c: state that a handler begins with otherwise than the thread that it interrupts, or that its frame may have
 * no room for: protection keys and tiles. Every way out of a handler leaves the thread with its own. */
#include "tests/support/test.h"

#include <cpuid.h>
#include <errno.h>
#include <segue/linux.h>
#include <segue/posix.h>
#include <string.h>
#include <sys/wait.h>
#include <ucontext.h>

#include "tests/support/processor/pkru.h"
#include "tests/support/processor/tiles.h"

#define ROUNDS 2000
#define STACK_SIZE 131072
#define HEADER 512
#define RESUME_FLAG 0x10000

static _Alignas(64) char alternate[STACK_SIZE];
static uint64_t seed = 0x9e3779b97f4a7c15u;

static uint32_t random_word(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 16);
}

/* ---- a fault, and what its handler does ------------------------------------------------------------------------- */

static enum segue_restore_method method;
static bool clears_resume_flag;
/* What the handler does before it leaves; and how it leaves. */
static void (*in_handler)(struct segue_frame *frame, struct segue_xstate *image);
/* Set when segue_frame_restore returned. */
static enum segue_status status;
static uint32_t frame_size;
/* The process whose handler it is. */
static pid_t cloner;

static void frame_state(const struct segue_frame *frame, struct segue_xstate *state)
{
    const ucontext_t *ucontext = frame->native[1];
    char *area = (char *)ucontext->uc_mcontext.fpregs;
    memcpy(&state->features, area + 472, 8);
    memcpy(&state->size, area + 480, 4);
    state->area = area;
    frame_size = state->size;
}

static void skip_instruction(int number, siginfo_t *info, void *ucontext)
{
    struct segue_frame frame;
    struct segue_xstate image = {.area = NULL};
    (void)number, (void)info;
    segue_frame_open(&frame, NULL, ucontext);
    frame.regs.rip += 2;
    if (clears_resume_flag)
        frame.regs.rflags &= ~(uint64_t)RESUME_FLAG;
    if (in_handler)
        in_handler(&frame, &image);
    frame.xstate = image;
    status = segue_frame_restore(&frame, method);
}

static void install(enum segue_restore_method how, void (*what)(struct segue_frame *, struct segue_xstate *))
{
    struct sigaction action = {.sa_sigaction = skip_instruction, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    stack_t stack = {.ss_sp = alternate, .ss_size = sizeof alternate};
    method = how;
    in_handler = what;
    cloner = getpid();
    assert_int_equal(sigaltstack(&stack, NULL), 0);
    assert_int_equal(sigaction(SIGSEGV, &action, NULL), 0);
}

static void fault(void)
{
    status = SEGUE_BUSY;
    clears_resume_flag = !clears_resume_flag;
    __asm__ volatile("movb (%%rax), %%al" : : "a"(NULL) : "memory");
}

/* ---- protection keys -------------------------------------------------------------------------------------------- */

/* Key 0 stays open: all of this program is behind it. */
static uint32_t random_rights(void)
{
    return random_word() & ~3u;
}

/* Nothing that a handler needs is behind another key, so all of these go directly. */
static void direct_restores_the_threads_rights(void **state)
{
    (void)state;
    skip_if(pkru_missing());
    install(SEGUE_RESTORE_DIRECT, NULL);
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint32_t rights = i % 4 == 0 ? 0 : i % 4 == 1 ? PKRU_INITIAL : random_rights();
        pkru_write(rights);
        fault();
        uint32_t after = pkru_read();
        pkru_write(PKRU_INITIAL);
        assert_int_equal(after, rights);
        assert_int_equal(status, SEGUE_BUSY);
    }
    signal(SIGSEGV, SIG_DFL);
}

static void return_restores_the_threads_rights(void **state)
{
    (void)state;
    skip_if(pkru_missing());
    install(SEGUE_RESTORE_RETURN, NULL);
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint32_t rights = random_rights();
        pkru_write(rights);
        fault();
        uint32_t after = pkru_read();
        pkru_write(PKRU_INITIAL);
        assert_int_equal(after, rights);
        assert_int_equal(status, SEGUE_OK);
    }
    signal(SIGSEGV, SIG_DFL);
}

static uint32_t opened;

static void open_keys(struct segue_frame *frame, struct segue_xstate *image)
{
    (void)frame, (void)image;
    pkru_write(opened);
}

/* What the handler stands on could be behind a key that it has opened, so it must not be closed before it has gone. */
static void handler_that_opened_keys_returns(void **state)
{
    unsigned returned = 0;
    (void)state;
    skip_if(pkru_missing());
    install(SEGUE_RESTORE_DIRECT, open_keys);
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint32_t rights = random_rights(), closed = rights | (rights & 0x55555555u) << 1;
        opened = random_rights();
        uint32_t closed_then = opened | (opened & 0x55555555u) << 1;
        pkru_write(rights);
        fault();
        uint32_t after = pkru_read();
        pkru_write(PKRU_INITIAL);
        assert_int_equal(after, rights);
        assert_int_equal(status, closed & ~closed_then ? SEGUE_OK : SEGUE_BUSY);
        returned += status == SEGUE_OK;
    }
    assert_true(returned > ROUNDS / 2);
    signal(SIGSEGV, SIG_DFL);
}

static _Alignas(64) unsigned char own_area[16384];
static uint32_t wanted;
static bool without_component;

/* An area of the handler's own: with rights, or without that component, which then is in its initial state, 0. */
static void make_own_area(struct segue_frame *frame, struct segue_xstate *image)
{
    uint32_t offset, size, c, d;
    uint64_t present;
    frame_state(frame, image);
    memcpy(own_area, image->area, image->size);
    image->area = own_area;
    __cpuid_count(0xd, 9, size, offset, c, d);
    memcpy(own_area + offset, &wanted, sizeof wanted);
    memcpy(&present, own_area + HEADER, 8);
    present = without_component ? present & ~PKRU_BIT : present | PKRU_BIT;
    memcpy(own_area + HEADER, &present, 8);
    if (without_component)
        image->features &= ~PKRU_BIT;
}

static void rights_of_an_own_area_are_taken(void **state)
{
    (void)state;
    skip_if(pkru_missing());
    for (enum segue_restore_method how = SEGUE_RESTORE_RETURN; how <= SEGUE_RESTORE_DIRECT; how++) {
        install(how, make_own_area);
        for (unsigned i = 0; i < 100; i++) {
            wanted = random_rights();
            without_component = i % 3 == 0;
            pkru_write(random_rights());
            fault();
            uint32_t after = pkru_read();
            pkru_write(PKRU_INITIAL);
            assert_int_equal(after, without_component ? 0 : wanted);
            assert_int_equal(status, how == SEGUE_RESTORE_RETURN ? SEGUE_OK : SEGUE_BUSY);
        }
    }
    signal(SIGSEGV, SIG_DFL);
}

/* A child has the rights of its parent's frame, and goes on behind the instruction as its parent does. */
static bool initial_tiles;

static void clone_in_handler(struct segue_frame *frame, struct segue_xstate *image)
{
    const struct segue_clone request = {.exit_signal = SIGCHLD, .initial_tiles = initial_tiles};
    ucontext_t *ucontext = frame->native[1];
    (void)image;
    /* A child that faults again must not have children. */
    if (getpid() != cloner)
        _exit(2);
    ucontext->uc_mcontext.gregs[REG_RIP] = (greg_t)frame->regs.rip;
    frame->regs.rax = (uint64_t)segue_clone(ucontext, &request);
    method = SEGUE_RESTORE_RETURN;
}

static long fault_and_clone(void)
{
    long result = 0;
    clears_resume_flag = false;
    __asm__ volatile("movb (%%rax), %%al" : "+a"(result) : : "memory");
    return result;
}

static void wait_for(long child)
{
    int ending;
    assert_true(child > 0);
    assert_int_equal(waitpid((pid_t)child, &ending, 0), child);
    assert_true(WIFEXITED(ending));
    assert_int_equal(WEXITSTATUS(ending), 0);
}

static void clone_has_its_parents_rights(void **state)
{
    (void)state;
    skip_if(pkru_missing());
    install(SEGUE_RESTORE_RETURN, clone_in_handler);
    for (unsigned i = 0; i < 20; i++) {
        uint32_t rights = random_rights();
        pkru_write(rights);
        long child = fault_and_clone();
        uint32_t after = pkru_read();
        pkru_write(PKRU_INITIAL);
        if (child == 0)
            _exit(after == rights ? 0 : 1);
        assert_int_equal(after, rights);
        wait_for(child);
    }
    signal(SIGSEGV, SIG_DFL);
}

/* ---- areas ------------------------------------------------------------------------------------------------------ */

/* Without what other components need, and with AVX's. */
static const struct segue_xstate short_areas[] = {{.size = 576, .features = 3}, {.size = 832, .features = 7}};
static const struct segue_xstate *short_area;
static char *end_of_page;
static unsigned shorter;

/* One that ends where memory does, and lacks what lies behind: XRSTOR would touch that. Where the frame's area is no
 * longer, or has no AVX, the handler takes the frame's own. */
static void make_short_area(struct segue_frame *opened_frame, struct segue_xstate *image)
{
    struct segue_xstate frame = {.area = NULL};
    uint64_t present;
    frame_state(opened_frame, &frame);
    if (frame.size <= short_area->size || (short_area->features & ~frame.features))
        return;
    *image = *short_area;
    image->area = end_of_page - image->size;
    memcpy(image->area, frame.area, image->size);
    memcpy(&present, (char *)image->area + HEADER, 8);
    present &= image->features;
    memcpy((char *)image->area + HEADER, &present, 8);
    shorter++;
}

static void area_that_is_shorter_than_the_frames_is_not_read_beyond(void **state)
{
    unsigned a, b, c, d;
    (void)state;
    skip_if(__get_cpuid(1, &a, &b, &c, &d) && (c & bit_OSXSAVE) ? NULL : "the processor has no XSAVE");
    char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    end_of_page = pages + 4096;
    assert_int_equal(mprotect(end_of_page, 4096, PROT_NONE), 0);
    shorter = 0;
    for (short_area = short_areas; short_area < short_areas + 2; short_area++) {
        unsigned before = shorter;
        install(SEGUE_RESTORE_DIRECT, make_short_area);
        fault();
        bool was_shorter = shorter != before;
        uint32_t after = was_shorter && !pkru_missing() ? pkru_read() : 0;
        if (!pkru_missing())
            pkru_write(PKRU_INITIAL);
        assert_int_equal(status, was_shorter ? SEGUE_OK : SEGUE_BUSY);
        assert_int_equal(after, 0);
    }
    signal(SIGSEGV, SIG_DFL);
    munmap(pages, 8192);
    skip_if(shorter ? NULL : "the processor's frames hold x87 and SSE alone");
}

/* ---- tiles ------------------------------------------------------------------------------------------------------- */

static _Alignas(64) unsigned char tiles_before[2 * TILE_BYTES], tiles_after[2 * TILE_BYTES];

static void fill_tiles(void)
{
    for (size_t i = 0; i < sizeof tiles_before; i++)
        tiles_before[i] = (unsigned char)random_word();
    tiles_configure();
    tiles_load(tiles_before);
}

static void note_frame(struct segue_frame *frame, struct segue_xstate *image)
{
    frame_state(frame, image);
    image->area = NULL;
}

static void use_tiles_in_handler(struct segue_frame *frame, struct segue_xstate *image)
{
    static const unsigned char others[2 * TILE_BYTES] = {1, 2, 3};
    note_frame(frame, image);
    tiles_configure();
    tiles_load(others);
}

/* Each in a process of its own: what was asked for cannot be given back. The exit status is a line's number. */
static void in_process(int (*body)(void))
{
    pid_t child = fork();
    int ending;
    if (child == 0) {
        const char *why = tiles_missing();
        if (why)
            print_message("SKIP: %s\n", why);
        _exit(why ? 255 : body());
    }
    assert_int_equal(waitpid(child, &ending, 0), child);
    assert_true(WIFEXITED(ending));
    if (WEXITSTATUS(ending) == 255)
        skip();
    assert_int_equal(WEXITSTATUS(ending), 0);
}

#define EXPECT(condition)                                                                                              \
    if (!(condition)) {                                                                                                \
        print_error("line %d: " #condition "\n", __LINE__);                                                            \
        return 1;                                                                                                      \
    }

static int keep_dirty_tiles(void)
{
    for (enum segue_restore_method how = SEGUE_RESTORE_RETURN; how <= SEGUE_RESTORE_DIRECT; how++)
        for (unsigned i = 0; i < 100; i++) {
            fill_tiles();
            install(how, i % 2 ? use_tiles_in_handler : note_frame);
            fault();
            EXPECT(status == (how == SEGUE_RESTORE_RETURN ? SEGUE_OK : SEGUE_BUSY));
            EXPECT(frame_size > 8192);
            tiles_store(tiles_after);
            EXPECT(memcmp(tiles_after, tiles_before, sizeof tiles_before) == 0);
        }
    return 0;
}

static void tiles_are_kept(void **state)
{
    (void)state;
    in_process(keep_dirty_tiles);
}

/* The first to use tiles is the handler: the frame has no room for them, and they must be in their initial state. */
static int use_tiles_first_in_handler(void)
{
    install(SEGUE_RESTORE_DIRECT, note_frame);
    fault();
    EXPECT(status == SEGUE_BUSY);
    EXPECT(frame_size < 8192);
    install(SEGUE_RESTORE_DIRECT, use_tiles_in_handler);
    fault();
    EXPECT(status == SEGUE_OK);
    EXPECT(frame_size < 8192);
    EXPECT(tiles_in_use() == 0);
    install(SEGUE_RESTORE_DIRECT, use_tiles_in_handler);
    fault();
    EXPECT(status == SEGUE_BUSY);
    EXPECT(frame_size > 8192);
    EXPECT(tiles_in_use() == 0);
    return 0;
}

static void tiles_that_the_handler_uses_first_are_not_the_threads(void **state)
{
    (void)state;
    in_process(use_tiles_first_in_handler);
}

/* A child begins with the small state, in which its parent's frame has no room. */
static int clone_with_tiles(void)
{
    static const unsigned char zero[sizeof tiles_before];
    static _Alignas(32) unsigned char vector[32], vector_after[32];
    for (unsigned i = 0; i < 20; i++) {
        bool in_use = i % 2;
        fill_tiles();
        if (!in_use)
            tiles_release();
        for (size_t k = 0; k < sizeof vector; k++)
            vector[k] = (unsigned char)random_word();
        install(SEGUE_RESTORE_RETURN, clone_in_handler);
        long child = 0;
        clears_resume_flag = false;
        __asm__ volatile("vmovdqu %2, %%ymm5\n\tmovb (%%rax), %%al\n\tvmovdqu %%ymm5, %1"
                         : "+a"(child), "=m"(vector_after)
                         : "m"(vector)
                         : "xmm5", "memory");
        bool same = memcmp(vector, vector_after, sizeof vector) == 0;
        if (in_use) {
            tiles_store(tiles_after);
            same &= memcmp(tiles_after, child == 0 && initial_tiles ? zero : tiles_before, sizeof tiles_before) == 0;
        } else {
            same &= tiles_in_use() == 0;
        }
        if (child == 0)
            _exit(same ? 0 : 1);
        EXPECT(same && child > 0);
        int ending;
        EXPECT(waitpid((pid_t)child, &ending, 0) == child);
        EXPECT(WIFEXITED(ending) && WEXITSTATUS(ending) == 0);
    }
    return 0;
}

static void clone_has_its_parents_tiles(void **state)
{
    (void)state;
    initial_tiles = false;
    in_process(clone_with_tiles);
}

static void clone_begins_with_initial_tiles_where_asked(void **state)
{
    (void)state;
    initial_tiles = true;
    in_process(clone_with_tiles);
    initial_tiles = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(direct_restores_the_threads_rights),
        cmocka_unit_test(return_restores_the_threads_rights),
        cmocka_unit_test(handler_that_opened_keys_returns),
        cmocka_unit_test(rights_of_an_own_area_are_taken),
        cmocka_unit_test(clone_has_its_parents_rights),
        cmocka_unit_test(area_that_is_shorter_than_the_frames_is_not_read_beyond),
        cmocka_unit_test(tiles_are_kept),
        cmocka_unit_test(tiles_that_the_handler_uses_first_are_not_the_threads),
        cmocka_unit_test(clone_has_its_parents_tiles),
        cmocka_unit_test(clone_begins_with_initial_tiles_where_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
