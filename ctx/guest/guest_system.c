/* guest_system.c: what guests need from the system: gates, the table of threads, the way to set the bases, handlers.
 *
 * SOURCES: sigaltstack(2): a thread made by pthread_create has none. */

#include "guest_system.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "ctx/state/control.h"
#include "ctx/state/vector.h"
#include "platform/frame/stack.h"
#include "platform/memory/executable.h"
#include "platform/memory/memory.h"
#include "platform/process/fork.h"
#include "platform/process/fork_lock.h"
#include "platform/process/once.h"
#include "platform/reason.h"
#include "platform/threads/base.h"
#include "platform/threads/thread.h"

/* 2 GiB on both sides: the range of a displacement. */
#define HOLE_SIZE ((uint64_t)1 << 32)
#define RESTORER_SIZE 16
#define NUMBER_GONE (-1)

/* ---- the method ---- */

static uint64_t hole;

void guest_host_bases(struct gate *gate)
{
    platform_bases_read(!gate->by_system_call, &gate->host_fs, &gate->host_gs);
}

uint64_t guest_hole(void)
{
    return hole ? hole + HOLE_SIZE / 2 : 0;
}

bool guest_is_in_hole(uint64_t address)
{
    return hole && address - hole < HOLE_SIZE;
}

static bool make_hole(void)
{
    uint64_t none = 0;
    if (__atomic_load_n(&hole, __ATOMIC_ACQUIRE))
        return true;
    void *mapped = platform_reserve(HOLE_SIZE);
    if (!mapped)
        return false;
    if (!__atomic_compare_exchange_n(&hole, &none, (uint64_t)(uintptr_t)mapped, false, __ATOMIC_ACQ_REL,
                                     __ATOMIC_ACQUIRE))
        platform_unmap(mapped, HOLE_SIZE);
    return true;
}

/* ---- threads ---- */

struct guest_thread guest_threads[THREAD_COUNT];
uint32_t guest_thread_count;

static struct fork_lock table_lock = FORK_LOCK_INITIALIZER;
static struct once exit_key_once;
static pthread_key_t exit_key;
extern __thread struct guest_thread *guest_self __attribute__((tls_model("initial-exec"), visibility("hidden")));

static void forget_thread(void *record)
{
    struct guest_thread *thread = record;
    fork_lock_take(&table_lock);
    thread->gate = NULL;
    __atomic_store_n(&thread->number, NUMBER_GONE, __ATOMIC_RELEASE);
    __atomic_fetch_sub(&guest_thread_count, 1, __ATOMIC_RELAXED);
    guest_self = NULL;
    fork_lock_release(&table_lock);
}

static void lock_table(void)
{
    fork_lock_before(&table_lock);
}

static void unlock_table(void)
{
    fork_lock_after(&table_lock);
}

/* In a child made by fork: one of the parent's threads is left, with another TID. */
static void empty_table(void)
{
    memset(guest_threads, 0, sizeof guest_threads);
    guest_thread_count = 0;
    guest_self = NULL;
    fork_lock_in_child(&table_lock);
}

static bool make_exit_key(void)
{
    return pthread_key_create(&exit_key, forget_thread) == 0;
}

static const struct fork_hooks hooks = {.before = lock_table, .in_parent = unlock_table, .in_child = empty_table};

/* A free entry for the TID, the first on its probe sequence; entries of threads that have ended are reused. */
static struct guest_thread *find_place(int number)
{
    for (unsigned i = 0; i < THREAD_COUNT; i++) {
        struct guest_thread *place = &guest_threads[((unsigned)number + i) % THREAD_COUNT];
        if (place->number == 0 || place->number == NUMBER_GONE)
            return place;
    }
    return NULL;
}

enum segue_status guest_thread_register(struct guest_thread **self)
{
    struct alternate_stack present;
    if (platform_stack_exchange(NULL, &present) != 0 || (present.flags & STACK_DISABLED))
        return SEGUE_UNSUPPORTED;
    if (!once(&exit_key_once, make_exit_key) || !fork_register(FORK_GUESTS, &hooks))
        return SEGUE_NO_MEMORY;
    int number = platform_base_thread_id();
    fork_lock_take(&table_lock);
    struct guest_thread *place = find_place(number);
    if (place) {
        place->gate = NULL;
        place->thread = platform_thread_id();
        __atomic_store_n(&place->number, number, __ATOMIC_RELEASE);
        if (__atomic_fetch_add(&guest_thread_count, 1, __ATOMIC_RELAXED) > 0)
            __atomic_store_n(&guest_way, (const void *)guest_dispatch, __ATOMIC_SEQ_CST);
    }
    fork_lock_release(&table_lock);
    if (!place)
        return SEGUE_NO_MEMORY;
    *self = place;
    pthread_setspecific(exit_key, place);
    return SEGUE_OK;
}

struct gate *guest_running(void)
{
    if (__atomic_load_n(&guest_thread_count, __ATOMIC_RELAXED) == 0)
        return NULL;
    int number = platform_base_thread_id();
    for (unsigned i = 0; i < THREAD_COUNT; i++) {
        const struct guest_thread *place = &guest_threads[((unsigned)number + i) % THREAD_COUNT];
        if (place->number == number)
            return place->gate && place->gate->place != GATE_PLACE_HOST ? place->gate : NULL;
        if (place->number == 0)
            return NULL;
    }
    return NULL;
}

void guest_goes_on(struct gate *gate, const void *ucontext)
{
    int number = platform_base_thread_id();
    struct guest_thread *place = &guest_threads[(unsigned)number % THREAD_COUNT];
    memset(guest_threads, 0, sizeof guest_threads);
    *place = (struct guest_thread){.number = number, .thread = platform_thread_id(), .gate = gate};
    guest_thread_count = 1;
    guest_self = place;
    gate->thread = place->thread;
    if (gate->entered != ucontext)
        return;
    if (gate->frame == (uint64_t)(uintptr_t)ucontext)
        gate->frame = 0;
    gate->entered = NULL;
    gate->place = GATE_PLACE_GUEST;
    platform_bases_write(!gate->by_system_call, gate->now_fs, gate->now_gs);
}

/* ---- gates ---- */

/* The code first, then the data. */
static void *map_gate(void)
{
    if (platform_page_size() != GATE_CODE_SIZE)
        return NULL;
    return executable_copy(gate_code, (size_t)(gate_code_end - gate_code), GATE_CODE_SIZE, GATE_CODE_SIZE);
}

static bool (*follower)(void);
static bool are_guests;

bool guest_follow(bool (*begin)(void))
{
    __atomic_store_n(&follower, begin, __ATOMIC_SEQ_CST);
    return __atomic_load_n(&are_guests, __ATOMIC_SEQ_CST);
}

/* Whoever follows at the same time learns of it by one or the other. */
static bool begin_guests(void)
{
    __atomic_store_n(&are_guests, true, __ATOMIC_SEQ_CST);
    bool (*begin)(void) = __atomic_load_n(&follower, __ATOMIC_SEQ_CST);
    return !begin || begin();
}

enum segue_status segue_guest_new(struct segue_guest *guest, const struct segue_guest_options *options)
{
    static const struct segue_guest_options defaults;
    if (!options)
        options = &defaults;
    if (!guest)
        return reason_give(SEGUE_INVALID, "guest is NULL");
    if (options->reserved32 || !RESERVED_IS_ZERO(options))
        return reason_give(SEGUE_INVALID, "options.reserved is not zero: was the struct initialised?");
    if ((unsigned)options->method > SEGUE_GUEST_SYSTEM_CALLS)
        return reason_give(SEGUE_INVALID, "options.method is not an enum segue_guest_method");
    *guest = (struct segue_guest){.trap_num = 0};
    if (control_has_shadow_stack())
        return reason_give(SEGUE_UNSUPPORTED, "a shadow stack is in force, and guests do not switch it");
    if (options->method == SEGUE_GUEST_INSTRUCTIONS && !platform_bases_have_instructions())
        return reason_give(SEGUE_UNSUPPORTED, "the processor or the kernel does not allow the FSGSBASE instructions");
    if (!begin_guests())
        return reason_give(SEGUE_UNSUPPORTED, "hot sites that count for threads of the host cannot be undone");
    if (!make_hole())
        return reason_give(SEGUE_NO_MEMORY, NULL);
    if (options->features) {
        enum segue_status status = vector_new(&guest->xstate, options->features);
        if (status != SEGUE_OK)
            return reason_give(status, "the processor or the system has no XSAVE");
    }
    char *code = map_gate();
    if (!code) {
        free(guest->xstate.area);
        guest->xstate.area = NULL;
        return reason_give(SEGUE_UNSUPPORTED, "the system gives no executable page");
    }
    struct gate *gate = (struct gate *)(void *)(code + GATE_CODE_SIZE);
    gate->guest = guest;
    gate->by_system_call = options->method == SEGUE_GUEST_SYSTEM_CALLS || !platform_bases_have_instructions();
    gate->out = (uint64_t)(uintptr_t)guest_out;
    gate->area_size = guest->xstate.size;
    guest->private_ = gate;
    guest->entry = (uint64_t)(uintptr_t)gate_entry;
    return SEGUE_OK;
}

enum segue_status segue_guest_free(struct segue_guest *guest)
{
    struct gate *gate = guest ? guest->private_ : NULL;
    if (!gate)
        return SEGUE_INVALID;
    if (__atomic_load_n(&gate->thread, __ATOMIC_ACQUIRE))
        return SEGUE_BUSY;
    if (gate->area_size)
        free(guest->xstate.area);
    const void *own = (const char *)gate - GATE_CODE_SIZE + (gate_call - gate_code);
    __atomic_compare_exchange_n(&guest_way, &own, (const void *)guest_nobody, false, __ATOMIC_RELAXED,
                                __ATOMIC_RELAXED);
    platform_unmap((char *)gate - GATE_CODE_SIZE, 2 * GATE_CODE_SIZE);
    *guest = (struct segue_guest){.trap_num = 0};
    return SEGUE_OK;
}

/* ---- signals ---- */

platform_handler *guest_handlers[GUEST_SIGNALS];

/* The C library's code that a handler returns to. */
static uint64_t restorer;

bool guest_is_restorer(uint64_t address)
{
    return restorer && address - restorer < RESTORER_SIZE;
}

bool guest_send(int thread, int signal)
{
    return platform_thread_signal(thread, signal);
}

void guest_note_restorer(uint64_t address)
{
    restorer = address;
}
