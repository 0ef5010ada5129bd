/* registers.h: maps Zydis' register numbers to enum segue_register. Used inside decode/ only. */
#ifndef SEGUE_DECODE_REGISTERS_H
#define SEGUE_DECODE_REGISTERS_H

#include <Zydis/Zydis.h>
#include <segue/regs.h>

/* The location of a Zydis register in struct segue_regs. */
struct register_place {
    /* enum segue_register. */
    uint8_t number;
    /* Its size in bytes. */
    uint8_t size;
    /* The number of its lowest bit: 8 for AH, CH, DH and BH. */
    uint8_t shift;
};

/* Locations by Zydis' register numbers; size 0 for all other registers and for ZYDIS_REGISTER_NONE. */
extern const struct register_place register_places[ZYDIS_REGISTER_MAX_VALUE + 1];

/* Finds the location of a general register of any size, or of RIP, EIP or IP. False for all other registers and for
 * ZYDIS_REGISTER_NONE. */
static inline bool register_find(ZydisRegister zydis, struct register_place *place)
{
    *place = register_places[zydis];
    return place->size != 0;
}

#endif
