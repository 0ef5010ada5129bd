/* gates.h: numbers that gates_x86_64.S and catch_x86_64.c share. */
#ifndef SEGUE_LINUX_GATES_H
#define SEGUE_LINUX_GATES_H

#if !defined(__linux__) || !defined(__x86_64__)
#error "gates.h is specific to Linux on x86-64"
#endif

#define GATES 2048
#define GATE_SIZE 16
#define CAUGHT_SIZE 16
/* struct look: what it begins with is saved registers. */
#define LOOK_SAVED 56
#define LOOK_EPOCH 80
#define LOOK_SIZE 104
#define CHILD_GATES 32
#define CHILD_GATE_SIZE 128

/* struct call_record (platform/calls/calls.h). */
#define RECORD_ARGUMENTS 0
#define RECORD_TARGET 48
#define RECORD_STACK_POINTER 56
#define RECORD_FINISH 64
#define RECORD_BUSY 72
#define RECORD_RESULT 80
/* Below a record, while a function runs in place of its call. */
#define RUN_RBX -16
#define RUN_FLAGS -24

#if !defined(__ASSEMBLER__)
#include "platform/calls/calls.h"
#include "platform/linux/calls/table/newer.h"

/* gates_x86_64.S */
extern uint64_t calls_targets[GATES], calls_child_targets[CHILD_GATES];
extern const char calls_gates[], calls_child_gates[], calls_make_call[], calls_traps[], calls_traps_end[];
extern const char calls_halts[], calls_halts_end[], calls_wanted_finish[], calls_finish_halt[];
extern uint64_t calls_by_dispatch;
extern const char __start_segue_exempt[] __attribute__((visibility("hidden")));
extern const char __stop_segue_exempt[] __attribute__((visibility("hidden")));

/* The address behind the call that such a trap stands for; that of calls_wanted_finish, if it wants to be finished. */
uint64_t calls_stand_in_target(uint64_t instruction);

/* For calls_prepare: how shapes.c reads the program's memory, and what look_x86_64.c asks. */
void calls_shapes_prepare(calls_peek *peek, calls_visitor *has_region);

/* Whether a number is this process's, or that of a thread of it; whether a descriptor is of its memory
 * (/proc/self/mem). General registers only. */
bool calls_is_own_process(uint32_t number);
bool calls_is_own_memory(uint32_t descriptor);
void calls_look_prepare(calls_is_plain *is_plain);

/* mlockall: the library's tables, most of which are never touched, would take memory. Pages are locked as they are
 * touched. False if the call is made as it is. */
bool calls_lock_all(const struct system_call *call);

/* Where a child of the call begins if its parent does not go through the child gate, with a record's registers; 0 if it
 * is to have no such gate. */
uint64_t calls_child_begin(const struct system_call *call);

/* As calls_make; the thread goes on at that instruction. Until then it is at no call that it may be sent back from. */
bool calls_make_at(const struct system_call *call, const uint64_t *arguments, const struct call_record *record,
                   uint64_t instruction);

/* The program's registers of a thread that has this record, before its call is made or after; returns what a code
 * range's function does. */
enum code_range_result calls_show_record(struct segue_regs *regs, const struct call_record *record, bool is_made);

/* A call of the library's own, not caught. */
__attribute__((visibility("hidden"))) long calls_call(long number, long first, long second, long third, long fourth,
                                                      long fifth, long sixth);
#endif

#endif
