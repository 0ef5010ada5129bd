/* frame.c: signal frames for an embedder's own handler (<segue/frame.h>, <segue/posix.h>, <segue/windows.h>). */
#include <segue/frame.h>
#include <string.h>

#include "code.h"
#include "fault.h"
#include "patch/poke/poke.h"
#include "platform/frame/embedder.h"
#include "platform/handlers/numbers.h"
#include "platform/reason.h"
#include "signals/handler/trap.h"
#include "signals/ranges.h"
#include "signals/threads/answer.h"
#include "signals/threads/knock.h"
#include "signals/threads/thread.h"

#define AREA_ALIGNMENT 64
/* The most frames of the library, each interrupted in its handler's first or last instructions. */
#define FRAMES_MOST 4u

/* Whether the library itself had to handle the signal. */
static bool is_handled(struct native_frame native, bool is_fault)
{
    if (!is_fault) {
        if (!knock_take(native.info))
            return false;
        answer_remover(native.context, 0);
        return true;
    }
    if (frame_signal(native.info).number == SIGTRAP)
        return trap_take_breakpoint(native.context);
    uint64_t rip = frame_instruction(native.context);
    if (!segue_recover(&rip))
        return false;
    frame_set_instruction(native.context, rip);
    return true;
}

__attribute__((hot)) enum segue_status embedder_frame_open(struct segue_frame *frame, struct native_frame native)
{
    if (!frame || !native.context)
        return SEGUE_INVALID;
    const bool is_fault = native.info && frame_is_fault(native);
    if (native.info && is_handled(native, is_fault))
        return SEGUE_HANDLED;
    /* Field by field: a compound literal would be cleared first, by a string instruction with a slow start. */
    frame->native[0] = native.info;
    frame->native[1] = native.context;
    fault_get_registers(native.context, &frame->regs);
    frame_get_any_xstate(native.context, &frame->xstate);
    enum segue_status status = is_fault ? fault_of_signal(native, &frame->fault) : SEGUE_NOT_FOUND;
    if (status == SEGUE_OK)
        return status;
    const struct frame_signal signal = native.info ? frame_signal(native.info) : (struct frame_signal){0};
    frame->fault = (struct segue_fault){.signal = signal.number, .code = signal.code};
    return status;
}

enum segue_status segue_frame_gather(struct segue_frame *frame, void *area, size_t size)
{
    if (!frame || !area || (uintptr_t)area % AREA_ALIGNMENT)
        return SEGUE_INVALID;
    if (size < frame->xstate.size || !frame_gather_into(frame->native[1], area, size))
        return SEGUE_TOO_SMALL;
    if (!frame->xstate.area)
        frame_get_any_xstate(frame->native[1], &frame->xstate);
    return SEGUE_OK;
}

enum segue_status segue_translate(struct segue_regs *regs)
{
    const void *frame = NULL;
    enum code_range_result result;
    unsigned translations = 0;
    if (!regs)
        return SEGUE_INVALID;
    for (; translations < FRAMES_MOST; translations++, frame = NULL) {
        result = code_range_translate(library_ranges, regs, &frame);
        if (result == CODE_RANGE_NOT_FOUND)
            break;
        if (!frame)
            return SEGUE_OK;
        frame_get_general(frame, regs);
        regs->rip = poke_site_of(regs->rip);
    }
    return translations ? SEGUE_OK : SEGUE_NOT_FOUND;
}

enum segue_status segue_frame_plan(const struct segue_frame *frame, const struct segue_window *windows,
                                   size_t window_count, struct segue_plan *plan)
{
    struct decode_scratch scratch;
    struct segue_insn insn;
    if (!frame || !plan)
        return SEGUE_INVALID;
    if (code_decode(&scratch, &code_cache, frame->regs.rip, &insn) != SEGUE_OK) {
        *plan = (struct segue_plan){.refusal = "the instruction could not be read"};
        return SEGUE_FAULT;
    }
    return segue_plan(&insn, &frame->regs, &frame->xstate, &frame->fault, windows, window_count, plan);
}

enum segue_status segue_frame_plan_in(const struct segue_frame *frame, const struct segue_window *windows,
                                      size_t window_count, void *memory, size_t size, const struct segue_plan **plan)
{
    struct decode_scratch scratch;
    struct segue_insn insn;
    if (!plan)
        return SEGUE_INVALID;
    *plan = NULL;
    if (!frame)
        return SEGUE_INVALID;
    if (code_decode(&scratch, &code_cache, frame->regs.rip, &insn) != SEGUE_OK)
        return SEGUE_FAULT;
    return segue_plan_in(memory, size, &insn, &frame->regs, &frame->xstate, &frame->fault, windows, window_count, plan);
}

enum segue_status segue_frame_step(struct segue_frame *frame, const struct segue_plan *plan)
{
    if (!frame || !plan)
        return SEGUE_INVALID;
    /* The system may have put the state where the instruction pushes. */
    if (!frame->xstate.area && !frame_gather_into(frame->native[1], NULL, 0))
        return reason_give(SEGUE_UNSUPPORTED, "the frame's extended state has not been gathered");
    int32_t signal = frame->fault.signal;
    int32_t code = frame->fault.code;
    enum segue_status status = segue_step(plan, &frame->regs, &frame->xstate, &frame->fault);
    if (status != SEGUE_OK && status != SEGUE_FAULT)
        return status;
    /* The frame remains that of its signal, for segue_chain. */
    frame->fault.signal = signal;
    frame->fault.code = code;
    enum segue_status written = segue_frame_write(frame);
    return written == SEGUE_OK ? status : written;
}
