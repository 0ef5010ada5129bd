/* stubs_layout.h: the number of stubs, the size of each, and what follows them. */
#ifndef SEGUE_EMULATE_STUBS_LAYOUT_H
#define SEGUE_EMULATE_STUBS_LAYOUT_H

#define STUBS_PLACES 2048
/* One line of the instruction cache each. */
#define STUBS_PLACE_SIZE 64
#define STUBS_HEADER_SIZE 4096

#endif
