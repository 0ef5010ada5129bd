/* run_x86_64.c: a function in place of a system call (gates_x86_64.S, run).
 *
 * ASSUMPTIONS: such a function uses no vector register beyond AVX-512's, and at most STACK bytes of the stack. */
#if !defined(__linux__) || !defined(__x86_64__)
#error "run_x86_64.c is specific to Linux on x86-64"
#endif

#include "decode/x86/instructions/syscall.h"
#include "decode/x86/xsave.h"
#include "gates.h"
#include "platform/calls/calls.h"

#define STACK 16384u
#define COMPONENTS (COMPONENTS_LEGACY_AVX | COMPONENTS_AVX512)

extern const char calls_run_begin[], calls_run_saved[], calls_run_called[], calls_run_leaving[], calls_run_end[];
extern uint64_t calls_vector_size, calls_vector_components;
long calls_run_function(const struct call_record *record);

static uint64_t address_of(const void *place)
{
    return (uint64_t)(uintptr_t)place;
}

/* Called by the assembly. */
long calls_run_function(const struct call_record *record)
{
    struct system_call call = {.number = record->number, .instruction = record->target - SYSCALL_SIZE};
    for (int i = 0; i < CALL_ARGUMENTS; i++)
        call.arguments[i] = record->arguments[i];
    return ((calls_function *)(uintptr_t)record->room[0])(&call);
}

/* The size of an area in the standard format. */
static uint64_t area_size(uint64_t components)
{
    uint64_t size = XSAVE_HEADER_END;
    for (unsigned i = STATE_FIRST_EXTENDED; i < STATE_LIMIT; i++) {
        struct xsave_component place;
        if ((components >> i & 1) && xsave_find(i, &place) && place.offset + place.size > size)
            size = place.offset + place.size;
    }
    return size;
}

/* The same values, whichever thread is the first. */
static void prepare(void)
{
    const uint64_t components = xsave_enabled() & COMPONENTS;
    __atomic_store_n(&calls_vector_size, area_size(components), __ATOMIC_RELAXED);
    __atomic_store_n(&calls_vector_components, components, __ATOMIC_RELAXED);
}

uint64_t calls_run_stack(const struct system_call *call)
{
    prepare();
    return address_of(calls_record(call)) - calls_vector_size - STACK;
}

bool calls_run(const struct system_call *call, calls_function *function)
{
    static uint64_t done;
    const struct call_record record = {.busy = address_of(&done), .room = {(uint64_t)(uintptr_t)function}};
    prepare();
    return calls_vector_components && calls_make_at(call, call->arguments, &record, address_of(calls_run_begin));
}

static enum code_range_result translate_run(const struct code_range *range, struct segue_regs *regs,
                                            const void **unused)
{
    (void)range;
    (void)unused;
    const uint64_t at = regs->rip;
    bool is_at_record = at < address_of(calls_run_saved) || at >= address_of(calls_run_leaving);
    const uint64_t record = is_at_record ? regs->rsp : regs->rbx;
    if (at != address_of(calls_run_begin))
        __builtin_memcpy(&regs->rbx, (const char *)(uintptr_t)record + RUN_RBX, sizeof regs->rbx);
    return calls_show_record(regs, (const struct call_record *)(uintptr_t)record, at >= address_of(calls_run_called));
}

const struct code_range calls_run_range = {calls_run_begin, calls_run_end, translate_run};
