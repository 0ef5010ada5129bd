/* thunks.c: the C side of the thunks: their addresses, what they read, and threads in them (see body.h). */
#include <stddef.h>

#include "body.h"
#include "decode/x86/flags.h"
#include "decode/x86/xsave.h"
#include "emulate/windows/guard.h"

_Static_assert(offsetof(struct body_call, record) == CALL_RECORD, "layout.h");
_Static_assert(offsetof(struct body_call, address) == CALL_ADDRESS, "layout.h");
_Static_assert(offsetof(struct body_call, regs) == CALL_REGS, "layout.h");
_Static_assert(offsetof(struct body_call, watch) == CALL_WATCH, "layout.h");
_Static_assert(offsetof(struct body_call, watched) == CALL_WATCHED, "layout.h");
_Static_assert(offsetof(struct body_call, number) == CALL_SCRATCH, "layout.h");
_Static_assert(offsetof(struct body_call, missed) == CALL_MISSED, "layout.h");
_Static_assert(offsetof(struct body_call, alias) == CALL_ALIAS, "layout.h");
_Static_assert(offsetof(struct body_call, mask) == CALL_MASK, "layout.h");
_Static_assert(offsetof(struct body_regions, sequence) == REGIONS_SEQUENCE, "layout.h");
_Static_assert(offsetof(struct body_regions, count) == REGIONS_COUNT, "layout.h");
_Static_assert(offsetof(struct body_regions, regions) == REGIONS_FIRST, "layout.h");
_Static_assert(offsetof(struct body_region, base) == ENTRY_BASE, "layout.h");
_Static_assert(offsetof(struct body_region, size) == ENTRY_SIZE, "layout.h");
_Static_assert(offsetof(struct body_region, distance) == ENTRY_DISTANCE, "layout.h");
_Static_assert(sizeof(struct body_region) == 1 << ENTRY_SHIFT, "layout.h");
_Static_assert(sizeof(struct segue_regs) == THUNK_FRAME, "layout.h");
_Static_assert(offsetof(struct segue_regs, rbp) == THUNK_RBP, "layout.h");
_Static_assert(offsetof(struct segue_regs, rsp) == THUNK_RSP, "layout.h");
_Static_assert(offsetof(struct segue_regs, rip) == THUNK_RIP, "layout.h");
_Static_assert(offsetof(struct segue_regs, rflags) == THUNK_RFLAGS, "layout.h");

body_ask_function *body_ask;
struct body_regions body_regions;

/* The components that a policy of C may change, and the size of a compacted area for them. */
uint64_t body_vector_components, body_vector_size;
#define COMPONENTS (COMPONENTS_LEGACY_AVX | COMPONENTS_AVX512)

/* The places of a thunk, in order (thunk_x86_64.S): its beginning; the frame is open; it has the registers, and RBP its
 * address; between the next two the vector registers are the policy's; the flags are the application's again; the frame
 * is at RSP again; closed; code that belongs before `answered`; the end. */
#define EACH_PLACE(X, name)                                                                                            \
    X(begin, name)                                                                                                     \
    X(open, name)                                                                                                      \
    X(saved, name)                                                                                                     \
    X(called, name) X(restored, name) X(answered, name) X(leaving, name) X(closed, name) X(aside, name) X(end, name)
#define EACH_THUNK(X)                                                                                                  \
    X(ask, ASK)                                                                                                        \
    X(ask_vectors, ASK_VECTORS) X(ask_regs, ASK_REGS) X(ask_regs_vectors, ASK_REGS_VECTORS) X(lookup, LOOKUP)

#define DECLARE_PLACE(place, name) extern const char body_##place##_##name[];
#define DECLARE(name, number) EACH_PLACE(DECLARE_PLACE, name)
EACH_THUNK(DECLARE)

#define FIELD(place, name) const char *place;
#define VALUE(place, name) .place = body_##place##_##name,
#define ROW(name, number) [BODY_THUNK_##number] = {EACH_PLACE(VALUE, name)},
static const struct thunk {
    EACH_PLACE(FIELD, )
} thunks[BODY_THUNK_COUNT] = {EACH_THUNK(ROW)};

/* Cleared for the policy. */
#define UNWANTED (FLAG_DIRECTION | FLAG_ALIGNMENT)

static uint64_t address_of(const char *place)
{
    return (uint64_t)(uintptr_t)place;
}

/* The size of an area in the compacted format. */
static uint64_t compacted_size(uint64_t components)
{
    uint64_t size = XSAVE_HEADER_END;
    for (unsigned i = STATE_FIRST_EXTENDED; i < STATE_LIMIT; i++) {
        struct xsave_component place;
        if (!(components >> i & 1) || !xsave_find(i, &place))
            continue;
        if (place.is_aligned)
            size = (size + XSAVE_ALIGNMENT - 1) & ~(uint64_t)(XSAVE_ALIGNMENT - 1);
        size += place.size;
    }
    return size;
}

void body_thunks_fill(uint64_t words[BODY_THUNK_COUNT], bool *vectors)
{
    body_vector_components = xsave_enabled() & COMPONENTS;
    body_vector_size = compacted_size(body_vector_components);
    *vectors = xsave_can_compact();
    for (unsigned i = 0; i < BODY_THUNK_COUNT; i++)
        words[i] = address_of(thunks[i].begin);
}

static const struct thunk *thunk_at(uint64_t rip)
{
    for (unsigned i = 0; i < BODY_THUNK_COUNT; i++)
        if (rip - address_of(thunks[i].begin) < (uint64_t)(thunks[i].end - thunks[i].begin))
            return &thunks[i];
    return NULL;
}

static bool load(uint64_t address, void *value)
{
    return guard_load_8((const void *)(uintptr_t)address, value) == 0; // NOLINT(performance-no-int-to-ptr)
}

/* The registers that a thunk uses come back from its frame. */
static bool load_frame(uint64_t frame, struct segue_regs *regs)
{
    static const uint8_t used[] = {SEGUE_RCX, SEGUE_RDX, SEGUE_RSI, SEGUE_RDI, SEGUE_RBP,
                                   SEGUE_R8,  SEGUE_R9,  SEGUE_R10, SEGUE_R11};
    for (unsigned i = 0; i < sizeof used; i++)
        if (!load(frame + used[i] * sizeof(uint64_t), segue_register_at(regs, used[i])))
            return false;
    return true;
}

/* How far a thunk has come. */
enum phase {
    /* All registers are the body's. */
    PHASE_OUTSIDE,
    /* The same, but RSP is lower by the frame. */
    PHASE_OPEN,
    /* The frame has the registers, and RBP its address. */
    PHASE_SAVED,
    /* The same, and it has flags, too. */
    PHASE_ASKING,
    /* The frame is at RSP again. */
    PHASE_LEAVING,
};

static enum phase phase_at(const struct thunk *thunk, uint64_t rip)
{
    if (rip >= address_of(thunk->aside))
        return PHASE_ASKING;
    if (rip < address_of(thunk->open) || rip >= address_of(thunk->closed))
        return PHASE_OUTSIDE;
    if (rip < address_of(thunk->saved))
        return PHASE_OPEN;
    if (rip >= address_of(thunk->leaving))
        return PHASE_LEAVING;
    /* The first instruction stores the flags. */
    return rip > address_of(thunk->saved) && rip < address_of(thunk->answered) ? PHASE_ASKING : PHASE_SAVED;
}

bool body_leave_thunk(struct segue_regs *regs)
{
    const struct thunk *thunk = thunk_at(regs->rip);
    if (!thunk || regs->rip - address_of(thunk->called) < (uint64_t)(thunk->restored - thunk->called))
        return false;
    enum phase phase = phase_at(thunk, regs->rip);
    struct segue_regs body = *regs;
    uint64_t frame = phase == PHASE_SAVED || phase == PHASE_ASKING ? regs->rbp : regs->rsp, flags;
    if (phase >= PHASE_SAVED && !load_frame(frame, &body))
        return false;
    if (phase == PHASE_ASKING) {
        if (!load(frame - THUNK_FLAGS, &flags))
            return false;
        body.rflags = (body.rflags & ~UNWANTED) | (flags & UNWANTED);
    }
    uint64_t caller = frame + (phase == PHASE_OUTSIDE ? 0 : THUNK_FRAME);
    if (!load(caller, &body.rip))
        return false;
    body.rsp = caller + sizeof body.rip;
    *regs = body;
    return true;
}
