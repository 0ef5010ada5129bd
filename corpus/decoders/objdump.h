/* objdump.h: objdump as a decoder: one process for many rows.
 *
 * ASSUMPTIONS: objdump of GNU binutils and its listing of a raw binary: "  address:\ttext". */
#ifndef SEGUE_CORPUS_OBJDUMP_H
#define SEGUE_CORPUS_OBJDUMP_H

#include "process.h"

struct corpus_objdump {
    struct corpus_process process;
    /* Bytes that it was given. */
    uint64_t size;
    /* Where the reading of the listing stands. */
    const char *at;
};

/* One line of the listing. */
struct corpus_objdump_line {
    uint64_t address;
    /* How many bytes it took. */
    uint64_t length;
    const char *text;
    size_t text_length;
};

/* Has `command` list the bytes and waits for it. False, and `error`, on failure; then there is nothing to end. */
bool corpus_objdump_run(struct corpus_objdump *objdump, const char *command, const uint8_t *bytes, size_t size,
                        struct corpus_error *error);

/* The next line; false at the end. Its text lives until corpus_objdump_end. */
bool corpus_objdump_next(struct corpus_objdump *objdump, struct corpus_objdump_line *line);

void corpus_objdump_end(struct corpus_objdump *objdump);

/* The first line of what the command says of its version: "GNU objdump (GNU Binutils for Debian) 2.40". False, and
 * `error`, when it cannot be run. */
bool corpus_objdump_version(const char *command, char *text, size_t size, struct corpus_error *error);

#endif
