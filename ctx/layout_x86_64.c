/* layout_x86_64.c: checks the parts of layout.h against the structs that only x86-64 has. */
#if !defined(__x86_64__)
#error "layout_x86_64.c is specific to x86-64"
#endif

#include "layout.h"

#include "ctx/context/record.h"
#include "ctx/guest/gate.h"
#include "ctx/restore/landing.h"

#define AT(type, field, offset)                                                                                        \
    _Static_assert(offsetof(type, field) == (offset), "the assembly finds " #type "." #field " elsewhere")

AT(struct record, integers, RECORD_INTEGERS);
AT(struct record, vectors, RECORD_VECTORS);
AT(struct record, vector_count, RECORD_VECTOR_COUNT);

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
LANDING_AT(shortcut, LANDING_SHORTCUT);
LANDING_AT(handling, LANDING_HANDLING);
LANDING_AT(frame, LANDING_FRAME);
LANDING_AT(mask, LANDING_MASK);

AT(struct gate, regs, 0);
AT(struct gate, iret, GATE_IRET);
AT(struct gate, host_rsp, GATE_HOST_RSP);
AT(struct gate, host_fs, GATE_HOST_FS);
AT(struct gate, host_gs, GATE_HOST_GS);
AT(struct gate, host_mxcsr, GATE_HOST_MXCSR);
AT(struct gate, host_x87, GATE_HOST_X87);
AT(struct gate, place, GATE_PLACE);
AT(struct gate, stop, GATE_STOP);
AT(struct gate, by_system_call, GATE_BY_SYSTEM_CALL);
AT(struct gate, reason, GATE_REASON);
AT(struct gate, area, GATE_AREA);
AT(struct gate, features, GATE_FEATURES);
AT(struct gate, in, GATE_IN);
AT(struct gate, out, GATE_OUT);
AT(struct gate, now_fs, GATE_NOW_FS);
AT(struct gate, now_gs, GATE_NOW_GS);
AT(struct gate, by_moves, GATE_BY_MOVES);
AT(struct gate, ymm_upper, GATE_YMM_UPPER);
AT(struct gate, opmask, GATE_OPMASK);
AT(struct gate, zmm_upper, GATE_ZMM_UPPER);
AT(struct gate, zmm_high, GATE_ZMM_HIGH);
AT(struct gate, set_fs, GATE_SET_FS);
AT(struct gate, set_gs, GATE_SET_GS);
AT(struct guest_thread, number, THREAD_NUMBER);
AT(struct guest_thread, gate, THREAD_GATE);
_Static_assert(sizeof(struct guest_thread) == THREAD_SIZE, "the assembly steps through the table by another size");
_Static_assert(GUEST_CALLED == SEGUE_GUEST_CALLED && GUEST_STOPPED == SEGUE_GUEST_STOPPED, "reasons differ");

/* As in trapframe-rs's UserContext, which a guest's state begins with. */
AT(struct segue_guest, general, 0);
AT(struct segue_guest, trap_num, 176);
AT(struct segue_guest, error_code, 184);
