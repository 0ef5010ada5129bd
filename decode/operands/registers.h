/* registers.h: Zydis' register numbers as ours. Used inside decode/ alone. */
#ifndef SEGUE_DECODE_REGISTERS_H
#define SEGUE_DECODE_REGISTERS_H

#include <Zydis/Zydis.h>
#include <segue/regs.h>

/* Where a Zydis register stands in struct segue_regs. */
struct register_place {
    /* enum segue_register. */
    uint8_t number;
    /* Its size in bytes. */
    uint8_t size;
    /* The number of its lowest bit: 8 for AH, CH, DH and BH. */
    uint8_t shift;
};

/* The places by Zydis' numbers; of size 0 for every other register and for none. */
extern const struct register_place register_places[ZYDIS_REGISTER_MAX_VALUE + 1];

/* The place of a general register of any size, of RIP, EIP or IP. False for every other register and for none. */
static inline bool register_find(ZydisRegister zydis, struct register_place *place)
{
    *place = register_places[zydis];
    return place->size != 0;
}

#endif
