/* calls.c: no system call is caught. */
#include "platform/calls/calls.h"

const char *calls_obstacle(void)
{
    return "system calls are caught on Linux on x86-64 alone";
}

void calls_prepare(calls_peek *peek, calls_poke *poke, calls_is_plain *is_plain, calls_action *action,
                   calls_visitor *has_region)
{
    (void)has_region;
    (void)peek;
    (void)poke;
    (void)is_plain;
    (void)action;
}

bool calls_arm(void)
{
    return false;
}

void calls_use_sites(const uint64_t *sites, size_t count)
{
    (void)sites;
    (void)count;
}

bool calls_uses_sites(void)
{
    return false;
}

uint64_t calls_signals(void)
{
    return 0;
}

bool calls_is_stand_in(struct native_frame native)
{
    (void)native;
    return false;
}

bool calls_is_exempt(uint64_t address)
{
    (void)address;
    return true;
}

void calls_leave_gate(struct native_frame native)
{
    (void)native;
}

void calls_look_anew(void)
{
}

struct call_record *calls_about_to_make(struct native_frame native)
{
    (void)native;
    return NULL;
}

void calls_disarm(void)
{
}

void calls_keep(uint64_t signals)
{
    (void)signals;
}

void calls_die(void)
{
}

enum calls_trap calls_read(struct native_frame native, struct system_call *call)
{
    (void)native;
    (void)call;
    return CALLS_NO_TRAP;
}

bool calls_serve_own(const struct system_call *call)
{
    (void)call;
    return false;
}

bool calls_leads_mask(const struct system_call *call)
{
    (void)call;
    return false;
}

bool calls_is_served_at_once(const struct system_call *call)
{
    (void)call;
    return false;
}

bool calls_open_mask(const struct system_call *call, uint64_t *arguments, struct call_record *record)
{
    (void)call;
    (void)arguments;
    (void)record;
    return false;
}

void calls_pass(const struct system_call *call)
{
    (void)call;
}

void calls_return(const struct system_call *call, long result)
{
    (void)call;
    (void)result;
}

struct call_record *calls_record(const struct system_call *call)
{
    (void)call;
    return NULL;
}

bool calls_make(const struct system_call *call, const uint64_t *arguments, const struct call_record *record)
{
    (void)call;
    (void)arguments;
    (void)record;
    return false;
}

struct call_record *calls_finished(struct native_frame native)
{
    (void)native;
    return NULL;
}

void calls_finish(struct native_frame native, const struct call_record *record)
{
    (void)native;
    (void)record;
}

struct call_record *calls_interrupted(struct native_frame native)
{
    (void)native;
    return NULL;
}

void calls_begin_again(struct native_frame native)
{
    (void)native;
}

bool calls_answered(struct native_frame native, struct call_record **record)
{
    (void)native;
    (void)record;
    return false;
}

bool calls_sets_filter(const struct system_call *call)
{
    (void)call;
    return false;
}

void *calls_map(size_t size)
{
    (void)size;
    return NULL;
}

void calls_unmap(void *at, size_t size)
{
    (void)at;
    (void)size;
}

bool calls_is_known(const struct system_call *call, struct call_need *need)
{
    (void)call;
    (void)need;
    return false;
}

size_t calls_list(const struct system_call *call, uint64_t *arguments, void *copies, const struct call_need *need,
                  struct call_access *accesses)
{
    (void)call;
    (void)arguments;
    (void)copies;
    (void)need;
    (void)accesses;
    return 0;
}

unsigned calls_gate(const struct system_call *call)
{
    (void)call;
    return CALL_GATES;
}

uint64_t calls_detour(unsigned gate)
{
    (void)gate;
    return 0;
}

bool calls_is_own(const struct system_call *call)
{
    (void)call;
    return false;
}

bool calls_has_row(const struct system_call *call)
{
    (void)call;
    return false;
}

bool calls_visit(const struct system_call *call, calls_peek *peek_at, bool (*visit)(uint64_t address, uint64_t size))
{
    (void)call;
    (void)peek_at;
    (void)visit;
    return false;
}

void calls_give_message(const struct call_access *access, calls_poke *poke)
{
    (void)access;
    (void)poke;
}

uint8_t calls_refused_pointers(uint64_t number)
{
    (void)number;
    return 0;
}

const char *calls_name(uint64_t number)
{
    (void)number;
    return NULL;
}

uint64_t calls_maps_file(const struct system_call *call)
{
    (void)call;
    return 0;
}

bool calls_maps_code(const struct system_call *call)
{
    (void)call;
    return false;
}

int calls_mapped_file(const struct system_call *call)
{
    (void)call;
    return -1;
}

bool calls_changes_memory(const struct system_call *call, struct memory_change *change)
{
    (void)call;
    (void)change;
    return false;
}

uint64_t calls_run_stack(const struct system_call *call)
{
    (void)call;
    return 0;
}

bool calls_run(const struct system_call *call, calls_function *function)
{
    (void)call;
    (void)function;
    return false;
}

const struct code_range calls_gate_range = CODE_RANGE_NOT_THERE, calls_make_range = CODE_RANGE_NOT_THERE,
                        calls_detour_range = CODE_RANGE_NOT_THERE, calls_trap_range = CODE_RANGE_NOT_THERE,
                        calls_halt_range = CODE_RANGE_NOT_THERE, calls_run_range = CODE_RANGE_NOT_THERE;

bool calls_changes_threads(const struct system_call *call, calls_peek *peek, struct thread_change *change)
{
    (void)call;
    (void)peek;
    (void)change;
    return false;
}

bool calls_lead_word(const struct system_call *call, uint64_t word, calls_peek *peek, calls_poke *poke)
{
    (void)call;
    (void)word;
    (void)peek;
    (void)poke;
    return false;
}

long calls_make_here(const struct system_call *call)
{
    (void)call;
    return 0;
}

void calls_end(const char *text, size_t length)
{
    (void)text;
    (void)length;
}
