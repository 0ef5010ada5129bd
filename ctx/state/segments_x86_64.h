/* segments_x86_64.h: what Linux has 64-bit programs, and their handlers, run with. */
#ifndef SEGUE_CTX_SEGMENTS_H
#define SEGUE_CTX_SEGMENTS_H

#define CODE_SEGMENT 0x33
#define STACK_SEGMENT 0x2b

#endif
