/* mnemonics.h: the library's own numbers of mnemonics, which no version of Zydis changes. */
#ifndef SEGUE_DECODE_MNEMONICS_H
#define SEGUE_DECODE_MNEMONICS_H

#include <Zydis/Mnemonic.h>
#include <segue/decode.h>

/* An upper bound of all numbers. */
#define MNEMONIC_MOST 2048

/* The number of a Zydis mnemonic; 0 if mnemonics.txt does not have it yet. The second function is the inverse; it
 * returns ZYDIS_MNEMONIC_INVALID for 0 and for numbers that do not exist. */
uint16_t mnemonic_of_zydis(ZydisMnemonic zydis);
ZydisMnemonic mnemonic_to_zydis(unsigned mnemonic);

#endif
