/* patch_file.h: whole files in memory. */
#ifndef SEGUE_TOOLS_PATCH_FILE_H
#define SEGUE_TOOLS_PATCH_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

/* A file in memory; changing it here does not change the file. */
struct file_image {
    const char *path;
    uint8_t *bytes;
    size_t size;
    struct stat status;
};

/* Says what was wrong. */
bool file_read(struct file_image *image, const char *path);
void file_free(struct file_image *image);

#endif
