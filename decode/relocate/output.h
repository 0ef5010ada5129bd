/* output.h: the bytes of an instruction as they are written. The caller knows that they have room. */
#ifndef SEGUE_DECODE_OUTPUT_H
#define SEGUE_DECODE_OUTPUT_H

#include <stdint.h>
#include <string.h>

struct output {
    uint8_t *bytes;
    unsigned length;
};

static inline void output_byte(struct output *output, unsigned byte)
{
    output->bytes[output->length++] = (uint8_t)byte;
}

/* The lowest `size` bytes of a value. */
static inline void output_value(struct output *output, uint64_t value, unsigned size)
{
    memcpy(output->bytes + output->length, &value, size);
    output->length += size;
}

/* Bytes of another instruction, from `first` up to `end`. */
static inline void output_copy(struct output *output, const uint8_t *bytes, unsigned first, unsigned end)
{
    for (unsigned i = first; i < end; i++)
        output_byte(output, bytes[i]);
}

#endif
