/* layout.h: what the assembly and C share of a thread's block.
 *
 * A block is BLOCK_SIZE bytes at a multiple of BLOCK_SIZE, so a handler that runs on the stack in it finds it by the
 * stack pointer alone, whatever the segment bases are:
 *
 *      +0          data, struct thread
 *      +3072       the host's thread-local storage, for threads that the program made
 *      +4096       code, copied from run_gate: reaches the data by its distance; nothing that overflows the stack
 * writes here +8192       the alternate stack
 *      ... */
#ifndef SEGUE_RUN_LAYOUT_H
#define SEGUE_RUN_LAYOUT_H

#define BLOCK_SIZE 0x40000
#define BLOCK_CODE 4096
#define BLOCK_TLS 3072
#define BLOCK_STACK 8192

/* struct thread */
#define THREAD_SELECTOR 0
#define THREAD_KEEPS 1
#define THREAD_HOST_FS 8
#define THREAD_TARGET 16
#define THREAD_ARGUMENTS 24
#define THREAD_TRIES 72

/* The room for each piece of a detour. */
#define MADE_SIZE 32
#define TRAPPED_SIZE 4
#define BRIDGE_SIZE 16

/* What the selector holds (syscall user dispatch). */
#define SELECTOR_ALLOW 0
#define SELECTOR_BLOCK 1
/* The two bytes, selector and "keeps", while the host serves the thread. */
#define SERVING 0x100

#endif
