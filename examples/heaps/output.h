/* output.h: what a program printed, kept in memory: a system call cannot be given memory on closed pages. */
#ifndef SEGUE_EXAMPLES_HEAPS_OUTPUT_H
#define SEGUE_EXAMPLES_HEAPS_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

struct output {
    char *bytes;
    size_t size, capacity;
    /* Why the program ended early; empty if it did not. */
    char error[512];
};

/* Copies the bytes to the end; ends the process if there is no memory. */
void output_append(struct output *output, const char *bytes, size_t size);

/* The same with all bytes of a file; ends the process if it cannot be read. */
void output_append_file(struct output *output, const char *path);

/* The first byte in which the two differ; where they do not, their size. */
size_t output_difference(const struct output *one, const struct output *other);
bool output_is_equal(const struct output *one, const struct output *other);

/* Empties it and frees its memory. */
void output_free(struct output *output);

#endif
