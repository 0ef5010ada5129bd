/* objdump.h: objdump as a decoder: one process for many rows.
 *
 * ASSUMPTIONS: objdump of GNU binutils and its listing of a raw binary: "  address:\ttext". */
#ifndef SEGUE_CORPUS_OBJDUMP_H
#define SEGUE_CORPUS_OBJDUMP_H

#include "process.h"

struct corpus_objdump {
    struct corpus_process process;
    /* The size of its input. */
    uint64_t size;
    /* Where in the listing the reader is. */
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

/* Has `command` disassemble the bytes and waits for it. False, and `error`, on failure; then corpus_objdump_end need
 * not be called. */
bool corpus_objdump_run(struct corpus_objdump *objdump, const char *command, const uint8_t *bytes, size_t size,
                        struct corpus_error *error);

/* The next line; false at the end. Its text lives until corpus_objdump_end. */
bool corpus_objdump_next(struct corpus_objdump *objdump, struct corpus_objdump_line *line);

void corpus_objdump_end(struct corpus_objdump *objdump);

/* The first line of the command's version text: "GNU objdump (GNU Binutils for Debian) 2.40". False, and `error`, if it
 * cannot be run. */
bool corpus_objdump_version(const char *command, char *text, size_t size, struct corpus_error *error);

#endif
