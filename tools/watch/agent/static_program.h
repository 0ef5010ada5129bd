/* static_program.h: a program that is linked statically, with libsegue-watch.so in its process.
 *
 * The kernel has executed it, but before its first instruction segue watch has mapped a loader (ld.so) beside it, and
 * lets that run first, as if the program were a dynamic one without any library (tools/watch/loading). The loader loads
 * libsegue-watch.so and the C library that this needs. libsegue-watch.so does not return to the loader: it lets the
 * program begin, on its own stack, with its own environment. */
#ifndef SEGUE_TOOLS_WATCH_STATIC_PROGRAM_H
#define SEGUE_TOOLS_WATCH_STATIC_PROGRAM_H

#include <stdbool.h>
#include <stdint.h>

/* The environment: the address of a struct static_program. */
#define SHARED_STATIC "SEGUE_WATCH_STATIC"

struct static_program {
    /* Where it begins, and its stack pointer there. */
    uint64_t entry, stack;
    /* What its own addresses are behind. */
    uint64_t bias;
    /* Its program header; and where its auxiliary vector has the address of that. */
    uint64_t header, header_count, header_value;
};

#define STATIC_ALIGNMENT UINT64_C(64)

static inline uint64_t static_round(uint64_t size, uint64_t alignment)
{
    return alignment ? (size + alignment - 1) / alignment * alignment : size;
}

/* Of a template (PT_TLS) with this size and alignment: how far below the thread pointer the program's variables begin
 * (System V ABI for x86-64, variant II), and how far the loader is to leave free for them. */
static inline uint64_t static_values(uint64_t size, uint64_t alignment)
{
    return static_round(size, alignment);
}

static inline uint64_t static_alignment(uint64_t alignment)
{
    return alignment > STATIC_ALIGNMENT ? alignment : STATIC_ALIGNMENT;
}

/* In the program. Before the library is installed, and when all is ready. The first is false, with a reason, if its
 * threads cannot be the library's, too. */
bool static_prepare(const struct static_program *program, const char **reason);
void static_ready(void);
_Noreturn void static_begin(const struct static_program *program);

/* static_begin_x86_64.S */
_Noreturn void static_enter(uint64_t entry, uint64_t stack);

#endif
