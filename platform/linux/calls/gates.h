/* gates.h: numbers that gates_x86_64.S and catch_x86_64.c share. */
#ifndef SEGUE_LINUX_GATES_H
#define SEGUE_LINUX_GATES_H

#if !defined(__linux__) || !defined(__x86_64__)
#error "gates.h is specific to Linux on x86-64"
#endif

#define GATES 2048
#define GATE_SIZE 16
#define CAUGHT_SIZE 16
/* struct system_call. */
#define SEEN_SIZE 80
#define CHILD_GATES 32
#define CHILD_GATE_SIZE 128

/* struct call_record (platform/calls/calls.h). */
#define RECORD_ARGUMENTS 0
#define RECORD_TARGET 48
#define RECORD_STACK_POINTER 56
#define RECORD_FINISH 64
#define RECORD_BUSY 72
#define RECORD_RESULT 80

#if !defined(__ASSEMBLER__)
#include "platform/calls/calls.h"

/* For calls_prepare: how shapes.c reads the program's memory. */
void calls_shapes_prepare(calls_peek *peek);
#endif

#endif
