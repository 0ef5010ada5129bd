/* corpus_gather.h: gathers rows from code and from the generator, in parallel. */
#ifndef SEGUE_TOOLS_CORPUS_GATHER_H
#define SEGUE_TOOLS_CORPUS_GATHER_H

#include "elf.h"
#include "form.h"

/* What was gathered. */
struct corpus_gathered {
    /* Every distinct row, or a few of each form. */
    bool all;
    struct corpus_rows rows;
    struct corpus_forms forms;
    /* Instructions met, doubles counted. */
    uint64_t instructions;
    /* Places in code where Zydis knows no instruction; the rest of that range is left out. */
    uint64_t refused;
    uint64_t bytes_read;
    uint64_t bytes_left_out;
};

/* Puts a row in; `zydis` is what Zydis made of it, NULL if it refuses. False when memory has run out. */
bool corpus_gather(struct corpus_gathered *gathered, const struct corpus_row *row, const struct corpus_zydis *zydis);

/* A piece of work: gathers the `number`-th part of what `context` holds. */
typedef bool corpus_gather_part(void *context, size_t number, struct corpus_gathered *gathered);

/* Does all parts on `jobs` threads and adds what they gathered to `gathered`. With `progress`, a bar on standard error.
 * False, having said why, when memory has run out. */
bool corpus_gather_parts(corpus_gather_part *part, void *context, size_t part_count, unsigned jobs, bool progress,
                         struct corpus_gathered *gathered);

/* Decodes forward through each range of the files. */
bool corpus_gather_code(const struct corpus_elf *elfs, size_t elf_count, unsigned jobs, bool progress,
                        struct corpus_gathered *gathered);

/* Enumerates encodings: every encoding, map and opcode, with shapes of prefixes, ModRM, SIB, VEX and EVEX fields,
 * displacements and immediates; legal ones and illegal ones. */
bool corpus_gather_generated(unsigned jobs, bool progress, struct corpus_gathered *gathered);

/* Releases rows and forms. */
void corpus_gathered_free(struct corpus_gathered *gathered);

#endif
