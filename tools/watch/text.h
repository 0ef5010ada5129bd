/* text.h: a line as it is made, piece by piece: without formats, since a line of segue watch is made for each access.
 */
#ifndef SEGUE_TOOLS_WATCH_TEXT_H
#define SEGUE_TOOLS_WATCH_TEXT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* All zero bytes: empty. `bytes` is to be freed. */
struct text {
    char *bytes;
    size_t length, room;
};

/* Room for so many bytes more; returns where they begin. */
char *text_room(struct text *text, size_t size);

void text_add(struct text *text, const char *piece);
void text_add_decimal(struct text *text, uint64_t number);
/* Nanoseconds as seconds with six digits after the point, in eleven places at least. */
void text_add_seconds(struct text *text, int64_t nanoseconds);

/* The most characters of a number, and the zero byte behind it. */
#define TEXT_NUMBER 24

/* A number as %llu, %lld and %#llx have it; returns where its zero byte is. */
char *text_unsigned(char to[TEXT_NUMBER], uint64_t number);
char *text_signed(char to[TEXT_NUMBER], int64_t number);
char *text_hexadecimal(char to[TEXT_NUMBER], uint64_t number);

#endif
