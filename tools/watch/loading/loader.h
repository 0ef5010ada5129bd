/* loader.h: maps a loader (ld.so) into a process that has executed a program without one, as the kernel maps it. */
#ifndef SEGUE_TOOLS_WATCH_LOADER_H
#define SEGUE_TOOLS_WATCH_LOADER_H

#include "remote.h"

/* The loader that this command has itself. NULL if it has none. */
const char *loader_path(void);

/* `remote_path`: where the path is in the process. NULL, or what does not succeed. */
struct loader {
    uint64_t base, entry;
};
const char *loader_map(struct remote *remote, const char *path, uint64_t remote_path, struct loader *loader);

#endif
