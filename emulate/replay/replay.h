/* replay.h: the engine that runs the instruction itself, with its memory led elsewhere. Used inside emulate/ alone. */
#ifndef SEGUE_EMULATE_REPLAY_H
#define SEGUE_EMULATE_REPLAY_H

/* Where the assembly finds the fields of struct replay_context; replay.c asserts each. */
#define REPLAY_RFLAGS 128
#define REPLAY_CODE 136
#define REPLAY_AREA 144
#define REPLAY_COMPONENTS 152
#define REPLAY_STATE_BY 160
#define REPLAY_YMM_UPPER 168
#define REPLAY_OPMASK 176
#define REPLAY_ZMM_UPPER 184
#define REPLAY_ZMM_HIGH 192
#define REPLAY_POPFQ_FLAGS 200

/* How the area is loaded and stored: XRSTOR and XSAVE; moves (vectors_x86_64.h); FXRSTOR and FXSAVE, where the processor
 * has no XSAVE and the area no header. */
#define STATE_BY_XSAVE 0
#define STATE_BY_MOVES 1
#define STATE_BY_FXSAVE 2

/* What replay_enter returns. */
#define REPLAY_DONE 0
#define REPLAY_FAULTED 1
#define REPLAY_NOT_LOADED 2

#ifndef __ASSEMBLER__

#include <segue/emulate.h>

#include "decode/x86/xsave.h"
#include "emulate/pieces.h"
#include "emulate/elements/repeat.h"

/* The most bytes of an operand that is copied, but of repeated strings, and what its copy's alignment is that of. */
#define REPLAY_COPY_MOST 64u
#define REPLAY_COPY_ALIGNMENT 64u
_Static_assert(REPEAT_COPY_MOST >= REPLAY_COPY_MOST, "there is room for a string's elements");

/* The state that an instruction runs with, and then the state that it left. */
struct replay_context {
    /* In the order of enum segue_register. RSP is not loaded: it is the host's meanwhile. */
    uint64_t general[16];
    uint64_t rflags;
    /* The stub. */
    const void *code;
    /* The XSAVE area, in standard format, and which of its components to load and store; no component: no area. */
    void *area;
    uint64_t components;
    /* STATE_BY_..., and where moves find what the legacy region does not hold. */
    uint64_t state_by;
    void *ymm_upper, *opmask, *zmm_upper, *zmm_high;
    /* Flags of which one that is set wants POPFQ. */
    uint64_t popfq_flags;
};

/* Where the instruction is to find an operand. */
struct replay_place {
    /* It is reached natively, all of it at one distance from its addresses; else on a copy. */
    bool is_native;
    uint64_t distance;
};

/* Of a gather or a scatter that is done in several runs, as they were: the vector of indices, the destination, and the
 * mask, in an opmask register or in a vector of that size. */
struct replay_lanes {
    uint8_t indices[64];
    uint8_t destination[64];
    uint8_t mask[64];
    uint64_t opmask;
    unsigned mask_size;
};

/* One step. */
struct replay {
    const struct segue_plan *plan;
    /* The number by which it holds a stub (stubs.h), or STEP_NO_HOLDER. */
    uint32_t holder;
    /* With a repeat prefix: of how many elements the run at hand is, in place of what the count register says; else 0.
     */
    uint64_t elements;
    struct replay_place places[SEGUE_MEMORY_OPERANDS];
    const struct segue_regs *regs;
    struct segue_xstate *xstate;
    struct replay_context context;
    struct copies copies;
    /* What was loaded where the instruction takes an operand's address from, in place of what the thread has there. */
    uint64_t loaded[SEGUE_MEMORY_OPERANDS];
    _Alignas(REPLAY_COPY_ALIGNMENT) uint8_t buffers[SEGUE_MEMORY_OPERANDS][REPEAT_COPY_MOST + REPLAY_COPY_ALIGNMENT];
    struct replay_lanes lanes;
    /* The legacy region and the header, as they were before a device was asked. */
    uint8_t kept[XSAVE_HEADER_END];
};

struct step_scratch;

/* As segue_replay_prepare. */
enum segue_status replay_prepare(void);

/* The parts of a step. What all pieces of an operand have in common; an operand without pieces is reached nowhere. */
struct replay_place replay_place_of(const struct segue_plan *plan, unsigned operand);

/* Makes the state ready that the instruction runs with; `places` are chosen. */
void replay_begin(struct replay *replay);

/* Runs the instruction. SEGUE_OK, and the state is that after it; SEGUE_FAULT: what the processor had done is done;
 * SEGUE_BUSY. */
enum segue_status replay_execute(struct replay *replay, struct segue_regs *regs, struct segue_fault *fault);

/* Gives the thread the registers after it. */
void replay_end(const struct replay *replay, struct segue_regs *regs);

/* Runs the stub. REPLAY_DONE; REPLAY_FAULTED: the instruction faulted, and the state is that at the fault;
 * REPLAY_NOT_LOADED: the area could not be loaded, and nothing has happened. */
uint64_t replay_enter(struct replay_context *context);

/* The processor fetches what follows anew. */
void replay_serialise(void);

/* Before a plan's windows are known: why the engine does not do its instruction; NULL if it does, and its operand is in
 * the plan. */
const char *replay_refusal(struct segue_plan *plan, const struct segue_regs *regs, const struct segue_xstate *xstate);

/* With the windows known: why not with these; NULL if it does. May set SEGUE_PLAN_COPIED. */
const char *replay_window_refusal(struct segue_plan *plan);

/* Carries out a plan of SEGUE_ENGINE_REPLAY; everything but the resume flag. As step_in (scratch.h). An instruction
 * that repeats may stop between elements, to go on when it is executed again. */
enum segue_status replay_step(struct step_scratch *scratch, const struct segue_plan *plan, struct segue_regs *regs,
                              struct segue_xstate *xstate, struct segue_fault *fault);

/* As segue_recover, for this engine's part. */
bool replay_recover(uint64_t *rip);

#endif
#endif
