/* text.c: see text.h. */
#include "text.h"

#include <stdlib.h>

char *text_room(struct text *text, size_t size)
{
    if (text->room - text->length < size) {
        text->room = 2 * text->room + size + 256;
        text->bytes = realloc(text->bytes, text->room);
        if (!text->bytes)
            abort();
    }
    return text->bytes + text->length;
}

void text_add(struct text *text, const char *piece)
{
    size_t length = strlen(piece);
    memcpy(text_room(text, length), piece, length);
    text->length += length;
}

/* The digits, from the last one on, end at `end`; returns where they begin. */
static char *digits(char *end, uint64_t number, unsigned base)
{
    do
        *--end = "0123456789abcdef"[number % base];
    while (number /= base);
    return end;
}

static char *number_in(char *to, uint64_t number, unsigned base)
{
    char room[TEXT_NUMBER], *end = room + sizeof room, *from = digits(end, number, base);
    size_t length = (size_t)(end - from);
    memcpy(to, from, length);
    to[length] = 0;
    return to + length;
}

char *text_unsigned(char to[TEXT_NUMBER], uint64_t number)
{
    return number_in(to, number, 10);
}

char *text_signed(char to[TEXT_NUMBER], int64_t number)
{
    if (number < 0)
        *to++ = '-';
    return number_in(to, number < 0 ? -(uint64_t)number : (uint64_t)number, 10);
}

char *text_hexadecimal(char to[TEXT_NUMBER], uint64_t number)
{
    if (number) {
        *to++ = '0';
        *to++ = 'x';
    }
    return number_in(to, number, 16);
}

void text_add_decimal(struct text *text, uint64_t number)
{
    char *to = text_room(text, TEXT_NUMBER);
    text->length += (size_t)(text_unsigned(to, number) - to);
}

#define SECONDS_PLACES 11u

void text_add_seconds(struct text *text, int64_t nanoseconds)
{
    const uint64_t size = nanoseconds < 0 ? -(uint64_t)nanoseconds : (uint64_t)nanoseconds;
    const uint64_t microseconds = (size + 500) / 1000;
    char room[2 * TEXT_NUMBER], *end = room + sizeof room;
    char *from = digits(end, microseconds % 1000000 + 1000000, 10);
    *from = '.';
    from = digits(from, microseconds / 1000000, 10);
    if (nanoseconds < 0)
        *--from = '-';
    while (end - from < (ptrdiff_t)SECONDS_PLACES)
        *--from = ' ';
    size_t length = (size_t)(end - from);
    memcpy(text_room(text, length), from, length);
    text->length += length;
}
