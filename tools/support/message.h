/* message.h: what the command says on standard error. A message says what is wrong, where, and what to do. */
#ifndef SEGUE_TOOLS_MESSAGE_H
#define SEGUE_TOOLS_MESSAGE_H

#include <stdbool.h>
#include <stdio.h>

/* Prints a name of any bytes as all verbs and messages do: quoted if it has to be (quote.h). */
void print_name(FILE *to, const char *name);

/* The same as a text, to be freed. */
char *quoted_name(const char *name);

/* Prints "segue VERB: MESSAGE". `verb` may be NULL. Texts that the format takes (%s, %.*s) are quoted as by print_name:
 * line breaks stand in the format alone. Else it may have integers and %f. */
__attribute__((format(printf, 2, 3))) void complain(const char *verb, const char *format, ...);

/* As complain, and then never again in this process: of many threads that fail together, the first says why. */
__attribute__((format(printf, 2, 3))) void complain_once(const char *verb, const char *format, ...);

/* As complain, adds where help is to be found, and returns EXIT_USAGE. */
__attribute__((format(printf, 2, 3))) int misuse(const char *verb, const char *format, ...);

/* Whether a bar stands on the line that a message would begin on: it is wiped first. Thread-safe. */
void message_bar_stands(bool stands);

struct command_line;

/* misuse, of what command_line_next has called wrong. */
int misuse_of_line(const struct command_line *line);

#endif
