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

#endif
