/* guest_system.h: the table of threads with guests, and what guests need from the system. */
#ifndef SEGUE_CTX_GUEST_SYSTEM_H
#define SEGUE_CTX_GUEST_SYSTEM_H

#include "gate.h"

/* Enters the calling thread into guest_threads, until it ends. SEGUE_OK; SEGUE_UNSUPPORTED if it has no alternate
 * stack; SEGUE_NO_MEMORY. */
enum segue_status guest_thread_register(struct guest_thread **self);

/* Records the bases in force. */
void guest_host_bases(struct gate *gate);

/* The middle of a guard reservation, a range of inaccessible addresses; 0 if it cannot be made. */
uint64_t guest_hole(void);
bool guest_is_in_hole(uint64_t address);

/* Whether the address is in the code that a handler returns to. Async-signal-safe. */
bool guest_is_restorer(uint64_t address);

/* Sends a signal to a thread of this process. Async-signal-safe. */
bool guest_send(int thread, int signal);

#endif
