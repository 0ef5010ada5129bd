/* console.h: what the examples show: a live line on a terminal while they work, and rows of figures afterwards. */
#ifndef SEGUE_EXAMPLES_CONSOLE_H
#define SEGUE_EXAMPLES_CONSOLE_H

#include <stddef.h>
#include <stdint.h>

/* Writes the line, at most `size` bytes with the closing zero. Called on a thread of its own. */
typedef void console_writer(char *line, size_t size);

/* Shows `writer`'s line ten times a second, if standard output is a terminal; otherwise does nothing. */
void console_live_start(console_writer *writer);

/* Ends the live line and clears it. */
void console_live_stop(void);

/* Room for a number of 64 bits in groups of three digits. */
struct console_number {
    char text[32];
};

/* 1234567 as "1,234,567". */
struct console_number console_grouped(uint64_t number);

/* Reads a whole decimal number within the limits from `text`; ends the program with a message that names `option`, and
 * status 2, if it is not a number. */
uint64_t console_read_number(const char *option, const char *text, uint64_t least, uint64_t most);

/* What main is to return: `status`, or 1, having said so, if what the program printed was lost. */
int console_end(int status);

/* Ends the program with "PROGRAM: message" on standard error, and `status`. */
_Noreturn void console_die(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
