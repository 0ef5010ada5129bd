/* batch_code.h: code memory with many sites that a batch changes, and a handler for their breakpoints. */
#ifndef SEGUE_TESTS_BATCH_CODE_H
#define SEGUE_TESTS_BATCH_CODE_H

#include <segue/mapping.h>

#include "decode/x86/page.h"
#include "patch/poke/poke.h"

#define BREAKPOINT 0xcc
#define CODE_SIZE (4 * PAGE)
#define SITES 200u

struct code {
    uint8_t *memory;
    struct segue_mapping mapping;
};

/* Private memory that can be written in those ways; of a file for POKE_PAGES. */
uint8_t *code_map(size_t size, unsigned ways);

/* NOPs that can be written in those ways; writable until it is closed. */
void code_create(struct code *code, unsigned ways);
void code_close(const struct code *code);
void code_destroy(struct code *code);

int protection_of(const void *at);
bool can_serialise(void);

#define WAYS 5u
extern const unsigned all_ways[WAYS];
extern const char *const way_names[WAYS];

/* There is room for a move and a return. Sites begin at every place in a word, in a line and on both sides of a page's
 * end. */
uint8_t *site_of(const struct code *code, unsigned i);

void set_change(struct poke_change *change, const void *at, const void *bytes, size_t size);

/* mov eax, imm32 and mov edx, imm32; and changes of all sites to one of them, from the last site on. */
extern const char *const moves[2];
void set_moves(struct poke_change *changes, const struct code *code, unsigned version);

/* Installs a handler of SIGTRAP that calls poke_trap, and counts. */
extern uint64_t traps, emulated;
void take_traps(void);

/* Whether poke_trap takes a breakpoint there for one of poke's, which nothing is emulated for. */
bool trap_at(const void *site);

/* Blocks all signals but SIGTRAP and SIGSEGV, for a thread that changes code. */
void block_signals(void);

/* For inline assembly: calls, below the red zone. */
#define CALL(target) "lea -128(%%rsp), %%rsp\n\tcall *" target "\n\tlea 128(%%rsp), %%rsp"

#endif
