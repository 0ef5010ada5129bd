/* hex.c: bytes as a person types or pastes them: "48 8b 05", "488b05", "0x48, 0x8b", "\x48\x8b". */
#include "hex.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int digit(char character)
{
    if (character >= '0' && character <= '9')
        return character - '0';
    int lower = tolower((unsigned char)character);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static bool is_separator(char character)
{
    return isspace((unsigned char)character) || character == ',';
}

/* 0x or \x, when a digit follows. */
static bool is_prefix(const char *text)
{
    return (text[0] == '0' || text[0] == '\\') && (text[1] == 'x' || text[1] == 'X') && digit(text[2]) >= 0;
}

/* Appends the bytes of one argument. Returns where it cannot go on: the argument's end when all went well. */
static const char *read_argument(const char *text, struct hex *hex)
{
    while (*text) {
        if (is_separator(*text)) {
            text++;
            continue;
        }
        if (is_prefix(text))
            text += 2;
        int high = digit(text[0]);
        int low = high < 0 ? -1 : digit(text[1]);
        if (low < 0)
            return text;
        hex->bytes[hex->size++] = (uint8_t)(high << 4 | low);
        text += 2;
    }
    return text;
}

bool hex_read(char **arguments, size_t argument_count, struct hex *hex)
{
    size_t room = 1;
    for (size_t i = 0; i < argument_count; i++)
        room += strlen(arguments[i]) / 2;
    *hex = (struct hex){.bytes = malloc(room)};
    if (!hex->bytes)
        abort();
    for (size_t i = 0; i < argument_count; i++) {
        const char *stop = read_argument(arguments[i], hex);
        if (*stop) {
            hex->bad_argument = i;
            hex->bad_character = (size_t)(stop - arguments[i]);
            return false;
        }
    }
    return true;
}

bool number_read(const char *text, uint64_t *number)
{
    bool is_hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
    const char *digits = is_hex ? text + 2 : text;
    size_t length = strspn(digits, is_hex ? "0123456789abcdefABCDEF" : "0123456789");
    if (length == 0 || digits[length])
        return false;
    errno = 0;
    *number = strtoull(digits, NULL, is_hex ? 16 : 10);
    return errno == 0;
}
