/* traps.h: exception vectors, and the error code of a page fault.
 *
 * SOURCES: Intel SDM volume 3, 6.3.1 (vectors) and 4.7 (page-fault error code). */
#ifndef SEGUE_X86_TRAPS_H
#define SEGUE_X86_TRAPS_H

#define TRAP_DEBUG 1
#define TRAP_STACK 12
#define TRAP_GENERAL_PROTECTION 13
#define TRAP_PAGE_FAULT 14
#define TRAP_ALIGNMENT 17
/* Control protection: shadow stacks and indirect branch tracking. */
#define TRAP_CONTROL 21

/* Of a page fault: the access was a write; an instruction fetch; denied by a protection key. */
#define ERROR_WRITE 2u
#define ERROR_FETCH 16u
#define ERROR_KEY 32u

#endif
