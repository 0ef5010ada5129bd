/* work.h: work areas. Each fault in progress has one, which holds almost all that it needs, since the stack that a
 * fault is served on may be a small one of the program's. The areas are mapped when the handler is installed, and
 * numbered as the reader slots are (readers.h): the reader of a slot owns the slot's area. */
#ifndef SEGUE_SIGNALS_WORK_H
#define SEGUE_SIGNALS_WORK_H

#include <segue/status.h>
#include <segue/try.h>
#include <signal.h>

#include "decode/scratch.h"
#include "emulate/scratch.h"
#include "emulate/values.h"
#include "platform/frame/frame.h"
#include "platform/frame/kept_info.h"
#include "signals/fault/fault.h"
#include "signals/fault/question.h"
#include "signals/fault/service.h"
#include "thread.h"

/* The greatest number of areas, and the smallest that will do if memory is limited. */
#define WORK_MOST 2048u
#define WORK_LEAST 64u

/* A fault's place among the nested faults of its thread. */
struct level {
    /* The fault that this one interrupted; NULL for the outermost. */
    struct work *outer;
    /* The depth of nesting including this fault; 0 until it counts as one of the thread's. */
    uint32_t depth;
    /* The thread's count of tickets, including this fault's. */
    uint32_t ticket;
    /* As struct thread_state has one for the outermost fault. */
    struct thread_mark mark;
    /* The thread's innermost recovery point (segue_try) before the fault: that of the code that faulted. */
    struct segue_trial *trial;
    /* errno, and the thread's count of calls to policies, when the fault began; the thread had the trap flag set. */
    int error_number;
    const char *reason;
    uint32_t calls_out;
    bool traps;
};

/* The fields that each fault uses come first, close together. */
struct work {
    struct level level;
    /* The number of the area and of the reader slot. */
    uint32_t place;
    struct decode_scratch decode;
    /* The per-thread values of the outer fault. */
    struct {
        bool tells_recovered;
        struct kept_info recovered;
        struct frame_exception exception;
        uint64_t address, instruction;
    } outer;
    struct service service;
    struct step_scratch step;
    struct questions questions;
    struct fault_scratch sent;
    struct values values;
    _Alignas(64) uint8_t preview[QUESTION_STATE];
};

/* Maps the areas, once per process. SEGUE_OK or SEGUE_NO_MEMORY. Not async-signal-safe; the caller lets one thread at
 * a time call it. */
enum segue_status work_prepare(void);

/* The number of areas; 0 before work_prepare. Async-signal-safe. */
uint32_t work_count(void);

/* The fault that owned the area was abandoned: releases what it held. Async-signal-safe. */
void work_abandon(struct work *work);

/* The area with that number, which is less than work_count(). Async-signal-safe. */
struct work *work_at(uint32_t number);

#endif
