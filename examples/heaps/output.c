/* output.c: bytes in a buffer that grows. */
#include "output.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "examples/console/console.h"

void output_append(struct output *output, const char *bytes, size_t size)
{
    if (size == 0)
        return;
    if (output->capacity - output->size < size) {
        size_t capacity = 2 * (output->size + size);
        char *longer = realloc(output->bytes, capacity);
        if (!longer)
            console_die(1, "no memory for the program's output");
        output->bytes = longer;
        output->capacity = capacity;
    }
    memcpy(output->bytes + output->size, bytes, size);
    output->size += size;
}

void output_append_file(struct output *output, const char *path)
{
    char piece[4096];
    size_t size;
    FILE *file = fopen(path, "r");
    if (!file)
        console_die(1, "cannot open %s: %m", path);
    while ((size = fread(piece, 1, sizeof piece, file)) > 0)
        output_append(output, piece, size);
    if (ferror(file))
        console_die(1, "cannot read %s: %m", path);
    fclose(file);
}

size_t output_difference(const struct output *one, const struct output *other)
{
    size_t at = 0;
    while (at < one->size && at < other->size && one->bytes[at] == other->bytes[at])
        at++;
    return at;
}

bool output_is_equal(const struct output *one, const struct output *other)
{
    return one->size == other->size && output_difference(one, other) == one->size;
}

void output_free(struct output *output)
{
    free(output->bytes);
    *output = (struct output){.size = 0};
}
