/* layout.h: the frame of a body, and limits, for C and for assembly.
 *
 *      application's rsp ->  +176
 *                             +48   the red zone
 *                             +40   BODY_NUMBER     for a thunk: the scratch register's number
 *                             +32   BODY_ARGUMENT   for a thunk: the record's address; for a lookup: the size
 *                             +24   BODY_ADDRESS    for a thunk: the address of the access; from a lookup: the alias's
 *                             +16   BODY_FLAGS      AX, as LAHF and SETO leave it
 *                              +8   BODY_SCRATCH    the scratch register
 *      rsp in the body   ->    +0   BODY_RAX
 */
#ifndef SEGUE_EMULATE_BODY_LAYOUT_H
#define SEGUE_EMULATE_BODY_LAYOUT_H

#define BODY_RAX 0
#define BODY_SCRATCH 8
#define BODY_FLAGS 16
#define BODY_ADDRESS 24
#define BODY_ARGUMENT 32
#define BODY_NUMBER 40
#define BODY_FRAME 176

/* struct body_call. */
#define CALL_RECORD 0
#define CALL_ADDRESS 8
#define CALL_REGS 16
#define CALL_WATCH 24
#define CALL_WATCHED 32
#define CALL_SIZE 40

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
#define BODY_TABLE_MOST 1536

#endif
