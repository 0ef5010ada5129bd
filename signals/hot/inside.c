/* inside.c: see inside.h and leave.h: a thread in a body stands at an instruction of the application. */
#include "inside.h"

#include "constants.h"
#include "leave.h"
#include "platform/abi.h"
#include "platform/frame/kept_info.h"
#include "signals/hot/ask/quick.h"
#include "signals/hot/kept/counters.h"
#include "signals/hot/kept/kept.h"
#include "slots.h"

/* Where the thread stands, and its registers there; NULL if it is in no body. */
static const struct hot_body *translate(struct segue_regs *regs, struct body_place *place)
{
    struct segue_regs at = *regs;
    if (!kept_is_prepared())
        return NULL;
    if (!quick_leave(&at))
        body_leave_thunk(&at);
    const struct hot_body *body = hot_body_find(at.rip);
    if (!body || !body_translate(kept_of(body)->table, body->address, &at, place))
        return NULL;
    *regs = at;
    return body;
}

static enum code_range_result translate_range(const struct code_range *range, struct segue_regs *regs,
                                              const void **frame)
{
    struct body_place place;
    (void)range;
    (void)frame;
    return translate(regs, &place) ? CODE_RANGE_REGISTERS : CODE_RANGE_NOT_FOUND;
}

const struct code_range hot_range = {.translate = translate_range};

/* The thread is put back from `rip`: a count of an access that it has not made, and a policy that it is not in. */
static void take_back(uint64_t rip, const struct hot_body *body, const struct body_place *place)
{
    const struct kept *of_body = kept_of(body);
    struct body_record *record = &of_body->records[place->record];
    quick_was_left(rip);
    if (!place->counted || (of_body->slot->mode != BODY_COUNT && !of_body->slot->sample))
        return;
    if (record->by_thread)
        counters_take_back(of_body->first_record + place->record);
    else
        __atomic_fetch_sub(&record->count, 1, __ATOMIC_RELAXED);
}

/* Whether the instruction's access is counted by each thread. */
static bool counts_by_thread(const struct hot_body *body, const struct body_place *place)
{
    const struct kept *of_body = kept_of(body);
    return place->record < of_body->record_count && of_body->records[place->record].by_thread;
}

bool hot_leave(void *context)
{
    if (!kept_is_prepared())
        return false;
    struct segue_regs regs;
    struct body_place place;
    frame_get_general(context, &regs);
    const uint64_t from = regs.rip;
    const struct hot_body *body = translate(&regs, &place);
    if (!body)
        return false;
    take_back(from, body, &place);
    frame_set_registers(context, &regs);
    return true;
}

/* The thread's stack had no room for a body's frame, or for a thunk's: the fault is not the application's. */
static bool is_of_frame(const struct segue_regs *interrupted, const struct segue_regs *regs, uint64_t address)
{
    return address < regs->rsp - RED_ZONE && address >= interrupted->rsp - RED_ZONE;
}

/* The access was made at the alias: its address in the region. */
static uint64_t address_in_region(uint64_t address, const struct hot_slot *slot)
{
    return hot_slot_is_at_alias(slot, address) ? address - (uint64_t)slot->distance : address;
}

static void set_address(struct native_frame native, uint64_t before, uint64_t address)
{
    struct frame_exception exception;
    struct kept_info info;
    frame_get_exception(native.context, &exception);
    if (exception.address == before) {
        exception.address = address;
        frame_set_exception(native.context, &exception);
    }
    kept_info_keep(&info, native.info);
    info.address = address;
    kept_info_give(&info, native.info);
}

__attribute__((hot)) enum hot_fault hot_take_fault(struct native_frame native, struct hot_origin *origin)
{
    if (!kept_is_prepared())
        return HOT_FAULT_ELSEWHERE;
    struct segue_regs interrupted, regs;
    struct body_place place;
    uint64_t address = frame_signal(native.info).address;
    frame_get_general(native.context, &interrupted);
    regs = interrupted;
    const struct hot_body *body = translate(&regs, &place);
    if (!body) {
        uint64_t meant = constants_address(regs.rip, address);
        if (meant == address)
            return HOT_FAULT_ELSEWHERE;
        set_address(native, address, meant);
        return HOT_FAULT_TRANSLATED;
    }
    take_back(interrupted.rip, body, &place);
    bool lacks_counters = body_lacks_counters(address) && counts_by_thread(body, &place);
    if (lacks_counters && counters_attach()) {
        frame_set_registers(native.context, &regs);
        return HOT_FAULT_RESUMED;
    }
    bool resumes =
        place.plain && interrupted.rip != place.plain && (lacks_counters || is_of_frame(&interrupted, &regs, address));
    if (resumes)
        regs.rip = place.plain;
    frame_set_registers(native.context, &regs);
    if (resumes)
        return HOT_FAULT_RESUMED;
    *origin = (struct hot_origin){.body = body, .is_checked = place.plain != 0};
    /* SIGFPE reports the instruction's own address. */
    uint64_t meant = address == interrupted.rip ? regs.rip : address_in_region(address, kept_of(body)->slot);
    if (meant != address)
        set_address(native, address, meant);
    return HOT_FAULT_TRANSLATED;
}

/* A thread that traps after each instruction executes the original ones, one by one. */
bool hot_take_step(void *context)
{
    if (!kept_is_prepared())
        return false;
    struct segue_regs regs;
    struct body_place place;
    frame_get_general(context, &regs);
    uint64_t at = regs.rip;
    const struct hot_body *body = translate(&regs, &place);
    if (!body)
        return false;
    bool is_first = place.instruction == 0;
    if (is_first && (!place.plain || place.plain == at))
        return true;
    take_back(at, body, &place);
    if (is_first)
        regs.rip = place.plain;
    frame_set_registers(context, &regs);
    return is_first;
}
