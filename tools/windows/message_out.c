/* message_out.c: see tools/support/message_out.h. Standard error is buffered while a message is written. */
#if !defined(_WIN32)
#error "tools/windows/message_out.c is specific to Windows"
#endif

#include "tools/support/message_out.h"

#include <stdlib.h>

#define ROOM 4096u

FILE *message_open(struct message_out *out)
{
    static char room[ROOM];
    *out = (struct message_out){.to = stderr};
    fflush(stdout);
    if (setvbuf(stderr, room, _IOFBF, sizeof room) != 0)
        abort();
    return stderr;
}

void message_close(struct message_out *out)
{
    fflush(out->to);
}
