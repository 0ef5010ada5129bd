/* constants.h: what constants_x86_64.S and its users share. */
#ifndef SEGUE_TESTS_HOT_CONSTANTS_H
#define SEGUE_TESTS_HOT_CONSTANTS_H

#define CONSTANTS_LOW 0x20000000

#endif
