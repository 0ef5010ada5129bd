/* layout.h: the frame of a body, and limits, for C and for assembly.
 *
 *      application's rsp ->  +216
 *                             +88   the red zone
 *                             +80   BODY_ALIAS      where a policy leaves the alias's address: the end of
 *                             +24   BODY_CALL       struct body_call
 *                             +16   BODY_FLAGS      AX, as LAHF and SETO leave it
 *                              +8   BODY_SCRATCH    the scratch register
 *      rsp in the body   ->    +0   BODY_RAX
 *
 * A lookup finds the access's address and size where a policy finds the address and the record, and leaves the alias's
 * address there. What a body calls in place of a thunk may use the words from BODY_FREE on. */
#ifndef SEGUE_EMULATE_BODY_LAYOUT_H
#define SEGUE_EMULATE_BODY_LAYOUT_H

#define BODY_RAX 0
#define BODY_SCRATCH 8
#define BODY_FLAGS 16
#define BODY_CALL 24
#define BODY_FRAME 216

/* struct body_call. */
#define CALL_RECORD 0
#define CALL_ADDRESS 8
#define CALL_REGS 16
#define CALL_WATCH 24
#define CALL_WATCHED 32
#define CALL_MASK 40
#define CALL_SCRATCH 48
#define CALL_MISSED 52
#define CALL_ALIAS 56

#define BODY_ARGUMENT (BODY_CALL + CALL_RECORD)
#define BODY_ADDRESS (BODY_CALL + CALL_ADDRESS)
#define BODY_MASK (BODY_CALL + CALL_MASK)
#define BODY_NUMBER (BODY_CALL + CALL_SCRATCH)
#define BODY_MISSED (BODY_CALL + CALL_MISSED)
#define BODY_ALIAS (BODY_CALL + CALL_ALIAS)
/* Four words. */
#define BODY_FREE (BODY_CALL + CALL_REGS)

/* What a body calls in place of a thunk: the bytes of the call, behind the LEA that puts the record's address into RAX,
 * whose last four bytes are its distance from the call. */
#define BODY_QUICK_CALL 6

/* struct body_regions: where its entries begin; an entry. */
#define REGIONS_SEQUENCE 0
#define REGIONS_COUNT 4
#define REGIONS_FIRST 8
#define ENTRY_BASE 0
#define ENTRY_SIZE 8
#define ENTRY_DISTANCE 16
#define ENTRY_SHIFT 5

/* The frame of a thunk: a struct segue_regs, of which most thunks fill in only some registers. */
#define THUNK_FRAME 176
#define THUNK_RBP 48
#define THUNK_RIP 128
#define THUNK_RFLAGS 136
#define THUNK_RSP 56
/* This far below it. */
#define THUNK_FLAGS 8

#define BODY_REGIONS_MOST 256
#define BODY_TABLE_MOST 2048

#endif
