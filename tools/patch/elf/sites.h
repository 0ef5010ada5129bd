/* sites.h: the sites that were found in a file. A large file has more than should be in memory: what goes beyond
 * a few megabytes stands in a file without a name. */
#ifndef SEGUE_TOOLS_PATCH_SITES_H
#define SEGUE_TOOLS_PATCH_SITES_H

#include <segue/segment.h>
#include <stdint.h>

/* A site in a file. */
struct file_site {
    struct segue_site site;
    /* Where in the file the instruction begins. */
    uint64_t offset;
    /* Which of the list's objects it is in. */
    uint32_t object;
    /* It is not trusted, and looks like what a compiler makes all the same. */
    bool is_likely;
};

struct site_block;

struct site_store {
    struct site_block *block;
    /* Of those in the file, and all. */
    uint64_t stored, count;
    /* -1 while there is none. */
    int file;
};

/* False, and errno, when they could not be stored. */
bool sites_add(struct site_store *sites, const struct file_site *site);

/* Called for each, in the order in which they were added. False ends. */
typedef bool site_visit(void *context, const struct file_site *site);

/* False if `visit` was, or, with errno, when they could not be read. */
bool sites_each(const struct site_store *sites, site_visit *visit, void *context);

void sites_begin(struct site_store *sites);
void sites_free(struct site_store *sites);

#endif
