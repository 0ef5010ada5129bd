/* guest_fixture.h: a guest of the tests, made anew for each of them, with either way of setting the segment bases. */
#ifndef SEGUE_TESTS_GUEST_FIXTURE_H
#define SEGUE_TESTS_GUEST_FIXTURE_H

#include <segue/posix.h>
#include <segue/segue.h>
#include <signal.h>
#include <string.h>

#include "tests/ctx/ctx_state.h"
#include "tests/support/test.h"

#define PAGE 4096
#define FEATURES COMPARED_FEATURES
#define FLAG_TRAP 0x100u
#define FLAG_DIRECTION 0x400u
#define FLAG_ALIGNMENT 0x40000u

/* ctx_guest_x86_64.S */
extern uint64_t guest_entry;
extern void *guest_area;
extern uint32_t guest_area_size;
extern unsigned char guest_may_read_bases;
extern const char guest_dump[], guest_dump_called[], dump_registers[], guest_call[], guest_called[], guest_count[],
    guest_dirty[], guest_undefined[], guest_breakpoint[], guest_divide[], guest_load[], guest_store[], guest_jump[],
    guest_load_fs[], guest_load_gs[], guest_clobber[], guest_nops[], guest_set_bases[];

/* A page without access, the guest, and how its bases are set. */
extern char *closed;
extern struct segue_guest guest;
extern enum segue_guest_method method;
extern const int fault_signals[5];

/* In main: false if this machine cannot dump what the tests compare. */
bool fixture_prepare(void);

/* Each test begins with it: cmocka has handlers of its own for the time of a test. */
void begin_with(uint64_t features);
void begin(void);

uint64_t at(const void *address);
/* Runs the guest from there. */
void enter(const char *code);
/* How the guest came back. */
void expect(uint64_t trap, uint64_t error_code, uint64_t address, uint64_t rip);
/* Zero, not canonical, or any address. */
uint64_t random_base(void);
/* Enters the guest so often with random registers and states of these components: all is the guest's inside, and comes
 * out. */
void every_bit_is_kept(unsigned rounds, uint64_t features);

/* Set-ups of a test. */
int use_instructions(void **state);
int use_system_calls(void **state);

#define BOTH(test)                                                                                                     \
    {#test " (instructions)", test, use_instructions, NULL, NULL},                                                     \
    {                                                                                                                  \
#test " (system calls)", test, use_system_calls, NULL, NULL                                                    \
    }

#endif
