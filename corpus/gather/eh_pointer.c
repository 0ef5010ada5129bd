/* eh_pointer.c: the pointers in .eh_frame, and how the entries of a table write them. */
#include "eh_pointer.h"

#include <dwarf.h>
#include <string.h>

bool eh_pointer_read(const uint8_t **at, const uint8_t *end, uint8_t encoding, uint64_t *value)
{
    static const uint8_t sizes[16] = {
        [DW_EH_PE_absptr] = 8, [DW_EH_PE_udata2] = 2, [DW_EH_PE_udata4] = 4, [DW_EH_PE_udata8] = 8,
        [DW_EH_PE_sdata2] = 2, [DW_EH_PE_sdata4] = 4, [DW_EH_PE_sdata8] = 8,
    };
    size_t size = sizes[encoding & EH_POINTER_FORMAT];
    if (size == 0 || (size_t)(end - *at) < size)
        return false;
    *value = 0;
    memcpy(value, *at, size);
    *at += size;
    if ((encoding & DW_EH_PE_signed) && size < 8 && (*value >> (8 * size - 1) & 1))
        *value |= ~(uint64_t)0 << 8 * size;
    return true;
}

bool eh_pointer_encoding(const Dwarf_CIE *common, uint8_t *encoding)
{
    const uint8_t *at = common->augmentation_data, *end = at + common->augmentation_data_size;
    uint64_t personality;
    *encoding = DW_EH_PE_absptr;
    if (common->augmentation[0] != 'z')
        return common->augmentation[0] == 0;
    for (const char *letter = common->augmentation + 1; *letter; letter++) {
        if (*letter == 'S' || *letter == 'B')
            continue;
        if (at >= end)
            return false;
        uint8_t byte = *at++;
        if (*letter == 'R')
            *encoding = byte;
        else if (*letter == 'P' && !eh_pointer_read(&at, end, byte, &personality))
            return false;
        else if (*letter != 'P' && *letter != 'L')
            return false;
    }
    return true;
}
