/* layout.c: checks layout.h against the structs. */
#include "layout.h"

#include <segue/try.h>

#include "ctx/context/record.h"
#include "handling.h"

#define AT(type, field, offset)                                                                                        \
    _Static_assert(offsetof(type, field) == (offset), "the assembly finds " #type "." #field " elsewhere")

AT(struct segue_context, stack_pointer, CONTEXT_STACK_POINTER);
AT(struct segue_context, frame_pointer, CONTEXT_FRAME_POINTER);
AT(struct segue_context, instruction, CONTEXT_INSTRUCTION);
AT(struct segue_context, flags, CONTEXT_FLAGS);
AT(struct segue_context, mxcsr, CONTEXT_MXCSR);
AT(struct segue_context, x87_control, CONTEXT_X87_CONTROL);
AT(struct segue_context, parent, CONTEXT_PARENT);
AT(struct segue_context, caller, CONTEXT_CALLER);
AT(struct segue_context, rax, CONTEXT_RAX);
AT(struct segue_context, rdx, CONTEXT_RDX);
AT(struct segue_context, xmm0, CONTEXT_XMM0);
AT(struct segue_context, xmm1, CONTEXT_XMM1);
_Static_assert(CONTEXT_FIXED_CONTROL == SEGUE_CONTEXT_FIXED_CONTROL, "the assembly tests another flag");

AT(struct record, next_frame, 0);
AT(struct record, return_address, sizeof(void *));
AT(struct record, context, RECORD_CONTEXT);
AT(struct record, entry, RECORD_ENTRY);
_Static_assert(sizeof(struct record) % 16 == 0, "what is below the record must stay aligned");

AT(struct handling, ucontext, HANDLING_UCONTEXT);
AT(struct handling, outer, HANDLING_OUTER);
AT(struct handling, self, HANDLING_SELF);
_Static_assert(sizeof(struct handling) == HANDLING_SIZE, "the assembly makes room for another size");

AT(struct segue_trial, registers, TRIAL_RBX);
AT(struct segue_trial, registers[7], TRIAL_RIP);
_Static_assert(TRIAL_OUTER < 128 && TRIAL_RIP < 64, "unwinding encodes these in one byte");
AT(struct segue_trial, mxcsr, TRIAL_MXCSR);
AT(struct segue_trial, x87_control, TRIAL_X87_CONTROL);
AT(struct segue_trial, outer, TRIAL_OUTER);

/* As in decode/x86/registers.h. */
AT(struct segue_regs, rax, 0);
AT(struct segue_regs, rbx, 8);
AT(struct segue_regs, rcx, 16);
AT(struct segue_regs, rdx, 24);
AT(struct segue_regs, rsi, 32);
AT(struct segue_regs, rdi, 40);
AT(struct segue_regs, rbp, 48);
AT(struct segue_regs, rsp, GATE_RSP);
AT(struct segue_regs, r8, 64);
AT(struct segue_regs, r9, 72);
AT(struct segue_regs, r10, 80);
AT(struct segue_regs, r11, 88);
AT(struct segue_regs, r12, 96);
AT(struct segue_regs, r13, 104);
AT(struct segue_regs, r14, 112);
AT(struct segue_regs, r15, 120);
AT(struct segue_regs, rip, GATE_RIP);
AT(struct segue_regs, rflags, GATE_RFLAGS);
AT(struct segue_regs, fs_base, GATE_FS_BASE);
AT(struct segue_regs, gs_base, GATE_GS_BASE);
AT(struct segue_regs, selectors, 160);
_Static_assert(sizeof(struct segue_regs) == 176, "what follows the registers in assembly's structures moves with them");
