/* message_out.h: where a message is written before it goes to standard error as a whole. */
#ifndef SEGUE_TOOLS_MESSAGE_OUT_H
#define SEGUE_TOOLS_MESSAGE_OUT_H

#include <stddef.h>
#include <stdio.h>

struct message_out {
    FILE *to;
    char *text;
    size_t length;
};

/* Ends the process if there is no memory. */
FILE *message_open(struct message_out *out);

/* Writes it, after what standard output still holds. */
void message_close(struct message_out *out);

#endif
