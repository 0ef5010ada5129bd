/* layout.c: holds layout.h against the structs. */
#include "layout.h"

#include "landing.h"
#include "record.h"

#define AT(type, field, offset)                                                                                        \
    _Static_assert(offsetof(type, field) == (offset), "the assembly finds " #type "." #field " elsewhere")

AT(struct segue_context, stack_pointer, CONTEXT_STACK_POINTER);
AT(struct segue_context, frame_pointer, CONTEXT_FRAME_POINTER);
AT(struct segue_context, instruction, CONTEXT_INSTRUCTION);
AT(struct segue_context, flags, CONTEXT_FLAGS);
AT(struct segue_context, mxcsr, CONTEXT_MXCSR);
AT(struct segue_context, x87_control, CONTEXT_X87_CONTROL);
AT(struct segue_context, parent, CONTEXT_PARENT);
AT(struct segue_context, rax, CONTEXT_RAX);
AT(struct segue_context, rdx, CONTEXT_RDX);
AT(struct segue_context, xmm0, CONTEXT_XMM0);
AT(struct segue_context, xmm1, CONTEXT_XMM1);
_Static_assert(CONTEXT_FIXED_CONTROL == SEGUE_CONTEXT_FIXED_CONTROL, "the assembly tests another flag");

/* The swap in ctx.h has these as literals, being a string. */
_Static_assert(CONTEXT_STACK_POINTER == 0 && CONTEXT_FRAME_POINTER == 8 && CONTEXT_INSTRUCTION == 16 &&
                   CONTEXT_FLAGS == 24 && CONTEXT_MXCSR == 28 && CONTEXT_X87_CONTROL == 32 && CONTEXT_PARENT == 40 &&
                   CONTEXT_FIXED_CONTROL == 1,
               "segue_context_switch_ in include/segue/ctx.h has other offsets");

AT(struct record, next_frame, 0);
AT(struct record, return_address, 8);
AT(struct record, context, RECORD_CONTEXT);
AT(struct record, entry, RECORD_ENTRY);
AT(struct record, integers, RECORD_INTEGERS);
AT(struct record, vectors, RECORD_VECTORS);
AT(struct record, vector_count, RECORD_VECTOR_COUNT);
_Static_assert(sizeof(struct record) % 16 == 0, "what is below the record must stay aligned");

#define LANDING_AT(field, offset) AT(struct landing, field, offset)
LANDING_AT(rax, LANDING_RAX);
LANDING_AT(rbx, LANDING_RBX);
LANDING_AT(rcx, LANDING_RCX);
LANDING_AT(rdx, LANDING_RDX);
LANDING_AT(rsi, LANDING_RSI);
LANDING_AT(rdi, LANDING_RDI);
LANDING_AT(rbp, LANDING_RBP);
LANDING_AT(r8, LANDING_R8);
LANDING_AT(r9, LANDING_R9);
LANDING_AT(r10, LANDING_R10);
LANDING_AT(r11, LANDING_R11);
LANDING_AT(r12, LANDING_R12);
LANDING_AT(r13, LANDING_R13);
LANDING_AT(r14, LANDING_R14);
LANDING_AT(r15, LANDING_R15);
LANDING_AT(rip, LANDING_RIP);
LANDING_AT(cs, LANDING_CS);
LANDING_AT(rflags, LANDING_RFLAGS);
LANDING_AT(rsp, LANDING_RSP);
LANDING_AT(ss, LANDING_SS);

AT(struct segue_trial, registers, TRIAL_RBX);
AT(struct segue_trial, registers[7], TRIAL_RIP);
_Static_assert(TRIAL_OUTER < 128 && TRIAL_RIP < 64, "unwinding encodes these in one byte");
AT(struct segue_trial, mxcsr, TRIAL_MXCSR);
AT(struct segue_trial, x87_control, TRIAL_X87_CONTROL);
AT(struct segue_trial, outer, TRIAL_OUTER);
