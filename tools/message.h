/* message.h: what the command says on standard error. A message tells what is wrong, where, and what to do. */
#ifndef SEGUE_TOOLS_MESSAGE_H
#define SEGUE_TOOLS_MESSAGE_H

/* Prints "segue VERB: MESSAGE". `verb` may be NULL. */
__attribute__((format(printf, 2, 3))) void complain(const char *verb, const char *format, ...);

/* As complain, adds where help is to be found, and returns EXIT_USAGE. */
__attribute__((format(printf, 2, 3))) int misuse(const char *verb, const char *format, ...);

/* What getopt_long is to return for long options: from here on, no character. */
#define FIRST_LONG_OPTION 256

/* misuse, of an option that getopt_long has just not known. */
int misuse_of_option(const char *verb, char **arguments);

#endif
