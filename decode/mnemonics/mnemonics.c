/* mnemonics.c: the names and numbers of mnemonics; the list is mnemonics.txt. */
#include "mnemonics.h"

#include <string.h>

#include "mnemonics_table.h"

#define COUNT (sizeof names / sizeof *names)
_Static_assert(COUNT <= MNEMONIC_MOST, "tables elsewhere have room for all");

uint16_t mnemonic_of_zydis(ZydisMnemonic zydis)
{
    return number_of[zydis];
}

ZydisMnemonic mnemonic_to_zydis(unsigned mnemonic)
{
    return mnemonic < COUNT ? (ZydisMnemonic)zydis_of[mnemonic] : ZYDIS_MNEMONIC_INVALID;
}

const char *segue_mnemonic_name(unsigned mnemonic)
{
    return names[mnemonic < COUNT ? mnemonic : 0];
}

unsigned segue_mnemonic_find(const char *name)
{
    for (unsigned i = 1; name && i < COUNT; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return 0;
}

unsigned segue_mnemonic_count(void)
{
    return COUNT;
}
