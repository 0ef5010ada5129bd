/* mutator.c: the only reference to an object stands in one given place, and is found: in each register, each lane of
 * each vector register, each mask register, each word of the red zone; of a thread that faults, one that is suspended,
 * one that is suspended inside the library's handler, and the calling one. And at every instruction of a fault, from
 * the kernel's entry to the return, the application's registers are what is shown. */
#include "tests/support/test.h"

#include "ctx/restore/shortcut.h"
#include "mutator.h"
#include "platform/frame.h"
#include "signals/ranges.h"

#include <assert.h>
#include <cpuid.h>
#include <pthread.h>
#include <segue/posix.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define PAGE 4096u
#define SECOND UINT64_C(1000000000)
#define AREA_MOST 16384
#define HEADER 512
#define RED_ZONE_WORDS 16
/* Of how many places one is traced. What a sanitizer adds is stepped over too, and shows no more. */
#ifdef __SANITIZE_ADDRESS__
#define TRACED_EVERY 150
#else
#define TRACED_EVERY 7
#endif

/* Disguised: the word itself stands in the place under test alone. */
static const uint64_t disguise = 0x5a5a5a5a5a5a5a5a;
static const uint64_t disguised = 0x00007e57ab1e0c40 ^ 0x5a5a5a5a5a5a5a5a;

static uint64_t reference(void)
{
    return *(const volatile uint64_t *)&disguised ^ disguise;
}

static struct segue_mapping closed;
static volatile uint8_t *ready, *go;

/* ---- places --------------------------------------------------------------------------------------------------- */

/* Where a reference may stand. */
enum kind { GENERAL, VECTOR, RED_ZONE, NOWHERE };
struct place {
    char name[32];
    enum kind kind;
    /* GENERAL: the register's number. VECTOR: the offset in the area. RED_ZONE: the offset from RSP. */
    int64_t at;
    unsigned component;
};

static struct place places[512];
static size_t place_count;

__attribute__((format(printf, 4, 5))) static void add_place(enum kind kind, int64_t at, unsigned component,
                                                            const char *format, ...)
{
    struct place *place = &places[place_count++];
    va_list list;
    assert_true(place_count <= sizeof places / sizeof *places);
    *place = (struct place){.kind = kind, .at = at, .component = component};
    va_start(list, format);
    vsnprintf(place->name, sizeof place->name, format, list);
    va_end(list);
}

/* All the words of `count` registers of `words` words each, `stride` bytes apart. */
static void add_lanes(const char *name, unsigned component, uint32_t offset, unsigned count, unsigned words,
                      unsigned stride)
{
    for (unsigned i = 0; i < count; i++)
        for (unsigned word = 0; word < words; word++)
            add_place(VECTOR, offset + i * stride + word * 8, component, "%s %u, word %u", name, i, word);
}

static uint64_t components;

static void add_component(const char *name, unsigned component, unsigned count, unsigned words)
{
    unsigned size, offset, c, d;
    if (!(components >> component & 1)) {
        print_message("SKIP %s: this processor has none\n", name);
        return;
    }
    __cpuid_count(0xd, component, size, offset, c, d);
    add_lanes(name, component, offset, count, words, words * 8);
}

static void list_places(void)
{
    unsigned low, b, c, high;
    __cpuid_count(0xd, 0, low, b, c, high);
    components = (low | (uint64_t)high << 32) & 0xe7;
    for (unsigned i = 0; i < 16; i++)
        if (i != SEGUE_RSP)
            add_place(GENERAL, i, 0, "general register %u", i);
    add_lanes("mm", 0, 32, 8, 1, 16);
    add_lanes("xmm", 1, 160, 16, 2, 16);
    add_component("upper half of ymm", 2, 16, 2);
    add_component("k", 5, 8, 1);
    add_component("upper half of zmm", 6, 16, 4);
    add_component("zmm 16 +", 7, 16, 8);
    for (int i = 1; i <= RED_ZONE_WORDS; i++)
        add_place(RED_ZONE, -8 * i, 0, "red zone, word %d", i);
}

static struct image image;
static _Alignas(64) unsigned char area[AREA_MOST];

/* Everything is something else; with NOWHERE there is no reference at all. */
static void make_image(const struct place *place)
{
    static const uint16_t x87_control = 0x37f;
    static const uint32_t mxcsr = 0x1f80;
    uint64_t present = components, word = reference();
    for (unsigned i = 0; i < 16; i++)
        image.general[i] = 0x1111111111111111u * (i + 1) & 0x7fffffffffffffffu;
    image.red_zone = 0;
    image.red_offset = -8;
    memset(area, 0x3c, sizeof area);
    memset(area + HEADER, 0, 64);
    memcpy(area + HEADER, &present, sizeof present);
    memcpy(area, &x87_control, sizeof x87_control);
    memset(area + 2, 0, 6);
    area[4] = 0xff;
    memcpy(area + 24, &mxcsr, sizeof mxcsr);
    switch (place->kind) {
    case GENERAL:
        image.general[place->at] = word;
        break;
    case VECTOR:
        memcpy(area + place->at, &word, sizeof word);
        break;
    case RED_ZONE:
        image.red_zone = word;
        image.red_offset = place->at;
        break;
    case NOWHERE:
        break;
    }
}

/* ---- scanning ------------------------------------------------------------------------------------------------- */

struct search {
    unsigned found, words;
};

/* On the stacks of others too, between their variables. */
__attribute__((no_sanitize_address)) static int look(void *closure, const void *base, const void *limit)
{
    struct search *search = closure;
    assert((uintptr_t)base % 8 == 0 && (uintptr_t)limit % 8 == 0);
    for (const uint64_t *word = base; word < (const uint64_t *)limit; word++) {
        search->words++;
        search->found += *word == reference();
    }
    return 0;
}

static unsigned count_in(const struct segue_mutator *context)
{
    struct search search = {0, 0};
    assert(segue_mutator_scan(context, look, &search) == 0 && search.words >= 20);
    return search.found;
}

static void expect_found(const struct place *place, unsigned found, const char *where)
{
    if (place->kind == NOWHERE ? found != 0 : found == 0)
        fail_msg("%s, %s: %u times", where, place->name, found);
}

/* ---- the thread that faults ----------------------------------------------------------------------------------- */

static struct segue_mutator seen;
static unsigned found_at_fault;

static enum segue_verdict scan_in_policy(void *context, const struct segue_event *event)
{
    (void)context;
    if (segue_mutator_from_event(event, &seen) == SEGUE_OK)
        found_at_fault = count_in(&seen);
    return SEGUE_STEP;
}

static enum segue_verdict wait_in_policy(void *context, const struct segue_event *event)
{
    (void)context;
    (void)event;
    *ready = 1;
    while (!*go)
        ;
    return SEGUE_STEP;
}

static void close_page(segue_policy *policy)
{
    struct segue_region region = {
        .window = {.base = (uint64_t)(uintptr_t)closed.memory,
                   .size = PAGE,
                   .kind = SEGUE_WINDOW_ALIAS,
                   .alias = closed.alias},
        .policy = policy,
    };
    assert_int_equal(segue_region_add(&region), SEGUE_OK);
    assert_int_equal(mprotect(closed.memory, PAGE, PROT_NONE), 0);
}

static void open_page(void)
{
    assert_int_equal(mprotect(closed.memory, PAGE, PROT_READ | PROT_WRITE), 0);
    assert_int_equal(segue_region_remove(closed.memory), SEGUE_OK);
}

static void for_every_place(void (*check)(const struct place *place))
{
    static const struct place none = {.name = "nowhere", .kind = NOWHERE};
    check(&none);
    for (size_t i = 0; i < place_count; i++)
        check(&places[i]);
}

static void check_in_policy(const struct place *place)
{
    make_image(place);
    found_at_fault = 99;
    lone_fault(&image, area, components);
    expect_found(place, found_at_fault, "in a policy");
    assert_int_equal(seen.regs.rip, (uintptr_t)lone_fault_instruction);
    assert_int_equal(segue_mutator_sp(&seen), seen.regs.rsp);
    assert_true(seen.in_fault);
    assert_int_equal(seen.kind, SEGUE_MUTATOR_FAULT);
}

static void reference_is_found_in_the_thread_that_faults(void **state)
{
    (void)state;
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    close_page(scan_in_policy);
    for_every_place(check_in_policy);
    open_page();
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
}

static volatile uint64_t address_told;
static volatile uint8_t direction_told;

#define RESUME_FLAG 0x10000u
/* Whether the processor sets it in a fault's frame, as the manuals say; qemu does not, and only by it is a frame a
 * fault's for sure. */
static bool sets_resume_flag;

static uint64_t seen_flags(const void *ucontext)
{
    return (uint64_t)((const ucontext_t *)ucontext)->uc_mcontext.gregs[REG_EFL];
}

/* As an embedder with a handler of its own would do it all: MPS's ArenaAccess. */
static void own_handler(int number, siginfo_t *info, void *ucontext)
{
    struct segue_plan plan;
    struct segue_frame frame;
    struct segue_window window = {
        .base = (uint64_t)(uintptr_t)closed.memory, .size = PAGE, .kind = SEGUE_WINDOW_ALIAS, .alias = closed.alias};
    (void)number;
    sets_resume_flag = seen_flags(ucontext) & RESUME_FLAG;
    if (segue_frame_open(&frame, info, ucontext) != SEGUE_OK || segue_mutator_from_frame(&seen, &frame) != SEGUE_OK ||
        !frame.fault.address_known)
        _exit(3);
    address_told = frame.fault.address;
    direction_told = frame.fault.direction;
    found_at_fault = count_in(&seen);
    if (segue_frame_plan(&frame, &window, 1, &plan) != SEGUE_OK || segue_frame_step(&frame, &plan) != SEGUE_OK)
        _exit(4);
}

static void check_in_own_handler(const struct place *place)
{
    make_image(place);
    found_at_fault = 99;
    lone_fault(&image, area, components);
    expect_found(place, found_at_fault, "in a handler");
    assert_int_equal(address_told, LONE_CLOSED);
    assert_int_equal(direction_told, SEGUE_READ);
    assert_false(seen.in_fault);
    if (sets_resume_flag)
        assert_int_equal(seen.kind, SEGUE_MUTATOR_FAULT);
}

static void embedder_with_its_own_handler_steps_and_scans(void **state)
{
    struct sigaction action = {.sa_sigaction = own_handler, .sa_flags = SA_SIGINFO}, kept;
    (void)state;
    segue_replay_prepare();
    sigaction(SIGSEGV, &action, &kept);
    mprotect(closed.memory, PAGE, PROT_NONE);
    for_every_place(check_in_own_handler);
    if (!sets_resume_flag)
        print_message("SKIP: this processor is emulated, and does not set the resume flag: the kind of a context\n");
    *(volatile char *)closed.memory = 42;
    assert_int_equal(direction_told, SEGUE_WRITE);
    assert_int_equal(*(char *)closed.alias, 42);
    mprotect(closed.memory, PAGE, PROT_READ | PROT_WRITE);
    sigaction(SIGSEGV, &kept, NULL);
    *(char *)closed.alias = 0;
}

static void faults_that_are_none_have_no_address(void **state)
{
    siginfo_t info = {.si_signo = SIGSEGV, .si_code = SI_USER};
    ucontext_t ucontext = {0};
    struct segue_frame frame;
    (void)state;
    assert_int_equal(segue_frame_open(&frame, &info, &ucontext), SEGUE_NOT_FOUND);
    assert_false(frame.fault.address_known);
    assert_int_equal(frame.fault.trap, 0);
    assert_int_equal(frame.fault.signal, SIGSEGV);
    assert_int_equal(frame.fault.code, SI_USER);
    assert_int_equal(segue_frame_open(&frame, NULL, &ucontext), SEGUE_NOT_FOUND);
    assert_int_equal(frame.fault.signal, 0);
    assert_int_equal(segue_frame_open(&frame, &info, NULL), SEGUE_INVALID);
    assert_int_equal(segue_frame_open(NULL, &info, &ucontext), SEGUE_INVALID);
    assert_int_equal(segue_mutator_from_frame(&seen, NULL), SEGUE_INVALID);
    assert_int_equal(segue_mutator_from_event(NULL, &seen), SEGUE_INVALID);
    assert_false(segue_in_fault());
}

/* ---- a suspended thread --------------------------------------------------------------------------------------- */

struct waiter {
    void (*run)(const struct image *, const void *, uint64_t);
    int number;
};

static void *run_waiter(void *argument)
{
    struct waiter *waiter = argument;
    __atomic_store_n(&waiter->number, gettid(), __ATOMIC_RELEASE);
    waiter->run(&image, area, components);
    return NULL;
}

static void check_suspended_in(const struct place *place, struct waiter *waiter, bool inside)
{
    struct segue_suspension suspension;
    pthread_t thread;
    make_image(place);
    *ready = *go = 0;
    assert_int_equal(pthread_create(&thread, NULL, run_waiter, waiter), 0);
    while (!*ready)
        sched_yield();
    suspension.thread = (segue_thread_id)__atomic_load_n(&waiter->number, __ATOMIC_ACQUIRE);
    assert_int_equal(segue_thread_suspend(&suspension, 10 * SECOND), SEGUE_OK);
    unsigned found = count_in(&suspension.context);
    struct segue_regs regs = suspension.context.regs;
    assert_int_equal(suspension.context.in_fault, inside);
    assert_int_equal(suspension.context.kind, SEGUE_MUTATOR_THREAD);
    assert_int_equal(segue_mutator_check(&suspension.context), SEGUE_OK);
    *go = 1;
    assert_int_equal(segue_thread_resume(&suspension), SEGUE_OK);
    pthread_join(thread, NULL);
    expect_found(place, found, inside ? "suspended in a fault" : "suspended");
    for (unsigned i = 0; i < 16; i++)
        if (i != SEGUE_RSP)
            assert_int_equal(segue_register_get(&regs, i), image.general[i]);
    if (inside)
        assert_int_equal(regs.rip, (uintptr_t)lone_fault_instruction);
}

static void check_suspended(const struct place *place)
{
    struct waiter waiter = {.run = lone_wait};
    check_suspended_in(place, &waiter, false);
}

static void reference_is_found_in_a_suspended_thread(void **state)
{
    (void)state;
    assert_int_equal(segue_suspend_install(NULL), SEGUE_OK);
    for_every_place(check_suspended);
    assert_int_equal(segue_suspend_uninstall(), SEGUE_OK);
}

static void reference_is_found_in_a_thread_suspended_on_its_alternate_stack(void **state)
{
    struct segue_suspend_options options = {.flags = SEGUE_SUSPEND_ALTERNATE_STACK, .signal = SIGRTMIN + 3};
    (void)state;
    assert_int_equal(segue_suspend_install(&options), SEGUE_OK);
    for_every_place(check_suspended);
    assert_int_equal(segue_suspend_uninstall(), SEGUE_OK);
}

static void check_suspended_in_fault(const struct place *place)
{
    struct waiter waiter = {.run = lone_fault};
    check_suspended_in(place, &waiter, true);
}

static void suspend_in_faults(uint32_t install_flags, uint32_t suspend_flags)
{
    struct segue_options options = {.flags = install_flags};
    struct segue_suspend_options suspending = {.flags = suspend_flags};
    struct segue_counters before, after;
    assert_int_equal(segue_suspend_install(&suspending), SEGUE_OK);
    assert_int_equal(segue_install(&options), SEGUE_OK);
    segue_counters_read(&before);
    close_page(wait_in_policy);
    for_every_place(check_suspended_in_fault);
    open_page();
    segue_counters_read(&after);
    assert_int_equal(after.stepped - before.stepped, place_count + 1);
    assert_int_equal(after.faults - before.faults, place_count + 1);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
    assert_int_equal(segue_suspend_uninstall(), SEGUE_OK);
}

static void reference_is_found_in_a_thread_suspended_in_a_fault(void **state)
{
    (void)state;
    suspend_in_faults(0, 0);
    suspend_in_faults(SEGUE_INSTALL_OWN_STACK, SEGUE_SUSPEND_ALTERNATE_STACK);
    suspend_in_faults(SEGUE_INSTALL_BLOCK_SIGNALS, 0);
}

/* ---- the calling thread --------------------------------------------------------------------------------------- */

static void check_captured(const struct place *place)
{
    struct segue_mutator context;
    static _Alignas(64) unsigned char captured[AREA_MOST];
    bool is_argument =
        place->kind == GENERAL && (place->at == SEGUE_RDI || place->at == SEGUE_RSI || place->at == SEGUE_RDX);
    /* A caller has no red zone, and its arguments are not the image's. */
    if (place->kind == RED_ZONE || is_argument)
        return;
    make_image(place);
    memset(&context, 0xee, sizeof context);
    memset(captured, 0xee, sizeof captured);
    lone_context = &context;
    lone_area = captured;
    lone_area_size = segue_xstate_size(0);
    lone_capture(&image, area, components);
    expect_found(place, count_in(&context), "captured");
    assert_false(context.in_fault);
    assert_in_range(context.regs.rip, (uintptr_t)lone_capture, (uintptr_t)lone_capture + 256);
    /* Without the area: the general registers alone. */
    lone_area = NULL;
    lone_capture(&image, area, components);
    assert_int_equal(count_in(&context) != 0, place->kind == GENERAL);
}

static void reference_is_found_by_a_capture(void **state)
{
    (void)state;
    assert_true(segue_xstate_size(0) > 0 && segue_xstate_size(0) <= AREA_MOST);
    for_every_place(check_captured);
}

static void size_of_an_area_is_that_of_its_components(void **state)
{
    (void)state;
    /* x87 and SSE: the legacy part and the header; a component that no processor has adds nothing. */
    assert_int_equal(segue_xstate_size(3), 576);
    assert_int_equal(segue_xstate_size(3 | (uint64_t)1 << 62), 576);
    assert_true(segue_xstate_size(0) >= segue_xstate_size(3));
    assert_int_equal(segue_xstate_size(UINT64_MAX), segue_xstate_size(0));
    assert_int_equal(segue_xstate_size(0) % 64, 0);
}

static void captures_without_room_are_refused(void **state)
{
    static _Alignas(64) unsigned char captured[AREA_MOST];
    struct segue_mutator context;
    size_t size = segue_xstate_size(0);
    (void)state;
    assert_int_equal(segue_mutator_capture(NULL, NULL, 0), SEGUE_INVALID);
    assert_int_equal(segue_mutator_capture(&context, captured + 8, size), SEGUE_INVALID);
    assert_int_equal(segue_mutator_capture(&context, captured, size - 1), SEGUE_INVALID);
    assert_int_equal(segue_mutator_capture(&context, captured, size), SEGUE_OK);
    assert_int_equal(context.xstate.size, size);
    assert_int_equal(context.kind, SEGUE_MUTATOR_CALLER);
    assert_int_equal(segue_mutator_check(&context), SEGUE_OK);
    assert_int_equal(segue_mutator_check(NULL), SEGUE_INVALID);
    context.in_fault = true;
    assert_int_equal(segue_mutator_check(&context), SEGUE_INVALID);
    context.in_fault = false;
    context.kind = 0;
    assert_int_equal(segue_mutator_check(&context), SEGUE_INVALID);
    assert_in_range(context.regs.rsp, (uintptr_t)&context - PAGE, (uintptr_t)&context + PAGE);
}

static uint64_t hidden[6];
static struct segue_mutator held;

/* Six words are live across the call, in as many registers as a call keeps. */
__attribute__((noinline)) static uint64_t hold_six(void)
{
    uint64_t a = *(volatile uint64_t *)&hidden[0] ^ disguise, b = *(volatile uint64_t *)&hidden[1] ^ disguise;
    uint64_t c = *(volatile uint64_t *)&hidden[2] ^ disguise, d = *(volatile uint64_t *)&hidden[3] ^ disguise;
    uint64_t e = *(volatile uint64_t *)&hidden[4] ^ disguise, f = *(volatile uint64_t *)&hidden[5] ^ disguise;
    __asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(e), "+r"(f));
    segue_mutator_capture(&held, NULL, 0);
    __asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(e), "+r"(f));
    return a ^ b ^ c ^ d ^ e ^ f;
}

static bool is_in_registers(uint64_t word)
{
    for (unsigned i = 0; i < 16; i++)
        if (segue_register_get(&held.regs, i) == word)
            return true;
    return false;
}

static void six_references_in_what_a_call_keeps_are_captured(void **state)
{
    bool rbp_is_one = false;
    (void)state;
    for (unsigned i = 0; i < 6; i++)
        hidden[i] = (0x00007e57ab000000u + i * PAGE) ^ disguise;
    uint64_t mixed = hold_six();
    for (unsigned i = 0; i < 6; i++) {
        uint64_t word = hidden[i] ^ disguise;
        mixed ^= word;
        rbp_is_one |= held.regs.rbp == word;
    }
    assert_int_equal(mixed, 0);
    /* A compiler that keeps a frame pointer has put one of them on the stack. */
    if (!rbp_is_one) {
        print_message("SKIP: this build has something else in RBP\n");
        return;
    }
    for (unsigned i = 0; i < 6; i++)
        assert_true(is_in_registers(hidden[i] ^ disguise));
}

/* What the capture is there for: setjmp keeps five of the six as they are. */
static void setjmp_loses_the_reference_in_rbp(void **state)
{
    static const unsigned kept[] = {SEGUE_RBX, SEGUE_RBP, SEGUE_R12, SEGUE_R13, SEGUE_R14, SEGUE_R15};
    (void)state;
    for (unsigned i = 0; i < 6; i++) {
        unsigned found = 0;
        make_image(&(struct place){.kind = GENERAL, .at = kept[i]});
        memset(lone_jump_buffer, 0, sizeof lone_jump_buffer);
        lone_setjmp(&image, area, components);
        for (unsigned word = 0; word < LONE_JUMP_BUFFER / 8; word++)
            found += lone_jump_buffer[word] == reference();
        assert_int_equal(found != 0, kept[i] != SEGUE_RBP);
    }
}

/* ---- every instruction of a fault ----------------------------------------------------------------------------- */

static struct {
    uint64_t rsp;
    unsigned traps, lost, wrong, entries, exits, jumps;
    uint64_t worst;
} trace;

/* What a fault is handed on to. */
static void step_over(int number, siginfo_t *info, void *ucontext)
{
    (void)number;
    (void)info;
    ((ucontext_t *)ucontext)->uc_mcontext.gregs[REG_RIP] += LONE_FAULT_LENGTH;
}

/* Once the application is in a handler of its own, what it had is in that handler's frame. */
static bool is_on_stack(const struct segue_mutator *context)
{
    const uint64_t *word = (const uint64_t *)(uintptr_t)context->regs.rsp;
    for (size_t i = 0; i < getauxval(AT_MINSIGSTKSZ) / sizeof *word; i++)
        if (word[i] == reference())
            return true;
    return false;
}

/* The jump of a way out without IRETQ is not trapped at, since the trap flag has been put back by then: seen as the
 * processor would have it behind the instruction that was. */
static void look_behind(const ucontext_t *frame)
{
    struct segue_mutator context;
    struct segue_frame opened;
    struct {
        uint64_t restorer; /* The kernel puts its address right below the ucontext. */
        ucontext_t ucontext;
    } behind = {((const uint64_t *)frame)[-1], *frame};
    greg_t *regs = behind.ucontext.uc_mcontext.gregs;
    regs[REG_RSP] = *(const greg_t *)(uintptr_t)regs[REG_RSP];
    regs[REG_RIP] += SHORTCUT_JUMP - SHORTCUT_STACK;
    segue_frame_open(&opened, NULL, &behind.ucontext);
    segue_mutator_from_frame(&context, &opened);
    trace.jumps++;
    trace.wrong += context.regs.rsp != trace.rsp || context.in_fault ||
                   context.regs.rip != (uint64_t)(uintptr_t)lone_fault_instruction + LONE_FAULT_LENGTH;
}

static void on_trap(int number, siginfo_t *info, void *ucontext)
{
    struct segue_mutator context;
    struct segue_frame opened;
    (void)number;
    (void)info;
    uint64_t rip = (uint64_t)((ucontext_t *)ucontext)->uc_mcontext.gregs[REG_RIP];
    trace.traps++;
    segue_frame_open(&opened, NULL, ucontext);
    segue_mutator_from_frame(&context, &opened);
    bool is_before = context.regs.rip == (uint64_t)(uintptr_t)lone_fault_instruction;
    bool is_after = context.regs.rip == (uint64_t)(uintptr_t)lone_fault_instruction + LONE_FAULT_LENGTH;
    bool same = context.regs.rsp == trace.rsp && (is_before || is_after);
    if (context.regs.rip == (uint64_t)(uintptr_t)step_over) {
        trace.lost += !is_on_stack(&context);
        trace.exits++;
        return;
    }
    for (unsigned i = 0; i < 16; i++)
        if (i != SEGUE_RSP)
            same &= segue_register_get(&context.regs, i) == image.general[i];
    if (!same && !trace.wrong++)
        trace.worst = rip;
    trace.lost += count_in(&context) == 0;
    uint64_t target;
    unsigned step;
    if (shortcut_holds(rip, &target, &step) && step == SHORTCUT_STACK && is_after)
        look_behind(ucontext);
    trace.entries += is_before;
    trace.exits += is_after;
}

static enum segue_verdict verdict;

static enum segue_verdict note_stack(void *context, const struct segue_event *event)
{
    (void)context;
    trace.rsp = event->regs->rsp;
    return verdict;
}

/* The handler's own flags have the trap flag; what it returns to has not. */
static void trace_fault(const struct place *place, uint32_t flags)
{
    struct segue_options options = {.flags = flags};
    struct sigaction traps = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO}, ours, traced, kept, kept_fault;
    struct sigaction previous = {.sa_sigaction = step_over, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    sigaction(SIGTRAP, &traps, &kept);
    sigaction(SIGSEGV, &previous, &kept_fault);
    assert_int_equal(segue_install(&options), SEGUE_OK);
    close_page(note_stack);
    make_image(place);
    /* Once without, so that the stack is known. */
    lone_fault(&image, area, components);
    uint64_t rsp = trace.rsp;
    sigaction(SIGSEGV, NULL, &ours);
    traced = ours;
    traced.sa_sigaction = traced_entry;
    memset(&trace, 0, sizeof trace);
    trace.rsp = rsp;
    sigaction(SIGSEGV, &traced, NULL);
    lone_fault(&image, area, components);
    sigaction(SIGSEGV, &ours, NULL);
    open_page();
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
    sigaction(SIGTRAP, &kept, NULL);
    sigaction(SIGSEGV, &kept_fault, NULL);
    if (trace.wrong || trace.lost)
        fail_msg("%s: of %u instructions %u showed other registers, the first at %lx, and %u lost the reference",
                 place->name, trace.traps, trace.wrong, trace.worst, trace.lost);
    assert_true(trace.traps > 200 && trace.entries > 100 && trace.exits > 5);
    /* Without XSAVE every way out is the kernel's. */
    if (verdict == SEGUE_STEP && !(flags & SEGUE_INSTALL_BLOCK_SIGNALS) && components)
        assert_int_equal(trace.jumps, 1);
}

static void application_is_told_at_every_instruction_of_a_fault(void **state)
{
    static const uint32_t flags[] = {0, SEGUE_INSTALL_OWN_STACK, SEGUE_INSTALL_BLOCK_SIGNALS,
                                     SEGUE_INSTALL_OPEN_SIGNALS};
    (void)state;
    for (size_t i = 0; i < place_count; i += TRACED_EVERY) {
        verdict = SEGUE_STEP;
        trace_fault(&places[i], flags[i / TRACED_EVERY % 4]);
        verdict = SEGUE_PASS;
        trace_fault(&places[i], flags[i / TRACED_EVERY % 4]);
    }
}

/* ---- a signal that is sent on the way out ------------------------------------------------------------------------ */

static struct {
    struct sigaction ours;
    /* At which of the instructions that the registry leads out of, and how many there were. */
    unsigned at, seen;
    unsigned taken, wrong;
} sent;

/* The program's own, behind the library's. */
static void take_sent(int number, siginfo_t *info, void *ucontext)
{
    struct segue_regs regs;
    (void)number;
    frame_get_registers(ucontext, &regs);
    bool same = info->si_code == SI_TKILL && regs.rsp == trace.rsp &&
                regs.rip == (uint64_t)(uintptr_t)lone_fault_instruction + LONE_FAULT_LENGTH;
    for (unsigned i = 0; i < 16; i++)
        if (i != SEGUE_RSP)
            same &= segue_register_get(&regs, i) == image.general[i];
    sent.taken++;
    sent.wrong += !same;
}

/* It is blocked here, and comes where the trap came. */
static void send_at_trap(int number, siginfo_t *info, void *ucontext)
{
    struct segue_regs regs;
    const void *frame;
    (void)number;
    (void)info;
    frame_get_registers(ucontext, &regs);
    if (code_range_translate(library_ranges, &regs, &frame) != CODE_RANGE_REGISTERS || sent.seen++ != sent.at)
        return;
    sigaction(SIGSEGV, &sent.ours, NULL);
    syscall(SYS_tgkill, getpid(), gettid(), SIGSEGV);
}

static void handler_before_ours_finds_the_application_on_the_way_out(void **state)
{
    static const struct place nowhere = {.name = "nowhere", .kind = NOWHERE};
    struct segue_options options = {.flags = SEGUE_INSTALL_OPEN_SIGNALS};
    struct sigaction traps = {.sa_sigaction = send_at_trap, .sa_flags = SA_SIGINFO}, traced, kept, kept_fault;
    struct sigaction previous = {.sa_sigaction = take_sent, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    (void)state;
    if (!components)
        skip_if("without XSAVE every way out is the kernel's");
    sigaddset(&traps.sa_mask, SIGSEGV);
    sigaction(SIGTRAP, &traps, &kept);
    sigaction(SIGSEGV, &previous, &kept_fault);
    assert_int_equal(segue_install(&options), SEGUE_OK);
    verdict = SEGUE_STEP;
    close_page(note_stack);
    make_image(&nowhere);
    lone_fault(&image, area, components);
    sigaction(SIGSEGV, NULL, &sent.ours);
    traced = sent.ours;
    traced.sa_sigaction = traced_entry;
    sent.taken = sent.wrong = 0;
    /* The thread goes on with the application's instruction, so that none of the way out comes behind the one. */
    for (sent.at = 0; sent.taken == sent.at; sent.at++) {
        sent.seen = 0;
        sigaction(SIGSEGV, &traced, NULL);
        lone_fault(&image, area, components);
        assert_int_equal(sent.seen, sent.taken > sent.at ? sent.at + 1 : sent.at);
    }
    sigaction(SIGSEGV, &sent.ours, NULL);
    open_page();
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
    sigaction(SIGTRAP, &kept, NULL);
    sigaction(SIGSEGV, &kept_fault, NULL);
    assert_int_equal(sent.wrong, 0);
    assert_in_range(sent.taken, 20, 30);
}

static int setup(void **state)
{
    (void)state;
    void *bytes = mmap((void *)LONE_READY, PAGE, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (bytes != (void *)LONE_READY || segue_mapping_create((void *)LONE_CLOSED, PAGE, &closed) != SEGUE_OK)
        return -1;
    ready = (volatile uint8_t *)LONE_READY;
    go = (volatile uint8_t *)LONE_GO;
    list_places();
    print_message("%zu places\n", place_count);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reference_is_found_in_the_thread_that_faults),
        cmocka_unit_test(embedder_with_its_own_handler_steps_and_scans),
        cmocka_unit_test(faults_that_are_none_have_no_address),
        cmocka_unit_test(reference_is_found_in_a_suspended_thread),
        cmocka_unit_test(reference_is_found_in_a_thread_suspended_on_its_alternate_stack),
        cmocka_unit_test(reference_is_found_in_a_thread_suspended_in_a_fault),
        cmocka_unit_test(reference_is_found_by_a_capture),
        cmocka_unit_test(size_of_an_area_is_that_of_its_components),
        cmocka_unit_test(captures_without_room_are_refused),
        cmocka_unit_test(six_references_in_what_a_call_keeps_are_captured),
        cmocka_unit_test(setjmp_loses_the_reference_in_rbp),
        cmocka_unit_test(application_is_told_at_every_instruction_of_a_fault),
        cmocka_unit_test(handler_before_ours_finds_the_application_on_the_way_out),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
