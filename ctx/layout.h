/* layout.h: offsets of the fields that the assembly uses. layout.c checks each against the C structs, so that a field
 * that moves breaks the build. */
#ifndef SEGUE_CTX_LAYOUT_H
#define SEGUE_CTX_LAYOUT_H

/* struct segue_context; the first eight are also in include/segue/context_sysv_*.h. */
#define CONTEXT_STACK_POINTER 0
#define CONTEXT_FRAME_POINTER 8
#define CONTEXT_INSTRUCTION 16
#define CONTEXT_FLAGS 24
#define CONTEXT_MXCSR 28
#define CONTEXT_X87_CONTROL 32
#if defined(__i386__)
#define CONTEXT_PARENT 36
#define CONTEXT_CALLER 40
#define CONTEXT_RAX 56
#define CONTEXT_RDX 64
#define CONTEXT_XMM0 72
#define CONTEXT_XMM1 88
/* Where the system keeps the bounds of the stack in use. */
#define CONTEXT_BOUNDS 160
#else
#define CONTEXT_PARENT 40
#define CONTEXT_CALLER 48
#define CONTEXT_RAX 72
#define CONTEXT_RDX 80
#define CONTEXT_XMM0 88
#define CONTEXT_XMM1 104
/* Where the system keeps the bounds of the stack in use. */
#define CONTEXT_BOUNDS 208
#endif
#define CONTEXT_FIXED_CONTROL 1

/* struct record: at the top of a context's stack, while its entry runs. */
#if defined(__i386__)
#define RECORD_CONTEXT 8
#define RECORD_ENTRY 12
#else
#define RECORD_CONTEXT 16
#define RECORD_ENTRY 24
#define RECORD_INTEGERS 32
#define RECORD_VECTORS 80
#define RECORD_VECTOR_COUNT 144
#endif

/* struct handling. */
#if defined(__i386__)
#define HANDLING_UCONTEXT 0
#define HANDLING_OUTER 4
#define HANDLING_SELF 8
#define HANDLING_SIZE 12
#else
#define HANDLING_UCONTEXT 0
#define HANDLING_OUTER 8
#define HANDLING_SELF 16
#define HANDLING_SIZE 24
#endif

/* struct landing: the restore image that a direct restore loads; IRETQ takes five of its words. */
#define LANDING_RAX 0
#define LANDING_RBX 8
#define LANDING_RCX 16
#define LANDING_RDX 24
#define LANDING_RSI 32
#define LANDING_RDI 40
#define LANDING_RBP 48
#define LANDING_R8 56
#define LANDING_R9 64
#define LANDING_R10 72
#define LANDING_R11 80
#define LANDING_R12 88
#define LANDING_R13 96
#define LANDING_R14 104
#define LANDING_R15 112
#define LANDING_RIP 120
#define LANDING_CS 128
#define LANDING_RFLAGS 136
#define LANDING_RSP 144
#define LANDING_SS 152
#define LANDING_SHORTCUT 160
#define LANDING_HANDLING 168
#define LANDING_FRAME 176
#define LANDING_MASK 184

/* struct segue_trial */
#define TRIAL_RBX 0
#define TRIAL_RBP 8
#define TRIAL_R12 16
#define TRIAL_R13 24
#define TRIAL_R14 32
#define TRIAL_R15 40
#define TRIAL_RSP 48
#define TRIAL_RIP 56
#define TRIAL_MXCSR 64
#define TRIAL_X87_CONTROL 68
#define TRIAL_OUTER 72
/* 32-bit code has no R14; the chain of handlers there, where the system keeps one (platform/frame/stack_bounds.h). */
#define TRIAL_HANDLERS TRIAL_R14

/* The fields of struct segue_trial for the calling convention of Windows. */
#define TRIAL_RDI 128
#define TRIAL_RSI 136
#define TRIAL_VECTORS 144

/* struct gate: the page of data behind a guest's page of code. It begins with a struct segue_regs, whose general
 * registers have the offsets of decode/x86/registers.h. */
#define GATE_RSP 56
#define GATE_RIP 128
#define GATE_RFLAGS 136
#define GATE_FS_BASE 144
#define GATE_GS_BASE 152
#define GATE_IRET 176
#define GATE_HOST_RSP 216
#define GATE_HOST_FS 224
#define GATE_HOST_GS 232
#define GATE_HOST_MXCSR 240
#define GATE_HOST_X87 244
#define GATE_PLACE 248
#define GATE_STOP 252
#define GATE_BY_SYSTEM_CALL 256
#define GATE_REASON 260
#define GATE_AREA 264
#define GATE_FEATURES 272
#define GATE_IN 280
#define GATE_OUT 288
#define GATE_NOW_FS 296
#define GATE_NOW_GS 304
#define GATE_BY_MOVES 312
#define GATE_YMM_UPPER 320
#define GATE_OPMASK 328
#define GATE_ZMM_UPPER 336
#define GATE_ZMM_HIGH 344
#define GATE_SET_FS 352
#define GATE_SET_GS 360

/* enum gate_place */
#define PLACE_HOST 0
#define PLACE_GUEST 1
#define PLACE_HANDLER 2

/* struct guest_thread, and the table of them. */
#define THREAD_NUMBER 0
#define THREAD_GATE 8
#define THREAD_SIZE 16
#define THREAD_COUNT 4096

#define GATE_CODE_SIZE 4096
#define GUEST_CALLED 0x100
#define GUEST_STOPPED 0x101

/* struct clone_call: the system call's number and arguments, and what the child starts with. */
#if defined(__i386__)
#define CALL_NUMBER 0
#define CALL_FIRST 4
#define CALL_SECOND 12
#define CALL_THIRD 20
#define CALL_FOURTH 28
#define CALL_FIFTH 36
#define CALL_CHILD 44
#else
#define CALL_NUMBER 0
#define CALL_FIRST 8
#define CALL_SECOND 16
#define CALL_THIRD 24
#define CALL_FOURTH 32
#define CALL_FIFTH 40
#define CALL_CHILD 48
#endif

/* struct clone_parking: the part of its stack that a waiting parent saves. */
#if defined(__i386__)
#define PARKING_LOW 0
#define PARKING_HIGH 8
#define PARKING_COPY 16
#define PARKING_ROOM 20
#define PARKING_STACK 24
#else
#define PARKING_LOW 0
#define PARKING_HIGH 8
#define PARKING_COPY 16
#define PARKING_ROOM 24
#define PARKING_STACK 32
#endif

#endif
