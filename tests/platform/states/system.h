/* system.h: what states.c needs of a system. */
#ifndef SEGUE_TESTS_STATES_SYSTEM_H
#define SEGUE_TESTS_STATES_SYSTEM_H

#include <segue/regs.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE 4096u
#define CASES 64u
/* An instruction, and a jump to the landing. */
#define SLOT 32u

/* The general registers of an instruction. */
#if defined(__i386__)
#define MODE SEGUE_MODE_32
#define REGISTERS 8u
#else
#define MODE SEGUE_MODE_64
#define REGISTERS 16u
#endif

/* Where the regions and the instructions are. macOS keeps the first 4 GiB free. */
#if defined(__APPLE__)
#define AREA ((char *)0x620000000)
#define CODE UINT64_C(0x61f000000)
#else
#define AREA ((char *)0x20000000)
#define CODE UINT64_C(0x1f000000)
#endif

/* Every slot, and a fault in a slot, leads there. Assembly. */
extern const char oracle_landing[];

/* The last fault in a slot; the number is 0 if there was none. */
struct fault_seen {
    uint32_t number;
    /* `kind` and `address`: as the system compares them; 0 where it need not. */
    uint64_t kind, address, instruction;
};
extern volatile struct fault_seen seen;

/* Puts in a handler that notes faults in slots and goes on at the landing, maps the page of code, and installs the
 * library in front of the handler. False where that cannot be. */
bool system_prepare(void);

/* The state components that are compared, as in XCR0: those that the system keeps. */
uint64_t system_components(void);

/* Whether handlers have a stack of their own: then RSP may have any value. Otherwise it always leads to a stack. */
bool system_has_handler_stack(void);

/* Whether the address is on that stack: a handler of code with that RSP begins there, perhaps without room. */
bool system_is_handler_stack(uint64_t address);

/* Whether a thread can be resumed only if its stack pointer leads to a stack. */
bool system_resumes_by_stack(void);

/* Whether the base of FS or GS is known, and is the one that the instruction meets. */
bool system_knows_base(unsigned segment);

/* Memory for a stack; NULL if the system gives none. */
void *system_map_stack(size_t size);

void system_protect(void *at, size_t size, bool is_open);

/* The thread's bases. */
void system_get_bases(struct segue_regs *regs);

/* Whether handlers get the fault that a step has met, in place of the first one. */
bool system_reports_faults_of_steps(void);

#endif
