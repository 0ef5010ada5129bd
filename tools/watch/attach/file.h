/* file.h: what a program's file says of its process. */
#ifndef SEGUE_TOOLS_WATCH_FILE_H
#define SEGUE_TOOLS_WATCH_FILE_H

enum file_kind {
    /* Its loader preloads and loads libraries. */
    FILE_DYNAMIC,
    FILE_STATIC,
    /* Of another processor. */
    FILE_FOREIGN,
    /* It cannot be read, or is no program. */
    FILE_OTHER,
};

/* Of a script: that of its interpreter. */
enum file_kind file_kind(const char *path);

#endif
