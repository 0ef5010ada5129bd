/* callers.c: see callers.h.
 *
 * SOURCES: System V ABI for x86-64, "Procedure Linkage Table"; Intel SDM, CALL and JMP (E8, FF /2, FF /4). The stubs of
 * linkers begin with ENDBR64, or do not, and jump through a slot, with the prefix F2 or without. */
#include "callers.h"

#include <string.h>
#include <unwind.h>

#include "signals/watch/blocks/supply.h"

/* The longest call that is looked at, and a stub's beginning. */
#define CALL_BYTES 6u
#define STUB_BYTES 11u

struct walk {
    uint64_t caller;
    callers_visit *visit;
    void *context;
    bool has_begun;
};

static _Unwind_Reason_Code step(struct _Unwind_Context *frame, void *argument)
{
    struct walk *walk = argument;
    const uint64_t address = (uint64_t)_Unwind_GetIP(frame);
    if (!address)
        return _URC_END_OF_STACK;
    walk->has_begun |= address == walk->caller;
    return !walk->has_begun || walk->visit(walk->context, address) ? _URC_NO_REASON : _URC_NORMAL_STOP;
}

void callers_walk(uint64_t caller, callers_visit *visit, void *context)
{
    struct walk walk = {caller, visit, context, false};
    _Unwind_Backtrace(step, &walk);
    if (!walk.has_begun)
        visit(context, caller);
}

/* What a slot holds, at a distance of 32 bits from the instruction's end. 0 if nothing can be read there. */
static uint64_t slot_at(uint64_t end, const unsigned char *distance)
{
    int32_t far;
    uint64_t held = 0;
    memcpy(&far, distance, sizeof far);
    return supply_peek(&held, end + (uint64_t)(int64_t)far, sizeof held) ? held : 0;
}

static uint64_t behind_stub(uint64_t address)
{
    static const unsigned char endbr64[] = {0xf3, 0x0f, 0x1e, 0xfa};
    unsigned char bytes[STUB_BYTES];
    size_t at = 0;
    if (!supply_peek(bytes, address, sizeof bytes))
        return address;
    if (memcmp(bytes, endbr64, sizeof endbr64) == 0)
        at += sizeof endbr64;
    at += bytes[at] == 0xf2;
    return bytes[at] == 0xff && bytes[at + 1] == 0x25 ? slot_at(address + at + 6, bytes + at + 2) : address;
}

uint64_t callers_target(uint64_t address)
{
    unsigned char bytes[CALL_BYTES];
    int32_t distance;
    if (!supply_peek(bytes, address - sizeof bytes, sizeof bytes))
        return 0;
    if (bytes[0] == 0xff && bytes[1] == 0x15)
        return slot_at(address, bytes + 2);
    if (bytes[1] != 0xe8)
        return 0;
    memcpy(&distance, bytes + 2, sizeof distance);
    return behind_stub(address + (uint64_t)(int64_t)distance);
}
