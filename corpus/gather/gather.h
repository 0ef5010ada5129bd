/* gather.h: gathers rows from code and from the generator, in parallel. */
#ifndef SEGUE_CORPUS_GATHER_H
#define SEGUE_CORPUS_GATHER_H

#include "corpus/support/workers.h"
#include "elf.h"
#include "form.h"

/* What was gathered. */
struct corpus_gathered {
    /* Every distinct row, or a few of each form. */
    bool all;
    struct corpus_rows rows;
    struct corpus_forms forms;
    /* Instructions found, duplicates counted. */
    uint64_t instructions;
    /* Places in code where Zydis refuses the bytes; the rest of that range is left out. */
    uint64_t refused;
    uint64_t bytes_read;
    uint64_t bytes_left_out;
};

/* Adds a row; `zydis` is Zydis' decoding of it, NULL if it refuses. False when memory has run out. */
bool corpus_gather(struct corpus_gathered *gathered, const struct corpus_row *row, const struct corpus_zydis *zydis);

/* A piece of work: gathers the `number`-th part of what `context` holds. */
typedef bool corpus_gather_part(void *context, size_t number, struct corpus_gathered *gathered);

/* Gathers all parts on `jobs` threads and adds their rows to `gathered`. `progress` may be NULL. False, and `error`,
 * when memory has run out. */
bool corpus_gather_parts(corpus_gather_part *part, void *context, size_t part_count, unsigned jobs,
                         corpus_progress *progress, struct corpus_gathered *gathered, struct corpus_error *error);

/* Decodes forward through each range of the files. */
bool corpus_gather_code(const struct corpus_elf *elfs, size_t elf_count, unsigned jobs, corpus_progress *progress,
                        struct corpus_gathered *gathered, struct corpus_error *error);

/* Enumerates encodings: every encoding, map and opcode, with shapes of prefixes, ModRM, SIB, VEX and EVEX fields,
 * displacements and immediates; legal ones and illegal ones. */
bool corpus_gather_generated(unsigned jobs, corpus_progress *progress, struct corpus_gathered *gathered,
                             struct corpus_error *error);

/* Adds the rows of a file of rows, or of the code in an ELF file. False, and `error`, on failure. */
bool corpus_rows_take(struct corpus_rows *rows, const char *path, struct corpus_error *error);

/* Releases rows and forms. */
void corpus_gathered_free(struct corpus_gathered *gathered);

#endif
