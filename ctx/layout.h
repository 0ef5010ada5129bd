/* layout.h: where the assembly finds the fields that it uses. layout.c compares each with the C structs, so that a
 * field that moves stops the build. */
#ifndef SEGUE_CTX_LAYOUT_H
#define SEGUE_CTX_LAYOUT_H

/* struct segue_context; the first six also stand in the inline swap of include/segue/ctx.h. */
#define CONTEXT_STACK_POINTER 0
#define CONTEXT_FRAME_POINTER 8
#define CONTEXT_INSTRUCTION 16
#define CONTEXT_FLAGS 24
#define CONTEXT_MXCSR 28
#define CONTEXT_X87_CONTROL 32
#define CONTEXT_PARENT 40
#define CONTEXT_RAX 64
#define CONTEXT_RDX 72
#define CONTEXT_XMM0 80
#define CONTEXT_XMM1 96
#define CONTEXT_FIXED_CONTROL 1

/* struct record: at the top of a context's stack, while its entry runs. */
#define RECORD_CONTEXT 16
#define RECORD_ENTRY 24
#define RECORD_INTEGERS 32
#define RECORD_VECTORS 80
#define RECORD_VECTOR_COUNT 144

/* struct landing: what the direct restore loads; the last five are what IRETQ takes. */
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

#endif
