/* quick_layout.h: the frame of the quick question, and the fields that it uses, for C and for assembly; ask.c and
 * quick.c check them. */
#ifndef SEGUE_SIGNALS_HOT_QUICK_LAYOUT_H
#define SEGUE_SIGNALS_HOT_QUICK_LAYOUT_H

/* The frame: the slot, then the registers. */
#define QUICK_SLOT 0
#define QUICK_RCX 8
#define QUICK_RDX 16
#define QUICK_RSI 24
#define QUICK_RDI 32
#define QUICK_RBP 40
#define QUICK_R8 48
#define QUICK_R9 56
#define QUICK_R10 64
#define QUICK_R11 72
#define QUICK_FRAME 80

/* struct asker. */
#define ASKER_ATTENTION 4
#define ASKER_AT 8
#define ASKER_EVENT 64

/* Bits of `attention`: the thread was suspended in a policy; its alignment check flag was cleared there. */
#define ATTENTION_SUSPENDED 1
#define ATTENTION_ALIGNMENT 2

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
#define SLOT_CONTEXT 80
#define SLOT_POLICY 96
#define SLOT_DISTANCE 136
#define SLOT_IS_OPEN 168

#endif
