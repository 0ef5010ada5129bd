/* oracle.h: one instruction run by the processor itself, with a thread's full state before it and after it.
 *
 * While the instruction runs, all sixteen general registers, the flags, the base of GS and the x87, SSE, AVX and
 * AVX-512 state are the caller's to choose; the stack pointer too, since nothing uses the stack meanwhile. The base of
 * FS stays the thread's own: the C library and the signal handlers live by it.
 *
 * The instruction stands in a slot: its bytes, then an indirect jump whose target is in memory, so that no register has
 * to be spared. A fault in it is caught; registers are then those at the fault.
 *
 * ASSUMPTIONS: one thread uses this at a time. The resume flag cannot be seen, since PUSHFQ stores it as zero. The
 * host's own x87 and SSE state is the initial one, as the C library leaves it. */
#ifndef SEGUE_TESTS_ORACLE_H
#define SEGUE_TESTS_ORACLE_H

/* Where the assembly finds the fields of struct oracle_context; oracle.c asserts each. */
#define ORACLE_BEFORE 0
#define ORACLE_AFTER 136
#define ORACLE_HOST_STACK 272
#define ORACLE_CODE 280
#define ORACLE_IMAGE_BEFORE 288
#define ORACLE_IMAGE_AFTER 296
#define ORACLE_IMAGE_HOST 304
#define ORACLE_FEATURES 312
/* The stack pointer's and the flags' place in struct oracle_registers. */
#define ORACLE_RSP 56
#define ORACLE_RFLAGS 128

#ifndef __ASSEMBLER__

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/support/random.h"

struct oracle_registers {
    /* In the order of enum segue_register. */
    uint64_t general[16];
    uint64_t rflags;
};

/* A signal that the instruction raised; `number` 0: none. */
struct oracle_signal {
    int number, code;
    uint64_t address;
    /* The exception's number and error code, and for a page fault the address that the processor reported. */
    uint64_t trap, error, page_fault_address;
    uint64_t instruction;
};

struct oracle_input {
    const struct oracle_registers *registers;
    uint64_t gs_base;
    /* An XSAVE area in standard format, 64-byte aligned. */
    const void *image;
    /* The slot's instruction. */
    uint64_t code;
};

struct oracle_output {
    struct oracle_registers registers;
    uint64_t gs_base;
    struct oracle_signal signal;
    /* Given by the caller: where the XSAVE area goes; 64-byte aligned, its header zeroed once. */
    void *image;
};

/* A part of the XSAVE area that holds state. */
struct oracle_component {
    const char *name;
    uint32_t offset, size;
};

/* Learns what this processor has, installs the handlers for the signals that an instruction can raise, and maps `slots`
 * slots at `code`. NULL, or why the oracle cannot run here. */
const char *oracle_prepare(uint64_t code, size_t slots);

/* Bytes of an XSAVE area, a multiple of 64, and the most that they can be. */
size_t oracle_image_size(void);
#define ORACLE_IMAGE_MAX 4096u

/* The components that it holds, as bits of XCR0. */
uint64_t oracle_features(void);

/* The parts to compare. The x87 instruction and data pointers and opcode (bytes 6 to 23) are not among them: they are
 * not part of what an instruction outside x87 does, and some processors do not keep them. Neither are
 * the header's in-use bits: a processor may track them as it likes, and XSAVE stores the initial values of what is not
 * in use. */
const struct oracle_component *oracle_components(size_t *count);

/* Random contents for every component; now and then some are left in their initial state. */
void oracle_image_random(struct random *random, void *image);

/* Between these two, instructions may be written into slots. */
void oracle_slots_open(void);
void oracle_slots_close(void);
/* Where the instruction of `length` bytes goes in that slot; the last slot ends with the mapping. */
uint64_t oracle_slot_address(size_t slot, size_t length);
void oracle_slot_write(size_t slot, const void *bytes, size_t length);

/* Puts the oracle's own handlers in for SIGSEGV and SIGBUS, and then those back that were there before. */
void oracle_signals_take(void);
void oracle_signals_give_back(void);

/* Runs the instruction. */
void oracle_run(const struct oracle_input *input, struct oracle_output *output);

#endif
#endif
