/* instruction.h: all that can be known of one instruction before it runs. */
#ifndef SEGUE_TOOLS_INSTRUCTION_H
#define SEGUE_TOOLS_INSTRUCTION_H

#include <jansson.h>
#include <segue/emulate.h>
#include <stdio.h>

/* A run of code bytes. */
struct code {
    enum segue_mode mode;
    const uint8_t *bytes;
    size_t size;
    /* Where the first byte stands; 0 when that is not known. */
    uint64_t address;
    bool address_known;
    /* The file fixes it: it is loaded nowhere else. */
    bool address_fixed;
};

struct instruction {
    const struct code *code;
    /* Where it begins in the code. */
    size_t offset;
    /* Assembly, Intel syntax. */
    char text[256];
    /* Holds the decoded instruction; names the engine, or says why no engine can step it. */
    union {
        struct segue_plan plan;
        _Alignas(64) uint8_t plan_memory[SEGUE_PLAN_SIZE_MOST];
    };
};

/* Reads the instruction at `offset`. Returns SEGUE_OK, SEGUE_UNDEFINED or SEGUE_TRUNCATED. */
enum segue_status instruction_read(const struct code *code, size_t offset, struct instruction *instruction);

/* Prints it over several lines, all but the first of them behind so many spaces. */
#define INSTRUCTION_INDENT 14
void instruction_print(FILE *out, const struct instruction *instruction);

/* The same as a JSON object; the caller owns it. */
json_t *instruction_json(const struct instruction *instruction);

/* Prints, or gives as JSON, the `size` bytes at `offset` that are no instruction because of `status`. */
void instruction_print_bad(FILE *out, const struct code *code, size_t offset, size_t size, enum segue_status status);
json_t *instruction_bad_json(const struct code *code, size_t offset, size_t size, enum segue_status status);

#endif
