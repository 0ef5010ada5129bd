/* quote.h: names of files and other foreign text as they may be printed: what a terminal, a reader of lines or of UTF-8
 * would stumble over is quoted, so that a shell takes the name as it was. Calls no library: segue-run has it, too. */
#ifndef SEGUE_TOOLS_QUOTE_H
#define SEGUE_TOOLS_QUOTE_H

#include <stdbool.h>
#include <stddef.h>

/* How many bytes the UTF-8 character at `at` has; 0 if it is not one. The text ends with a zero. (RFC 3629.) */
size_t utf8_size(const unsigned char *at);

/* Whether the text cannot stand as it is: it has a control character or is no UTF-8, or reads as a quoted one. */
bool quote_is_needed(const char *text);

#define QUOTE_BEGIN "$'"
#define QUOTE_END "'"
#define QUOTE_PIECE 8

/* Of a text that is quoted, the bytes that stand for its next character, which is passed over. They go between
 * QUOTE_BEGIN and QUOTE_END: \n, \t, \r, \\, \', \xNN, or the character itself. */
size_t quote_next(const char **text, char piece[QUOTE_PIECE]);

#endif
