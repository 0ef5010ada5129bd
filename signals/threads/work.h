/* work.h: work areas. Each fault in progress has one, and keeps there all but a little of what it needs, for the stack
 * that a fault is served on may be a small one of the program's. They are mapped when the handler is installed, and
 * numbered as the readers' places are (readers.h): who holds a place has its area. */
#ifndef SEGUE_SIGNALS_WORK_H
#define SEGUE_SIGNALS_WORK_H

#include <segue/status.h>
#include <segue/try.h>
#include <signal.h>

#include "decode/scratch.h"
#include "emulate/scratch.h"
#include "emulate/values.h"
#include "signals/fault/fault.h"
#include "platform/frame.h"
#include "platform/kept_info.h"
#include "signals/fault/question.h"
#include "signals/fault/service.h"
#include "thread.h"

/* The most areas that there are, and the fewest that will do where memory is limited. */
#define WORK_MOST 2048u
#define WORK_LEAST 64u

/* A fault in progress among those of its thread. */
struct level {
    /* The one that it came in the middle of; NULL for the outermost. */
    struct work *outer;
    /* How many there are with it; 0 as long as it is not one of them. */
    uint32_t depth;
    /* Its thread's count of tickets, with its own. */
    uint32_t ticket;
    /* As struct thread_state has for the outermost. */
    struct thread_mark mark;
    /* The thread's innermost block (segue_try) before it: that of the code that faulted. */
    struct segue_trial *trial;
    /* errno, and the thread's count of calls to policies, as it began; the thread came with the trap flag. */
    int error_number;
    const char *reason;
    uint32_t calls_out;
    bool traps;
};

/* What each fault uses comes first, close together. */
struct work {
    struct level level;
    /* Its number. */
    uint32_t place;
    struct decode_scratch decode;
    /* What the thread keeps of the fault that this one came in the middle of. */
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

/* Maps the areas, once in a process. SEGUE_OK or SEGUE_NO_MEMORY. Not async-signal-safe; the caller sees to it that one
 * thread at a time does. */
enum segue_status work_prepare(void);

/* How many there are; 0 before work_prepare. Async-signal-safe. */
uint32_t work_count(void);

/* The fault that had the area is over, and has not ended: gives back what it held. Async-signal-safe. */
void work_abandon(struct work *work);

/* The area of that number, which is less than their count. Async-signal-safe. */
struct work *work_at(uint32_t number);

#endif
