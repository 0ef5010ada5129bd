/* mutator.h: what mutator.c, mutator_fault.c and their assembly share. */
#ifndef SEGUE_TESTS_MUTATOR_H
#define SEGUE_TESTS_MUTATOR_H

/* Absolute addresses, so that an instruction needs no register: a page that is closed, and two bytes. */
#define LONE_CLOSED 0x41000000
#define LONE_READY 0x42000000
#define LONE_GO 0x42000001

/* Bytes of the access. */
#define LONE_FAULT_LENGTH 8
#define LONE_JUMP_BUFFER 512

#define IMAGE_RED_ZONE 128
#define IMAGE_RED_OFFSET 136

#ifndef __ASSEMBLER__

#include <segue/segue.h>
#include <signal.h>

/* The registers that code is to run with, in the order of enum segue_register; RSP stays. A word is put at that offset
 * from RSP. */
struct image {
    uint64_t general[16];
    uint64_t red_zone;
    int64_t red_offset;
};

/* Each runs with all registers as the image and the XSAVE area have them: an access to the closed page; a wait for
 * LONE_GO, which says LONE_READY; a capture into lone_context. */
void lone_fault(const struct image *image, const void *area, uint64_t components);
void lone_wait(const struct image *image, const void *area, uint64_t components);
void lone_capture(const struct image *image, const void *area, uint64_t components);
/* setjmp, into lone_jump_buffer. */
void lone_setjmp(const struct image *image, const void *area, uint64_t components);
extern uint64_t lone_jump_buffer[LONE_JUMP_BUFFER / 8];
extern const char lone_fault_instruction[];
extern struct segue_mutator *lone_context;
extern void *lone_area;
extern size_t lone_area_size;

/* A handler: signal_entry under the trap flag. */
void traced_entry(int number, siginfo_t *info, void *ucontext);

#endif
#endif
