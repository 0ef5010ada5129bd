/* quick_layout.h: the frame of the quick question, and the fields that it uses, for C and for assembly; ask.c and
 * quick.c check them. */
#ifndef SEGUE_SIGNALS_HOT_QUICK_LAYOUT_H
#define SEGUE_SIGNALS_HOT_QUICK_LAYOUT_H

/* The frame: the registers. Leaves keep the first ones in the body's frame. */
#define QUICK_RCX 0
#define QUICK_RDX 8
#define QUICK_RSI 16
#define QUICK_RDI 24
#define QUICK_RBP 32
#define QUICK_R8 40
#define QUICK_R9 48
#define QUICK_R10 56
#define QUICK_R11 64
#define QUICK_FRAME 72

/* struct asker; it begins with the event. */
#define ASKER_ATTENTION 76
#define ASKER_AT 80

/* Bits of `attention`: the thread was suspended in a policy; its alignment check flag was cleared there. */
#define ATTENTION_SUSPENDED 1
#define ATTENTION_SUSPENDED_BIT 0
#define ATTENTION_ALIGNMENT 2
#define ATTENTION_ALIGNMENT_BIT 1

/* struct segue_hot_event. */
#define EVENT_ADDRESS 0
#define EVENT_AT 8
#define EVENT_EXTENT 16
#define EVENT_SITE 24
#define EVENT_REGION 40

/* struct body_record: the eight bytes from `size` on are those of the event, if no mask selects elements. */
#define RECORD_SITE 0
#define RECORD_SLOT 16
#define RECORD_EXTENT 24

/* struct hot_slot. */
#define SLOT_DISTANCE 136
#define SLOT_ASKED 144
#define SLOT_CONTEXT 152

#define VERDICT_RETRY 1

#endif
