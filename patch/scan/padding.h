/* padding.h: bytes of code that are never executed: compilers put them between an instruction that does not go on (JMP,
 * RET, UD2) and the next aligned one, and between functions. Pure. */
#ifndef SEGUE_PATCH_PADDING_H
#define SEGUE_PATCH_PADDING_H

#include <segue/segment.h>

/* Whole instructions without effect, of at least PADDING_LEAST bytes, a jump's size. */
struct padding {
    uint64_t address;
    uint8_t size;
};

#define PADDING_LEAST 5
#define PADDING_MOST 16

/* Finds padding that a short jump in place of the SYSCALL at `site` reaches. `code` has the functions around it
 * (segue/patch.h). False without such padding; if the site is not known to be an instruction, being outside every
 * function or behind bytes that are not an instruction; if a direct branch of the code leads to the site's second byte;
 * or if an instruction without effect follows the site, since that would look like padding once the jump is there. The
 * padding found:
 *
 *  - follows a jump, a return or UD2 in the function, and fills up to the next multiple of eight or sixteen; or
 *  - follows a function's end, up to the next multiple of sixteen or the next function, whichever is first;
 *
 * consists of one or two instructions, as assemblers make it, and no direct branch and no operand that is addressed by
 * the instruction pointer, of the functions that were looked at, leads into it.
 *
 * Async-signal-safe, thread-safe. */
bool padding_find(const struct segue_segment_code *code, uint64_t site, struct padding *padding);

#endif
