/* pad.h: stacks for the first steps of children that share their parent's memory.
 *
 * Such a child cannot begin on its parent's stack, and the stack that it will have is not ours to write to. Nor can it
 * give back the one that it stands on. So a pad is a child's until it has ended, and is then used again. */
#ifndef SEGUE_CTX_PAD_H
#define SEGUE_CTX_PAD_H

#include <stdbool.h>
#include <stddef.h>

struct pad;

/* A pad with `size` bytes beside its stack; NULL when there is no memory. Async-signal-safe, thread-safe. */
struct pad *pad_take(size_t size);

/* Those bytes, 64-aligned, and the stack below them: its lowest address and size. */
void *pad_bytes(struct pad *pad);
void *pad_stack(struct pad *pad, size_t *size);

/* It is the child's now, a thread of this process or another process; or nobody's. */
void pad_give(struct pad *pad, int child, bool is_thread);
void pad_release(struct pad *pad);

#endif
