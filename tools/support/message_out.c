/* message_out.c: see message_out.h; and names as texts. */
#include "message_out.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "message.h"

FILE *message_open(struct message_out *out)
{
    out->to = open_memstream(&out->text, &out->length);
    if (!out->to)
        abort();
    return out->to;
}

/* By one call of the kernel, so that the messages of several threads and processes do not mix. */
static void write_whole(const char *text, size_t length)
{
    fflush(stdout);
    while (length) {
        ssize_t done = write(STDERR_FILENO, text, length);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return;
        text += done;
        length -= (size_t)done;
    }
}

void message_close(struct message_out *out)
{
    fclose(out->to);
    write_whole(out->text, out->length);
    free(out->text);
}

char *quoted_name(const char *name)
{
    char *text;
    size_t length;
    FILE *to = open_memstream(&text, &length);
    if (!to)
        abort();
    print_name(to, name);
    if (fclose(to) != 0)
        abort();
    return text;
}
