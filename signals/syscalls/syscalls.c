/* syscalls.c: see syscalls.h.
 *
 *   is it given a region?   without a reader: a region that is added or removed now may be missed
 *   list                    the accesses that the kernel will make, with copies of vectors and messages
 *   ask                     each access, each region that it touches
 *   lead                    each access to the alias, or to a bounce buffer
 *   make                    on the thread's own stack, with its own mask (calls_make)
 *   finish                  what was written to bounce buffers goes to the windows
 *
 * While a call is being made, its thread is in no fault (busy.h), and is interrupted by signals as natively. */
#include "syscalls.h"

#include <string.h>

#include "busy.h"
#include "calls_report.h"
#include "decode/x86/instructions/syscall.h"
#include "emulate/details.h"
#include "emulate/plan.h"
#include "emulate/windows/guard.h"
#include "pending.h"
#include "platform/frame/frame.h"
#include "platform/threads/look.h"
#include "platform/threads/thread.h"
#include "platform/threads/wait.h"
#include "signals/chain/chain.h"
#include "signals/chain/previous.h"
#include "signals/fault/keyed.h"
#include "signals/fault/question.h"
#include "signals/regions/region.h"
#include "signals/syscalls/change/change.h"
#include "signals/syscalls/masks/masks.h"
#include "signals/syscalls/pointers/pointers.h"
#include "signals/syscalls/sites/detours.h"
#include "signals/syscalls/sites/sites.h"
#include "signals/threads/knock.h"
#include "signals/threads/thread.h"
#include "signals/threads/work.h"
#include "space.h"

static bool are_caught;
/* They are caught no longer: each thread learns of that at its next call that traps. */
static bool has_ended;
/* The signals that the program does not block, beside those by which calls trap. */
static uint64_t kept;
static bool is_without_detours;

/* ---- calls that do not trap ---- */

/* A region's bytes are not read here: the access to them has been seen. */
static SEGUE_HOT_POLICY bool peek_plainly(void *to, uint64_t address, size_t size)
{
    return guard_copy(to, (const void *)(uintptr_t)address, size) == 0;
}

static SEGUE_HOT_POLICY bool is_plain(const struct system_call *call)
{
    if (__atomic_load_n(&has_ended, __ATOMIC_RELAXED))
        return true;
    if (calls_is_own(call))
        return false;
    if (change_is_wanted(call))
        return false;
    if (region_count() == 0)
        return true;
    if (calls_has_row(call))
        return !calls_visit(call, peek_plainly, space_has_region);
    uint8_t pointers = calls_refused_pointers(call->number);
    for (unsigned i = 0; i < CALL_ARGUMENTS; i++)
        if ((pointers >> i & 1) && space_has_region(call->arguments[i], 1))
            return false;
    return true;
}

/* A filter that kills would kill the process for the calls that a detour's making takes. */
static void pass(const struct system_call *call, size_t room)
{
    if (calls_sets_filter(call))
        detours_end();
    if (!__atomic_load_n(&has_ended, __ATOMIC_RELAXED))
        detours_note(call, room);
    calls_pass(call);
}

/* ---- preparation ---- */

void syscalls_prepare(void)
{
    if (!is_without_detours)
        detours_prepare();
}

const char *syscalls_obstacle(void)
{
    return calls_obstacle();
}

bool syscalls_are_caught(void)
{
    return __atomic_load_n(&are_caught, __ATOMIC_RELAXED);
}

/* A thread that cannot be asked would not have its calls caught. */
static bool send_arm(int number, void *fails)
{
    *(bool *)fails = number != platform_thread_id() && !knock_insist(number);
    return !*(bool *)fails;
}

static uint64_t open_signals(void)
{
    return calls_signals() | __atomic_load_n(&kept, __ATOMIC_RELAXED);
}

void syscalls_keep(uint64_t signals, bool has_detours)
{
    is_without_detours = !has_detours;
    __atomic_store_n(&kept, signals, __ATOMIC_RELAXED);
}

const char *syscalls_begin(bool by_sites)
{
    if (by_sites && !call_sites_prepare())
        return "no call site is found, or there is no memory for what replaces them";
    calls_prepare(space_peek, space_poke, is_plain, previous_exchange, space_has_region);
    calls_keep(open_signals());
    chain_keep_open(open_signals());
    platform_mask_unblock(open_signals());
    bool had_ended = __atomic_exchange_n(&has_ended, false, __ATOMIC_SEQ_CST);
    bool fails = false;
    const char *why = NULL;
    if (!calls_arm())
        why = "the system refuses to catch system calls; errno says why";
    else if (by_sites && !call_sites_replace())
        why = "a call site cannot be changed, or another thread changes code";
    else if (!__atomic_exchange_n(&are_caught, true, __ATOMIC_RELAXED) || had_ended)
        look_at_threads(send_arm, &fails);
    if (fails)
        why = "a thread cannot be asked to have its system calls caught";
    if (why)
        syscalls_end();
    return why;
}

void syscalls_end(void)
{
    __atomic_store_n(&has_ended, true, __ATOMIC_SEQ_CST);
    calls_keep(0);
    chain_keep_open(calls_signals());
    calls_disarm();
}

/* ---- signals that are no calls ---- */

/* The call that the thread is in begins again, or the thread is in none. */
static void answer_remover(struct native_frame native)
{
    const struct call_record *record = calls_interrupted(native);
    struct pending *pending = record ? (struct pending *)(uintptr_t)record->finish : NULL;
    if (record)
        calls_begin_again(native);
    else if (!frame_was_on_alternate_stack(native.context))
        busy_answer(frame_stack_pointer(native.context));
    if (pending)
        pending_give(pending);
}

bool syscalls_take_answer(struct native_frame native)
{
    struct call_record *record = NULL;
    bool is_own = calls_answered(native, &record);
    struct pending *pending = record ? (struct pending *)(uintptr_t)record->finish : NULL;
    if (pending)
        pending_give(pending);
    return is_own;
}

/* The others that are kept open it goes on blocking until they are opened from outside, where what it blocked is noted:
 * it blocks them again at the end (masks/masks.h). */
static void have_caught(struct native_frame native)
{
    frame_set_mask(native.context, frame_get_mask(native.context) & ~calls_signals());
    calls_arm();
}

void syscalls_answer(struct native_frame native)
{
    if (!syscalls_are_caught())
        return;
    if (!__atomic_load_n(&has_ended, __ATOMIC_RELAXED))
        have_caught(native);
    answer_remover(native);
    masks_answer(native);
}

/* ---- after a suspension ---- */

/* Of this thread, so far: only a handler on this thread changes it. */
static uint64_t count_suspensions(void)
{
    return *(const volatile uint64_t *)&thread_self.suspensions;
}

/* ---- is it given a region? ---- */

static bool take(struct system_call *call, size_t room)
{
    if (__atomic_load_n(&has_ended, __ATOMIC_RELAXED))
        calls_disarm();
    if (pointers_take(call))
        return true;
    if (room < CALLS_STACK && calls_leads_mask(call)) {
        pass(call, room);
        return true;
    }
    if (change_is_wanted(call)) {
        change_run(call);
        return true;
    }
    if (region_count() == 0) {
        if (!calls_serve_own(call))
            pass(call, room);
        return true;
    }
    bool is_known = calls_is_known(call, NULL);
    if (is_known && calls_visit(call, space_peek, space_has_region))
        return false;
    if (calls_serve_own(call))
        return true;
    uint8_t pointers = is_known ? 0 : calls_refused_pointers(call->number);
    for (int i = 0; i < CALL_ARGUMENTS; i++)
        if ((pointers >> i & 1) && space_has_region(call->arguments[i], 1))
            calls_report_refused(call);
    pass(call, room);
    return true;
}

bool syscalls_take(struct system_call *call, size_t room)
{
    const uint64_t suspensions = count_suspensions();
    bool is_taken = take(call, room);
    if (count_suspensions() != suspensions)
        pending_look_again(call->native);
    return is_taken;
}

/* ---- ask ---- */

/* The questions about one access; SEGUE_STEP if all answer so. `is_early`: a region changes, so the call is to begin
 * again. */
static enum segue_verdict ask(struct work *work, const struct system_call *call, const struct call_access *access,
                              bool *is_early)
{
    struct service *service = &work->service;
    service->footprint.count = 0;
    for (uint64_t done = 0; done < access->size;) {
        const struct region *region;
        uint64_t part = space_part(access->address + done, access->size - done, &region);
        if (region && region_changes(region)) {
            wait_a_moment();
            *is_early = true;
            return SEGUE_RETRY;
        }
        if (region && !(region->flags & SEGUE_REGION_IDLE)) {
            if (service->footprint.count == FOOTPRINT_REGIONS)
                return SEGUE_PASS;
            service->footprint.regions[service->footprint.count++] = region;
        }
        done = part < access->size - done ? done + part : access->size;
    }
    if (service->footprint.count == 0)
        return SEGUE_STEP;
    service->frame.public.fault =
        (struct segue_fault){.address = access->address,
                             .address_known = true,
                             .direction = access->direction & SEGUE_WRITE ? SEGUE_WRITE : SEGUE_READ,
                             .instruction = call->instruction};
    service->plan.access_count = 1;
    details_of(&service->plan)->accesses[0] = (struct segue_access){
        .address = access->address, .size = access->size, .element = 1, .direction = access->direction};
    return question_ask(work);
}

/* ---- lead ---- */

/* The only region that all of the access is in; NULL if it is in several, or outside. */
static const struct region *whole_region(const struct call_access *access)
{
    const struct region *region;
    return space_part(access->address, access->size, &region) >= access->size ? region : NULL;
}

/* The pointer that the kernel can use in place of the program's; 0 without one. */
static uint64_t native_pointer(const struct region *region, uint64_t address)
{
    if (region && region->kind == SEGUE_WINDOW_ALIAS)
        return (uint64_t)(uintptr_t)region->place + (address - region->base);
    return region && (region->kind == SEGUE_WINDOW_EXPOSED || (region->flags & SEGUE_REGION_IDLE)) ? address : 0;
}

static bool is_led(const struct call_access *access)
{
    return !access->is_copied && space_has_region(access->address, access->size);
}

/* Its result says nothing of how much is written: what changes is found by a second copy. */
static bool is_compared(const struct call_access *access)
{
    return (access->direction & SEGUE_WRITE) && !access->unit;
}

static size_t bounce_size(const struct call_access *access)
{
    uint64_t size = (access->size + 15) & ~UINT64_C(15);
    return is_compared(access) ? 2 * size : size;
}

static char *compared_of(const struct call_access *access)
{
    return (char *)access->bytes + ((access->size + 15) & ~UINT64_C(15));
}

/* Fills the bounce buffer; false if the program's memory cannot be accessed so: then the kernel is to find out. */
static bool fill(const struct call_access *access)
{
    bool is_read = (access->direction & SEGUE_READ) || is_compared(access);
    if (is_read && !space_peek(access->bytes, access->address, access->size))
        return false;
    if ((access->direction & SEGUE_WRITE) && !space_is_writable(access->address, access->size))
        return false;
    if (is_compared(access))
        memcpy(compared_of(access), access->bytes, access->size);
    return true;
}

/* The span of the regions that the call uses. */
struct span_used {
    uint64_t base, end;
};

static void use(struct span_used *used, const struct call_access *access)
{
    uint64_t end = access->address + access->size;
    used->base = access->address < used->base ? access->address : used->base;
    used->end = end > used->end ? end : used->end;
}

/* Leads all accesses. False if there is no memory for the bounce buffers. */
static bool lead(struct call_access *accesses, size_t count, struct pending *pending, struct span_used *used)
{
    size_t needed = 0;
    for (size_t i = 0; i < count; i++) {
        struct call_access *access = &accesses[i];
        if (!access->is_copied)
            access->bytes = NULL;
        if (!is_led(access))
            continue;
        use(used, access);
        follow_begin(&pending->followed, access);
        uint64_t pointer = native_pointer(whole_region(access), access->address);
        if (pointer)
            *access->pointer = pointer;
        else if (__builtin_add_overflow(needed, bounce_size(access), &needed))
            return false;
        else
            access->bytes = access;
    }
    if (!needed)
        return true;
    char *next = calls_map(needed);
    if (!next)
        return false;
    pending->bounces = next;
    pending->bounces_size = needed;
    for (size_t i = 0; i < count; i++) {
        if (accesses[i].bytes != &accesses[i])
            continue;
        accesses[i].bytes = next;
        next += bounce_size(&accesses[i]);
        if (fill(&accesses[i]))
            *accesses[i].pointer = (uint64_t)(uintptr_t)accesses[i].bytes;
        else
            accesses[i].bytes = NULL;
    }
    return true;
}

static bool wants_finish(const struct pending *pending)
{
    bool wants = pending->bounces || pending->followed;
    for (size_t i = 0; i < pending->count; i++)
        wants |= pending->accesses[i].is_message;
    return wants;
}

/* ---- make ---- */

/* Takes the memory that the call needs until it is finished: its list of accesses, and copies. */
static struct pending *take_pending(const struct call_need *need)
{
    size_t accesses = sizeof(struct call_access) * need->accesses;
    size_t size = sizeof(struct pending) + accesses + need->copies;
    struct pending *pending = calls_map(size);
    if (!pending)
        return NULL;
    *pending = (struct pending){.size = size, .accesses = (struct call_access *)(pending + 1)};
    return pending;
}

static void give_left(void *memory)
{
    pending_give(memory);
}

static bool make(const struct system_call *call, uint64_t *arguments, const struct span_used *used,
                 struct pending *pending)
{
    struct call_record record = {.finish = (uint64_t)(uintptr_t)pending};
    shared_word *busy = busy_take((uint64_t)(uintptr_t)calls_record(call), used->base, used->end, pending, give_left);
    if (!busy)
        return false;
    record.busy = (uint64_t)(uintptr_t)busy;
    calls_open_mask(call, arguments, &record);
    if (calls_make(call, arguments, &record))
        return true;
    __atomic_store_n(busy, 0, __ATOMIC_RELEASE);
    return false;
}

/* Whether the program could make the accesses that the kernel does not make itself, as far as their ends show: all of
 * a call that is served at once; of another one those that are only read, its mask among them. */
static bool can_access(const struct system_call *call, const struct pending *pending)
{
    char byte;
    for (size_t i = 0; i < pending->count; i++) {
        const struct call_access *access = &pending->accesses[i];
        void *first = (void *)(uintptr_t)access->address, *last = (char *)first + access->size - 1;
        bool is_written = access->direction & SEGUE_WRITE;
        if (is_written && !calls_is_served_at_once(call))
            continue;
        if (guard_copy(&byte, first, 1) != 0 || guard_copy(&byte, last, 1) != 0 ||
            (is_written && (guard_probe_write(first) != 0 || guard_probe_write(last) != 0)))
            return false;
    }
    return true;
}

/* As the program asked; but a mask never blocks SIGSYS. */
static void make_as_asked(const struct system_call *call, const struct pending *pending)
{
    if (!calls_is_own(call))
        calls_pass(call);
    else if (!can_access(call, pending))
        calls_return(call, CALLS_BAD_ADDRESS);
    else if (!calls_serve_own(call))
        calls_pass(call);
}

/* What the policies want; only SEGUE_STEP needs anything more than the frame. */
static enum segue_verdict ask_all(struct work *work, const struct system_call *call, const struct pending *pending,
                                  bool *is_early)
{
    enum segue_verdict verdict = SEGUE_STEP;
    question_begin(work);
    for (size_t i = 0; verdict == SEGUE_STEP && i < pending->count; i++)
        verdict = ask(work, call, &pending->accesses[i], is_early);
    return verdict;
}

static void begin_service(struct work *work, const struct system_call *call)
{
    struct service *service = &work->service;
    service->frame.public.regs.rip = call->instruction;
    service->can_step = SEGUE_OK;
    service->system_call = (int32_t)call->number;
    service->plan.insn = (struct segue_insn){.length = 0};
    plan_begin(&service->plan, PLAN_BYTES_MOST);
}

/* The policy has moved the thread; without that it goes on behind the call. */
static void finish_done(struct work *work, const struct system_call *call)
{
    question_finish(work);
    if (frame_instruction(call->native.context) == call->instruction)
        frame_set_instruction(call->native.context, call->instruction + SYSCALL_SIZE);
}

static void serve(struct work *work, const struct system_call *call)
{
    struct span_used used = {UINT64_MAX, 0};
    uint64_t arguments[CALL_ARGUMENTS];
    struct call_need need;
    calls_is_known(call, &need);
    struct pending *pending = take_pending(&need);
    if (!pending) {
        calls_return(call, CALLS_NO_MEMORY);
        return;
    }
    const uint32_t rights = keyed_take_rights(&work->service.frame.public.xstate);
    pending->count = calls_list(call, arguments, (char *)(pending->accesses + need.accesses), &need, pending->accesses);
    keyed_give_rights_back(rights);
    begin_service(work, call);
    bool is_early = false;
    enum segue_verdict verdict = ask_all(work, call, pending, &is_early);
    keyed_take_rights(&work->service.frame.public.xstate);
    if (is_early)
        frame_set_instruction(call->native.context, call->instruction);
    else if (verdict == SEGUE_DONE)
        finish_done(work, call);
    else if (verdict != SEGUE_STEP)
        make_as_asked(call, pending);
    else if (calls_is_served_at_once(call))
        calls_serve_own(call);
    if (verdict != SEGUE_STEP || calls_is_served_at_once(call)) {
        pending_give(pending);
        return;
    }
    if (!lead(pending->accesses, pending->count, pending, &used)) {
        calls_return(call, CALLS_NO_MEMORY);
        pending_give(pending);
        return;
    }
    bool is_kept = wants_finish(pending) || need.copies;
    if (!make(call, arguments, &used, is_kept ? pending : NULL)) {
        make_as_asked(call, pending);
        is_kept = false;
    }
    if (!is_kept)
        pending_give(pending);
}

/* Policies that have been asked are asked again. What the pointers lead to is accessed with the thread's rights. */
void syscalls_serve(struct work *work, const struct system_call *call)
{
    const uint64_t suspensions = count_suspensions();
    serve(work, call);
    if (count_suspensions() != suspensions)
        pending_look_again(call->native);
}

void syscalls_refuse(const struct system_call *call)
{
    if (calls_is_own(call))
        calls_return(call, CALLS_BAD_ADDRESS);
    else
        calls_pass(call);
}

/* ---- finish ---- */

/* Writes the bytes that the kernel has changed. */
static void give_changes(const struct call_access *access)
{
    const char *bytes = access->bytes, *before = compared_of(access);
    for (uint64_t at = 0, end; at < access->size; at = end) {
        for (end = at; end < access->size && bytes[end] != before[end]; end++)
            ;
        if (end > at)
            space_poke(access->address + at, bytes + at, end - at);
        else
            end++;
    }
}

/* `left`: the bytes of a vector that the elements before have not taken. */
static void give_back(const struct call_access *access, long result, uint64_t *left)
{
    uint64_t written = result > 0 ? (uint64_t)result * access->unit : 0;
    if (access->is_element) {
        written = *left < access->size ? *left : access->size;
        *left -= written;
    }
    if (access->is_copied || !access->bytes || !(access->direction & SEGUE_WRITE))
        return;
    if (is_compared(access))
        give_changes(access);
    else if (written)
        space_poke(access->address, access->bytes, written < access->size ? written : access->size);
}

void syscalls_finish(struct native_frame native)
{
    const struct call_record *record = calls_finished(native);
    struct segue_regs regs;
    struct pending *pending = (struct pending *)(uintptr_t)record->finish;
    long result = (long)record->result;
    uint64_t left = result > 0 ? (uint64_t)result : 0;
    for (size_t i = 0; i < pending->count; i++) {
        give_back(&pending->accesses[i], result, &left);
        if (pending->accesses[i].is_message && result >= 0)
            calls_give_message(&pending->accesses[i], space_poke);
    }
    frame_get_general(native.context, &regs);
    regs.rip = record->target;
    regs.rsp = record->stack_pointer;
    follow_end(pending->followed, record, &regs);
    pending->followed = NULL;
    /* From here on the call is no more one that the thread may leave (busy.h). */
    calls_finish(native, record);
    pending_give(pending);
}
