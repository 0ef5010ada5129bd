/* sites.h: the sites found in a file. A large file has too many to keep in memory: all beyond a few megabytes go to an
 * unnamed file. */
#ifndef SEGUE_TOOLS_PATCH_SITES_H
#define SEGUE_TOOLS_PATCH_SITES_H

#include <segue/segment.h>
#include <stdint.h>

/* A site in a file. */
struct file_site {
    struct segue_site site;
    /* Where in the file the instruction begins. */
    uint64_t offset;
    /* The index of its object in the list. */
    uint32_t object;
    /* It is not trusted, but looks like an instruction that compilers make. */
    bool is_likely;
};

struct site_block;

struct site_store {
    struct site_block *block;
    /* How many sites are in the unnamed file, and how many there are in all. */
    uint64_t stored, count;
    /* -1 before it is opened. */
    int file;
};

/* False, and errno, when they could not be stored. */
bool sites_add(struct site_store *sites, const struct file_site *site);

/* Called for each, in the order in which they were added. False ends. */
typedef bool site_visit(void *context, const struct file_site *site);

/* False if `visit` returned false, or, with errno, when the sites could not be read. */
bool sites_each(const struct site_store *sites, site_visit *visit, void *context);

void sites_begin(struct site_store *sites);
void sites_free(struct site_store *sites);

#endif
