/* hex.h: bytes as a person types or pastes them. */
#ifndef SEGUE_TOOLS_HEX_H
#define SEGUE_TOOLS_HEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes, and what could not be read. */
struct hex {
    /* To be freed. */
    uint8_t *bytes;
    size_t size;
    /* Where reading stopped when it failed: which argument, which of its characters, both from 0. */
    size_t bad_argument;
    size_t bad_character;
};

/* Reads pairs of hex digits from all arguments, one after another. Spaces and commas may stand between pairs, 0x or \x
 * before them. False when something else stands there. */
bool hex_read(char **arguments, size_t argument_count, struct hex *hex);

/* Reads a number, decimal, or hexadecimal with 0x. */
bool number_read(const char *text, uint64_t *number);

#endif
