/* sites.c: the sites that were found in a file. */
#include "sites.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tools/support/output/output.h"

#define BLOCK 32768u

struct site_block {
    struct file_site sites[BLOCK];
};

void sites_begin(struct site_store *sites)
{
    *sites = (struct site_store){.file = -1};
}

void sites_free(struct site_store *sites)
{
    free(sites->block);
    if (sites->file >= 0)
        close(sites->file);
    sites_begin(sites);
}

/* Opens an unnamed file in the temporary folder; if that fails, one in memory, which can be swapped out. */
static int open_file(void)
{
    const char *folder = getenv("TMPDIR");
    int file = open(folder && *folder ? folder : "/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    return file >= 0 ? file : memfd_create("segue-sites", MFD_CLOEXEC);
}

static bool store_block(struct site_store *sites)
{
    if (sites->file < 0 && (sites->file = open_file()) < 0)
        return false;
    if (!output_put(sites->file, sites->block, sizeof *sites->block))
        return false;
    sites->stored = sites->count;
    return true;
}

bool sites_add(struct site_store *sites, const struct file_site *site)
{
    if (!sites->block && !(sites->block = malloc(sizeof *sites->block)))
        return false;
    if (sites->count - sites->stored == BLOCK && !store_block(sites))
        return false;
    sites->block->sites[sites->count++ - sites->stored] = *site;
    return true;
}

static bool visit_block(const struct site_block *block, uint64_t count, site_visit *visit, void *context)
{
    for (uint64_t i = 0; i < count; i++)
        if (!visit(context, &block->sites[i]))
            return false;
    return true;
}

static bool visit_stored(const struct site_store *sites, struct site_block *block, site_visit *visit, void *context)
{
    for (uint64_t number = 0; number < sites->stored; number += BLOCK) {
        size_t held = 0;
        while (held < sizeof *block) {
            ssize_t got = pread(sites->file, (char *)block + held, sizeof *block - held,
                                (off_t)(number / BLOCK * sizeof *block + held));
            if (got < 0 && errno == EINTR)
                continue;
            if (got == 0)
                errno = EIO;
            if (got <= 0)
                return false;
            held += (size_t)got;
        }
        if (!visit_block(block, BLOCK, visit, context))
            return false;
    }
    return true;
}

bool sites_each(const struct site_store *sites, site_visit *visit, void *context)
{
    struct site_block *block = sites->stored ? malloc(sizeof *block) : NULL;
    bool done = (block || !sites->stored) && visit_stored(sites, block, visit, context);
    free(block);
    return done && (!sites->block || visit_block(sites->block, sites->count - sites->stored, visit, context));
}
