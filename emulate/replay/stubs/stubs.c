/* stubs.c: out-of-line slots: relocated instructions in executable memory, each ready to be called.
 *
 * A stub is found by its bytes, so that a hot site is written once; instructions that differ only in their address
 * operands share one. A stub is written only while no thread holds it, and no thread takes hold of it while it is
 * written, so no thread executes bytes that another one is writing. Each side announces what it does and then reads the
 * other side's announcement. Announcements also show what a thread holds or writes that will never come back, and other
 * threads can release it.
 *
 * Stubs execute at addresses inside the library's own code, which its unwind table covers (stubs_x86_64.S).
 *
 * Two things can make a stub's bytes stale. First, a processor may have fetched a stub's earlier contents. So each
 * writing has a number, and a thread that finds a number later than its last serialising instruction executes another
 * one. Second, a child made by fork would share the memory with its parent. So the child does not inherit it, and makes
 * its own when it first needs it, wherever that is: in a fork handler, in a signal handler, or in the child of a bare
 * system call. It does inherit the record of what is written where, and writes the same: a handler that interrupts a
 * stub may fork, and returns to the stub in the child.
 *
 * The writable view is at a random distance from the executable one. It stays mapped: a step must not fail because a
 * mapping failed, nor make every thread flush its translations.
 *
 * SOURCES: Intel SDM volume 3, 9.1.3 (cross-modifying code), 12.6 (code written at another linear address); M. M.
 * Michael, "Hazard pointers", 2004. */
#include "stubs.h"

#include <string.h>

#include "decode/orders.h"
#include "decode/x86/page.h"
#include "platform/code.h"
#include "platform/code_range.h"
#include "platform/memory/executable.h"
#include "platform/memory/memory.h"
#include "platform/process/fork.h"
#include "platform/threads/thread.h"
#include "platform/threads/wait.h"
#include "stubs_layout.h"

#define PLACES ((unsigned)STUBS_PLACES)
/* The slots that are tried for a given stub before all others. */
#define WAYS 8u
#define PLACE_SIZE ((uint64_t)STUBS_PLACE_SIZE)
#define CODE_SIZE (PLACES * PLACE_SIZE)
/* The most borrowers at one time. */
#define BORROWERS 1024u
#define HOLDERS (STUBS_NUMBERED + BORROWERS)
/* A borrower's mark contains its own address, which has at most MARK_ADDRESS_BITS bits, and a count, so that a later
 * mark at the same address differs. */
#define MARK_ADDRESS_BITS 56u
#define MARK_COUNT_BITS (64u - MARK_ADDRESS_BITS + 4u)
_Static_assert(STUBS_MARK_ALIGNMENT == 1 << 4, "so many bits of the address are 0");
_Static_assert(BORROWERS < 1u << MARK_COUNT_BITS, "those that stand in one place differ");

static const uint8_t endbr64[] = {0xf3, 0x0f, 0x1e, 0xfa};
#define RETURN 0xc3
#define BREAKPOINT 0xcc

/* After the slots, in the page that ends both views and is not executable. */
struct header {
    /* The address of the writable view. */
    uint64_t writable;
};
#define HEADER_SIZE ((uint64_t)STUBS_HEADER_SIZE)
#define VIEW_SIZE (CODE_SIZE + HEADER_SIZE)

/* Not an address of a view. */
#define BEING_PLACED UINT64_C(1)

/* Assembly. */
extern const char stubs_region[];

struct memory {
    /* The following belong to one process: the kernel wipes their page in a child made by fork. */
    /* The address of the executable view; 0 until both views exist, BEING_PLACED while it is being brought to its
     * place. */
    uint64_t executable;
    /* The threads that wait while it is BEING_PLACED. */
    uint32_t waiters;
    /* A thread searches for abandoned borrowers, with all signals blocked. */
    uint32_t takes_over;
    /* The system has refused the memory; later plans do not ask again. */
    bool refused;
    _Alignas(PAGE) struct stub places[PLACES];
    /* The stub that each holder holds, one word each. Other threads can release it for a holder that never comes back,
     * because a handler that interrupted it left by siglongjmp, or because its thread has ended. */
    _Alignas(64) uint32_t holders[HOLDERS];
    /* The mark of the borrower of each of the last BORROWERS numbers; 0 if the number is free. */
    uint64_t marks[BORROWERS];
};

static struct memory *memory;
/* Stubs have been executed in the library's region, in this process or in an ancestor: the file's own contents are no
 * longer there. */
static bool region_is_taken;
/* Protected pages (PROT_NONE) are mapped there while a child, or its child, has no views. */
static bool region_is_reserved;
/* Views have existed in this process or an ancestor. */
static bool was_made;
/* The number of writings; a child continues the count. */
static uint64_t writings;
/* The count of writings before this thread's last serialising instruction. */
static __thread uint64_t serialised __attribute__((tls_model("initial-exec")));

static uint64_t executable_view(void)
{
    const struct memory *present = __atomic_load_n(&memory, __ATOMIC_ACQUIRE);
    uint64_t view = present ? __atomic_load_n(&present->executable, __ATOMIC_ACQUIRE) : 0;
    return view == BEING_PLACED ? 0 : view;
}

/* No view gains the right to execute later: hardened systems refuse that (PR_SET_MDWE, filters of mprotect). */
static bool keep_to_ourselves(const struct executable_memory *code)
{
    ((struct header *)(uintptr_t)(code->writable + CODE_SIZE))->writable = code->writable;
    return executable_memory_keep_from_child(code) &&
           platform_protect(code->executable + CODE_SIZE, HEADER_SIZE, PLATFORM_READ) == 0;
}

static enum segue_status make_views(struct executable_memory *code)
{
    enum segue_status status = executable_memory_create(NULL, VIEW_SIZE, 0, code);
    if (status != SEGUE_OK || keep_to_ourselves(code))
        return status;
    executable_memory_free(code);
    return SEGUE_UNSUPPORTED;
}

/* In a child, before anything else is mapped where its parent's code was. */
static bool region_is_free(void)
{
    if (region_is_taken && !region_is_reserved)
        region_is_reserved = platform_reserve_at((uint64_t)(uintptr_t)stubs_region, VIEW_SIZE) == 0;
    return !region_is_taken || region_is_reserved;
}

/* Shows the executable view in the region that unwinders know, and there alone. It stays where it is if the system
 * refuses that. */
static uint64_t place_view(struct executable_memory *code)
{
    uint64_t there = (uint64_t)(uintptr_t)stubs_region;
    if (!region_is_free() || executable_view_renew(code, there + CODE_SIZE, CODE_SIZE, HEADER_SIZE) != SEGUE_OK ||
        executable_view_renew(code, there, 0, CODE_SIZE) != SEGUE_OK)
        return code->executable;
    executable_memory_leave(code);
    region_is_taken = true;
    region_is_reserved = false;
    return there;
}

static void write_code(uint8_t *at, const uint8_t *bytes, uint8_t length)
{
    memset(at, BREAKPOINT, PLACE_SIZE);
    memcpy(at, endbr64, sizeof endbr64);
    memcpy(at + sizeof endbr64, bytes, length);
    at[sizeof endbr64 + length] = RETURN;
}

/* Writes the same stubs as the parent; no thread holds any of them. A stub that a thread of the parent was writing is
 * free. */
static void write_what_was_there(struct memory *present, uint64_t writable)
{
    memset(present->holders, 0, sizeof present->holders);
    memset(present->marks, 0, sizeof present->marks);
    for (uint32_t i = 0; i < PLACES; i++) {
        struct stub *stub = &present->places[i];
        const uint8_t *key = (const uint8_t *)stub->key;
        if (stub->writer)
            memset(stub, 0, sizeof *stub);
        if (stub->key[1] == 0)
            continue;
        write_code((uint8_t *)(uintptr_t)writable + i * PLACE_SIZE, key, key[SEGUE_INSN_BYTES]);
        stub->written = __atomic_add_fetch(&writings, 1, __ATOMIC_ACQ_REL);
    }
}

/* The half of the word that distinguishes BEING_PLACED from an address, which is a multiple of a page. */
static const uint32_t *low_half(const uint64_t *word)
{
    return (const uint32_t *)(const void *)word;
}

/* Inside a stub the return address is on top of the stack: the thread is reported as having just executed the call. The
 * registers are those of the replayed instruction. */
static enum code_range_result translate(const struct code_range *range, struct segue_regs *regs, const void **frame)
{
    (void)range;
    (void)frame;
    regs->rip = *(const uintptr_t *)(uintptr_t)regs->rsp;
    regs->rsp += sizeof(uintptr_t);
    return CODE_RANGE_SHOWN;
}

/* Replaces the range that the process's parent had at another address. There is room: only this range and its
 * predecessors are added. */
static void register_view(uint64_t view)
{
    static const void *registered;
    const char *begin = (const char *)(uintptr_t)view;
    const struct code_range range = {begin, begin + CODE_SIZE, translate};
    if (registered)
        code_range_remove(registered);
    registered = view && code_range_add(&range) ? begin : NULL;
}

/* The loser of a race waits for the winner, which no signal interrupts. */
static enum segue_status make_code(struct memory *present)
{
    struct executable_memory code;
    uint64_t none = 0;
    enum segue_status status = make_views(&code);
    if (status != SEGUE_OK)
        return status;
    uint64_t kept = platform_signals_hold();
    bool wins = __atomic_compare_exchange_n(&present->executable, &none, BEING_PLACED, false, __ATOMIC_ACQ_REL,
                                            __ATOMIC_ACQUIRE);
    if (wins) {
        if (was_made)
            write_what_was_there(present, code.writable);
        was_made = true;
        uint64_t view = place_view(&code);
        register_view(view);
        __atomic_store_n(&present->executable, view, __ATOMIC_RELEASE);
        wait_wake_counted(low_half(&present->executable), &present->waiters);
    }
    platform_signals_release(kept);
    if (!wins)
        executable_memory_free(&code);
    while (__atomic_load_n(&present->executable, __ATOMIC_ACQUIRE) == BEING_PLACED)
        wait_counted(low_half(&present->executable), (uint32_t)BEING_PLACED, &present->waiters);
    return executable_view() ? SEGUE_OK : SEGUE_UNSUPPORTED;
}

static enum segue_status map_places(void)
{
    struct memory *mapped = platform_map(sizeof *memory), *none = NULL;
    if (!mapped)
        return SEGUE_NO_MEMORY;
    if (!platform_wipe_on_fork(mapped, PAGE)) {
        platform_unmap(mapped, sizeof *memory);
        return SEGUE_UNSUPPORTED;
    }
    if (!__atomic_compare_exchange_n(&memory, &none, mapped, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        platform_unmap(mapped, sizeof *memory);
    return SEGUE_OK;
}

static enum segue_status make_code_unless_refused(void)
{
    struct memory *present = __atomic_load_n(&memory, __ATOMIC_ACQUIRE);
    if (executable_view())
        return SEGUE_OK;
    if (!present || __atomic_load_n(&present->refused, __ATOMIC_RELAXED))
        return SEGUE_UNSUPPORTED;
    enum segue_status status = make_code(present);
    if (status == SEGUE_UNSUPPORTED)
        __atomic_store_n(&present->refused, true, __ATOMIC_RELAXED);
    return status;
}

/* Makes a single system call, and none if no memory was made. */
static void after_fork_in_child(void)
{
    if (!executable_view())
        region_is_free();
}

_Static_assert(FORK_ADDRESSES == 0, "nothing is mapped there by others before");
static const struct fork_hooks hooks = {.in_child = after_fork_in_child};

enum segue_status stubs_prepare(void)
{
    if (!fork_register(FORK_ADDRESSES, &hooks))
        return SEGUE_NO_MEMORY;
    enum segue_status status = __atomic_load_n(&memory, __ATOMIC_ACQUIRE) ? SEGUE_OK : map_places();
    if (status != SEGUE_OK)
        return status;
    __atomic_store_n(&memory->refused, false, __ATOMIC_RELAXED);
    return make_code_unless_refused();
}

__attribute__((hot)) bool stubs_ready(void)
{
    return executable_view() || make_code_unless_refused() == SEGUE_OK;
}

__attribute__((hot)) bool stubs_are_back(uint64_t rip)
{
    uint64_t there = (uint64_t)(uintptr_t)stubs_region;
    return region_is_taken && rip - there < CODE_SIZE && !executable_view() && make_code_unless_refused() == SEGUE_OK &&
           executable_view() == there;
}

__attribute__((hot)) bool stubs_contain(uint64_t rip)
{
    uint64_t executable = executable_view();
    return executable && rip - executable < CODE_SIZE;
}

static unsigned first_place(const uint64_t key[2])
{
    uint64_t mixed = (key[0] ^ (key[1] * UINT64_C(0x9e3779b97f4a7c15))) * UINT64_C(0xd1342543de82ef95);
    return (unsigned)(mixed >> 40) % (PLACES / WAYS) * WAYS;
}

static bool has_key(const struct stub *stub, const uint64_t key[2])
{
    return __atomic_load_n(&stub->key[0], __ATOMIC_RELAXED) == key[0] &&
           __atomic_load_n(&stub->key[1], __ATOMIC_RELAXED) == key[1];
}

/* The number at which a thread begins its search. */
static uint32_t thread_start(void)
{
    return (uint32_t)(((uint64_t)(uintptr_t)&serialised * UINT64_C(0x9e3779b97f4a7c15)) >> 40);
}

static uint32_t number_of(const struct stub *stub)
{
    return (uint32_t)(stub - memory->places);
}

static void note_hold(uint32_t holder, const struct stub *stub)
{
    uint32_t word = stub ? number_of(stub) + 1 : 0;
    __atomic_store_n(&memory->holders[holder], word, __ATOMIC_SEQ_CST);
}

/* The key may change until the stub is held. */
static bool hold(uint32_t holder, struct stub *stub, const uint64_t key[2])
{
    if (!has_key(stub, key))
        return false;
    note_hold(holder, stub);
    if (!__atomic_load_n(&stub->writer, __ATOMIC_SEQ_CST) && has_key(stub, key))
        return true;
    note_hold(holder, NULL);
    return false;
}

/* By any holder except this one, which writes it. */
static bool is_held(const struct stub *stub, uint32_t writer)
{
    uint32_t word = number_of(stub) + 1;
    for (uint32_t i = 0; i < HOLDERS; i++)
        if (i != writer && __atomic_load_n(&memory->holders[i], __ATOMIC_SEQ_CST) == word)
            return true;
    return false;
}

static uint8_t *writable_place(const struct stub *stub)
{
    const struct header *header = (const struct header *)(uintptr_t)(executable_view() + CODE_SIZE);
    return (uint8_t *)(uintptr_t)header->writable + number_of(stub) * PLACE_SIZE;
}

/* Writes the stub and holds it, if no thread holds or writes it. */
__attribute__((hot)) static bool write_place(uint32_t holder, struct stub *stub,
                                             const struct insn_relocation *relocation, const uint64_t key[2])
{
    uint32_t no_writer = 0;
    if (!__atomic_compare_exchange_n(&stub->writer, &no_writer, holder + 1, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
        return false;
    bool free = !is_held(stub, holder);
    if (free) {
        __atomic_store_n(&stub->key[0], key[0], __ATOMIC_RELAXED);
        __atomic_store_n(&stub->key[1], key[1], __ATOMIC_RELAXED);
        write_code(writable_place(stub), relocation->bytes, relocation->length);
        stub->written = __atomic_add_fetch(&writings, 1, __ATOMIC_ACQ_REL);
        note_hold(holder, stub);
    }
    __atomic_store_n(&stub->writer, 0, __ATOMIC_SEQ_CST);
    return free;
}

/* Tries free slots first; then the one that the count of writings selects. */
static struct stub *write_somewhere(uint32_t holder, const struct insn_relocation *relocation, const uint64_t key[2],
                                    unsigned first)
{
    for (unsigned i = 0; i < WAYS; i++)
        if (memory->places[first + i].key[1] == 0 && write_place(holder, &memory->places[first + i], relocation, key))
            return &memory->places[first + i];
    unsigned start = (unsigned)__atomic_load_n(&writings, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < WAYS; i++) {
        struct stub *stub = &memory->places[first + (start + i) % WAYS];
        if (write_place(holder, stub, relocation, key))
            return stub;
    }
    for (unsigned i = 0; i < PLACES; i++)
        if (write_place(holder, &memory->places[i], relocation, key))
            return &memory->places[i];
    return NULL;
}

static struct stub *find(uint32_t holder, const struct insn_relocation *relocation)
{
    uint64_t key[2];
    _Static_assert(sizeof key == SEGUE_INSN_BYTES + 1 && offsetof(struct insn_relocation, length) == SEGUE_INSN_BYTES,
                   "the bytes and their number are the key");
    memcpy(key, relocation->bytes, sizeof key);
    unsigned first = first_place(key);
    for (unsigned i = 0; i < WAYS; i++)
        if (hold(holder, &memory->places[first + i], key))
            return &memory->places[first + i];
    return write_somewhere(holder, relocation, key, first);
}

/* ---- numbers that are borrowed ---- */

static uint64_t mark_at(const volatile uint64_t *place)
{
    /* Per thread: marks at one address belong to one thread, and every step would contend for a shared count. */
    static __thread uint64_t count __attribute__((tls_model("initial-exec")));
    uint64_t number = count++ % (1u << MARK_COUNT_BITS);
    return ((uint64_t)(uintptr_t)place / STUBS_MARK_ALIGNMENT) << MARK_COUNT_BITS | number;
}

/* Whether the borrower is known to have left its stack frame: the mark's address holds something else, or is not
 * mapped. */
static bool is_left(uint64_t mark)
{
    uint64_t present = 0;
    switch (platform_look_at((mark >> MARK_COUNT_BITS) * STUBS_MARK_ALIGNMENT, &present, sizeof present)) {
    case PLATFORM_THERE:
        return present != mark;
    case PLATFORM_NOT_THERE:
        return true;
    default:
        return false;
    }
}

static bool change_mark(uint32_t borrower, uint64_t from, uint64_t to)
{
    return __atomic_compare_exchange_n(&memory->marks[borrower], &from, to, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

/* Stores its own mark, and then examines the borrower. A borrower that is not gone may give the number back meanwhile,
 * over whichever mark is there, and only then leaves its frame: so if it is found to have left and the mark is still
 * there, it gave nothing back and never will. */
static bool take_over(uint32_t borrower, uint64_t mark)
{
    uint64_t present = __atomic_load_n(&memory->marks[borrower], __ATOMIC_SEQ_CST);
    if (!change_mark(borrower, present, mark))
        return false;
    if (!present)
        return true;
    if (is_left(present) && __atomic_load_n(&memory->marks[borrower], __ATOMIC_SEQ_CST) == mark) {
        stubs_abandon(STUBS_NUMBERED + borrower);
        return true;
    }
    return !change_mark(borrower, mark, present) && change_mark(borrower, 0, mark);
}

/* One thread at a time; its own signal handlers cannot leave it half done. */
static bool take_over_any(uint32_t *holder, uint64_t mark)
{
    bool has_one = false;
    uint64_t kept = platform_signals_hold();
    if (!__atomic_exchange_n(&memory->takes_over, 1, __ATOMIC_ACQUIRE)) {
        for (uint32_t i = 0; i < BORROWERS && !has_one; i++) {
            has_one = take_over(i, mark);
            *holder = STUBS_NUMBERED + i;
        }
        __atomic_store_n(&memory->takes_over, 0, __ATOMIC_RELEASE);
    }
    platform_signals_release(kept);
    return has_one;
}

__attribute__((hot)) bool stubs_borrow(uint32_t *holder, volatile uint64_t *mark)
{
    /* In a child, this makes all numbers free. */
    if (!stubs_ready())
        return false;
    *mark = mark_at(mark);
    for (uint32_t i = 0; i < BORROWERS; i++) {
        uint32_t borrower = (thread_start() + i) % BORROWERS;
        *holder = STUBS_NUMBERED + borrower;
        if (__atomic_load_n(&memory->marks[borrower], __ATOMIC_RELAXED) == 0 && change_mark(borrower, 0, *mark))
            return true;
    }
    return take_over_any(holder, *mark);
}

/* Over the mark of a thread that is examining this one, too (take_over). An atomic exchange would make each step 4 %
 * slower. */
void stubs_give_back(uint32_t holder)
{
    __atomic_store_n(&memory->marks[holder - STUBS_NUMBERED], 0, __ATOMIC_RELEASE);
    /* The processor keeps the order of stores; so must the compiler. */
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

__attribute__((hot)) const void *stubs_hold(uint32_t holder, const struct insn_relocation *relocation)
{
    struct stub *stub = stubs_ready() ? find(holder, relocation) : NULL;
    if (!stub)
        return NULL;
    if (stub->written > serialised) {
        serialised = __atomic_load_n(&writings, __ATOMIC_ACQUIRE);
        platform_serialise_self();
    }
    return (const void *)(uintptr_t)(memory->executable + (uint64_t)number_of(stub) * PLACE_SIZE);
}

void stubs_let_go(uint32_t holder)
{
    __atomic_store_n(&memory->holders[holder], 0, __ATOMIC_RELEASE);
}

void stubs_abandon(uint32_t holder)
{
    if (!memory)
        return;
    for (unsigned i = 0; i < PLACES; i++) {
        struct stub *stub = &memory->places[i];
        if (__atomic_load_n(&stub->writer, __ATOMIC_RELAXED) != holder + 1)
            continue;
        __atomic_store_n(&stub->key[1], 0, __ATOMIC_RELAXED);
        __atomic_store_n(&stub->key[0], 0, __ATOMIC_RELAXED);
        __atomic_store_n(&stub->writer, 0, __ATOMIC_RELEASE);
    }
    stubs_let_go(holder);
}
