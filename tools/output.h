/* output.h: the files that the command writes. A file stands under its name complete, or as it was before. */
#ifndef SEGUE_TOOLS_OUTPUT_H
#define SEGUE_TOOLS_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

/* Whether a file may be put under that name: there is a regular file, a link to one, or nothing. Says why not. */
bool output_accepts(const char *verb, const char *path);

/* Whether both names are one file's: to write one would be to overwrite the other. */
bool output_is_same(const char *path, const char *other);

/* Writes to a temporary file beside the one that `path` leads to, and puts it in its place in one go. With `like`, it
 * gets that file's permissions, owner (where we may) and times. Says what was wrong. */
bool output_write(const char *verb, const char *path, const void *bytes, size_t size, const struct stat *like);

#endif
