/* quick.c: see quick.h. The fields that the assembly uses, and threads in it. */
#include "quick.h"

#include <stddef.h>

#include "asker.h"
#include "decode/x86/flags.h"
#include "emulate/windows/guard.h"
#include "quick_layout.h"
#include "signals/threads/thread.h"

_Static_assert(offsetof(struct thread_state, asker) == 0, "what the assembly reads");
_Static_assert(offsetof(struct asker, attention) == ASKER_ATTENTION, "quick_layout.h");
_Static_assert(offsetof(struct asker, at) == ASKER_AT, "quick_layout.h");
_Static_assert(offsetof(struct asker, event) == 0, "the assembly has one address of both");
_Static_assert(offsetof(struct segue_hot_event, address) == EVENT_ADDRESS, "quick_layout.h");
_Static_assert(offsetof(struct segue_hot_event, at) == EVENT_AT, "quick_layout.h");
_Static_assert(offsetof(struct segue_hot_event, size) == EVENT_EXTENT, "quick_layout.h");
_Static_assert(offsetof(struct segue_hot_event, direction) == EVENT_EXTENT + 4, "quick_layout.h");
_Static_assert(offsetof(struct segue_hot_event, site) == EVENT_SITE, "quick_layout.h");
_Static_assert(offsetof(struct segue_hot_event, region) == EVENT_REGION, "quick_layout.h");
_Static_assert(offsetof(struct body_record, site) == RECORD_SITE, "quick_layout.h");
_Static_assert(offsetof(struct body_record, slot) == RECORD_SLOT, "quick_layout.h");
_Static_assert(offsetof(struct body_record, size) == RECORD_EXTENT, "quick_layout.h");
_Static_assert(offsetof(struct body_record, direction) == RECORD_EXTENT + 4, "quick_layout.h");
_Static_assert(offsetof(struct hot_slot, region) == 0, "quick_layout.h");
_Static_assert(offsetof(struct hot_slot, asked) == SLOT_ASKED, "quick_layout.h");
_Static_assert(offsetof(struct hot_slot, context) == SLOT_CONTEXT, "quick_layout.h");
_Static_assert(offsetof(struct hot_slot, distance) == SLOT_DISTANCE, "quick_layout.h");
_Static_assert(SEGUE_STEP == 0, "the assembly compares the verdict with it");
_Static_assert(SEGUE_RETRY == VERDICT_RETRY, "quick_layout.h");

/* Where the assembly goes on with other questions. */
uint64_t quick_otherwise;

enum phase {
    /* All registers are the body's. */
    PHASE_OUTSIDE,
    /* The same, but RSP is lower by the frame. */
    PHASE_OPEN,
    /* The frame has the registers, and RBP its address. */
    PHASE_SAVED,
    /* The body's frame has the registers. */
    PHASE_KEPT,
    /* The asker leads to the slot: as if in the policy. */
    PHASE_INSIDE,
    /* `attention` was looked at: as PHASE_ANSWERED and PHASE_ANSWERED_KEPT if it was 0, else as if in the policy. */
    PHASE_LOOKED,
    PHASE_LOOKED_KEPT,
    /* As PHASE_SAVED and PHASE_KEPT, but the asker leads to the slot, and the next instruction changes that. */
    PHASE_ANSWERED,
    PHASE_ANSWERED_KEPT,
    /* The frame is at RSP again. */
    PHASE_LEAVING,
};

/* Places of the assembly, in order: the beginning of each phase. */
#define EACH_PLACE(X, scratch)                                                                                         \
    X(begin, OUTSIDE, scratch)                                                                                         \
    X(open, OPEN, scratch)                                                                                             \
    X(saved, SAVED, scratch)                                                                                           \
    X(inside, INSIDE, scratch)                                                                                         \
    X(looked, LOOKED, scratch)                                                                                         \
    X(answered, ANSWERED, scratch)                                                                                     \
    X(left, SAVED, scratch)                                                                                            \
    X(leaving, LEAVING, scratch)                                                                                       \
    X(closed, OUTSIDE, scratch)                                                                                        \
    X(aside, INSIDE, scratch)                                                                                          \
    X(refused, SAVED, scratch)                                                                                         \
    X(refused_leaving, LEAVING, scratch)                                                                               \
    X(refused_closed, OUTSIDE, scratch)                                                                                \
    X(end, OUTSIDE, scratch)
#define EACH_LEAF_PLACE(X, kind, scratch)                                                                              \
    X(begin, OUTSIDE, kind, scratch)                                                                                   \
    X(saved, KEPT, kind, scratch)                                                                                      \
    X(inside, INSIDE, kind, scratch)                                                                                   \
    X(looked, LOOKED_KEPT, kind, scratch)                                                                              \
    X(answered, ANSWERED_KEPT, kind, scratch)                                                                          \
    X(left, KEPT, kind, scratch)                                                                                       \
    X(closed, OUTSIDE, kind, scratch)                                                                                  \
    X(aside, INSIDE, kind, scratch)                                                                                    \
    X(refused, KEPT, kind, scratch)                                                                                    \
    X(refused_closed, OUTSIDE, kind, scratch)                                                                          \
    X(end, OUTSIDE, kind, scratch)
/* The code of each register, in order of the addresses. */
#define EACH_SCRATCH(X)                                                                                                \
    X(rbx, RBX)                                                                                                        \
    X(rcx, RCX)                                                                                                        \
    X(rdx, RDX)                                                                                                        \
    X(rsi, RSI) X(rdi, RDI) X(r8, R8) X(r9, R9) X(r10, R10) X(r11, R11) X(r12, R12) X(r13, R13) X(r14, R14) X(r15, R15)
#define EACH_SCRATCH_OF_LEAVES(X, kind)                                                                                \
    X(kind, rbx, RBX)                                                                                                  \
    X(kind, rcx, RCX)                                                                                                  \
    X(kind, rdx, RDX)                                                                                                  \
    X(kind, rbp, RBP)                                                                                                  \
    X(kind, r8, R8)                                                                                                    \
    X(kind, r9, R9)                                                                                                    \
    X(kind, r10, R10)                                                                                                  \
    X(kind, r11, R11) X(kind, r12, R12) X(kind, r13, R13) X(kind, r14, R14) X(kind, r15, R15)

#define DECLARE_PLACE(place, phase, scratch) extern const char quick_##place##_##scratch[];
#define DECLARE(scratch, number) EACH_PLACE(DECLARE_PLACE, scratch)
EACH_SCRATCH(DECLARE)
#define DECLARE_LEAF_PLACE(place, phase, kind, scratch) extern const char leaf_##place##_##kind##_##scratch[];
#define DECLARE_LEAF(kind, scratch, number) EACH_LEAF_PLACE(DECLARE_LEAF_PLACE, kind, scratch)
EACH_SCRATCH_OF_LEAVES(DECLARE_LEAF, blind)
EACH_SCRATCH_OF_LEAVES(DECLARE_LEAF, one)
EACH_SCRATCH_OF_LEAVES(DECLARE_LEAF, three)

#define PLACE(place, phase, scratch) {quick_##place##_##scratch, PHASE_##phase, QUICK_FULLY},
#define PLACES(scratch, number) EACH_PLACE(PLACE, scratch)
#define KIND_blind QUICK_LEAF_BLIND
#define KIND_one QUICK_LEAF
#define KIND_three QUICK_LEAF_OF_THREE
#define LEAF_PLACE(place, phase, kind, scratch) {leaf_##place##_##kind##_##scratch, PHASE_##phase, KIND_##kind},
#define LEAF_PLACES(kind, scratch, number) EACH_LEAF_PLACE(LEAF_PLACE, kind, scratch)
static const struct place {
    const char *from;
    enum phase phase;
    enum quick_kind kind;
} places[] = {EACH_SCRATCH(PLACES) EACH_SCRATCH_OF_LEAVES(LEAF_PLACES, blind) EACH_SCRATCH_OF_LEAVES(LEAF_PLACES, one)
                  EACH_SCRATCH_OF_LEAVES(LEAF_PLACES, three)};
#define PLACE_COUNT (sizeof places / sizeof *places)

static uint64_t address_of(const char *place)
{
    return (uint64_t)(uintptr_t)place;
}

void quick_prepare(uint64_t otherwise, uint64_t words[QUICK_KINDS][BODY_QUICK_COUNT])
{
    quick_otherwise = otherwise;
    /* RSI and RDI are used by the code for leaves. */
#define WORD(scratch, number)                                                                                          \
    for (unsigned kind = 0; kind < QUICK_KINDS; kind++)                                                                \
        words[kind][SEGUE_##number] = address_of(quick_begin_##scratch);
    EACH_SCRATCH(WORD)
#undef WORD
#define WORD(kind, scratch, number) words[KIND_##kind][SEGUE_##number] = address_of(leaf_begin_##kind##_##scratch);
    EACH_SCRATCH_OF_LEAVES(WORD, blind)
    EACH_SCRATCH_OF_LEAVES(WORD, one)
    EACH_SCRATCH_OF_LEAVES(WORD, three)
#undef WORD
}

static bool load(uint64_t address, uint64_t *value)
{
    return guard_load_8((const void *)(uintptr_t)address, value) == 0;
}

static bool load_frame(uint64_t frame, struct segue_regs *regs)
{
    return load(frame + QUICK_RCX, &regs->rcx) && load(frame + QUICK_RDX, &regs->rdx) &&
           load(frame + QUICK_RSI, &regs->rsi) && load(frame + QUICK_RDI, &regs->rdi) &&
           load(frame + QUICK_RBP, &regs->rbp) && load(frame + QUICK_R8, &regs->r8) &&
           load(frame + QUICK_R9, &regs->r9) && load(frame + QUICK_R10, &regs->r10) &&
           load(frame + QUICK_R11, &regs->r11);
}

/* `frame`: of RCX. */
static bool load_kept(uint64_t frame, enum quick_kind kind, struct segue_regs *regs)
{
    return load(frame + QUICK_RDI, &regs->rdi) && (kind == QUICK_LEAF_BLIND || load(frame + QUICK_RSI, &regs->rsi)) &&
           (kind != QUICK_LEAF_OF_THREE ||
            (load(frame + QUICK_RCX, &regs->rcx) && load(frame + QUICK_RDX, &regs->rdx)));
}

/* The place that the address belongs to; NULL if it is outside of the code. */
static const struct place *place_at(uint64_t rip)
{
    size_t at = PLACE_COUNT - 1;
    if (rip < address_of(places[0].from) || rip >= address_of(places[at].from))
        return NULL;
    while (rip < address_of(places[at].from))
        at--;
    return &places[at];
}

static bool has_kept(const struct place *place)
{
    return place->phase == PHASE_KEPT || place->phase == PHASE_LOOKED_KEPT || place->phase == PHASE_ANSWERED_KEPT;
}

static bool has_looked(const struct place *place)
{
    return place->phase == PHASE_LOOKED || place->phase == PHASE_LOOKED_KEPT;
}

/* The thread counts as one in the policy, and will look at `attention`, or has seen something there. */
static bool is_inside(const struct place *place, const struct segue_regs *regs)
{
    return place->phase == PHASE_INSIDE || (has_looked(place) && !(regs->rflags & FLAG_ZERO));
}

/* Where the return address is. */
static uint64_t caller_of(const struct place *place, const struct segue_regs *regs)
{
    switch (place->phase) {
    case PHASE_SAVED:
    case PHASE_LOOKED:
    case PHASE_ANSWERED:
        return regs->rbp + QUICK_FRAME;
    case PHASE_OPEN:
    case PHASE_LEAVING:
        return regs->rsp + QUICK_FRAME;
    default:
        return regs->rsp;
    }
}

bool quick_leave(struct segue_regs *regs)
{
    struct segue_regs body = *regs;
    const struct place *place = place_at(regs->rip);
    if (!place || is_inside(place, regs))
        return false;
    uint64_t caller = caller_of(place, regs), rsp = caller + sizeof body.rip;
    if (!load(caller, &body.rip))
        return false;
    if (has_kept(place) && !load_kept(rsp + BODY_FREE, place->kind, &body))
        return false;
    if (!has_kept(place) && place->phase != PHASE_OUTSIDE && place->phase != PHASE_OPEN &&
        !load_frame(caller - QUICK_FRAME, &body))
        return false;
    body.rsp = rsp;
    *regs = body;
    return true;
}

void quick_was_left(uint64_t rip)
{
    const struct place *place = place_at(rip);
    if (place && (has_looked(place) || place->phase == PHASE_ANSWERED || place->phase == PHASE_ANSWERED_KEPT))
        thread_self.asker->at = 0;
}
