/* stubs_layout.h: how many stubs there are, how large each is, and what stands behind them. */
#ifndef SEGUE_EMULATE_STUBS_LAYOUT_H
#define SEGUE_EMULATE_STUBS_LAYOUT_H

#define STUBS_PLACES 2048
/* A line of the instruction cache each. */
#define STUBS_PLACE_SIZE 64
#define STUBS_HEADER_SIZE 4096

#endif
