/* sites.c: see sites.h. One byte of each site changes, so every thread executes the old instruction or the new one. */
#include "sites.h"

#include <stdlib.h>

#include "decode/x86/instructions/syscall.h"
#include "patch/hot/hot.h"
#include "patch/poke/excluded.h"
#include "patch/poke/poke.h"
#include "patch/scan/calls.h"
#include "patch/scan/functions.h"
#include "platform/calls/calls.h"
#include "platform/reason.h"
#include "platform/threads/look.h"
#include "platform/threads/thread.h"
#include "signals/hot/begin.h"

#define AT_ONCE 256u

/* Sorted. They stay. */
static uint64_t *sites;
static size_t site_count;
static bool are_replaced;

struct list {
    uint64_t *sites;
    size_t count, capacity;
    bool lacks_memory;
};

/* ---- finding them ---- */

static void add(struct list *list, uint64_t site)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : AT_ONCE;
        uint64_t *larger = realloc(list->sites, capacity * sizeof *larger);
        if (!larger) {
            list->lacks_memory = true;
            return;
        }
        list->sites = larger;
        list->capacity = capacity;
    }
    list->sites[list->count++] = site;
}

static void take(uint64_t address, void *context)
{
    struct list *list = context;
    if (!calls_is_exempt(address))
        add(list, address);
}

static bool search_module(const struct platform_module *module, void *context)
{
    struct list *list = context;
    size_t count = 0;
    struct segue_extent *functions = functions_of(module, &count);
    struct segue_segment_code code;
    list->lacks_memory |= count && !functions;
    for (unsigned i = 0; functions && functions_segment(module, i, functions, count, &code); i++)
        list->lacks_memory |= !calls_scan(&code, take, list);
    free(functions);
    return true;
}

static int compare(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

static struct list find(void)
{
    struct list list = {0};
    platform_modules_visit(search_module, &list);
    if (list.count)
        qsort(list.sites, list.count, sizeof *list.sites, compare);
    return list;
}

/* ---- replacing them ---- */

/* A thread that blocks SIGSEGV would die at its next call; only the caller's mask is its own to change. */
const char *call_sites_obstacle(void)
{
    int threads[2];
    if (are_replaced)
        return NULL;
    if (calls_signals() == 0)
        return "call sites are replaced on Linux on x86-64 alone";
    if (look_list_threads(threads, 2) != 1)
        return "call sites are replaced before the process has a second thread, and with /proc";
    if (poke_prepare() != SEGUE_OK)
        return "code cannot be changed here";
    return hot_check() == SEGUE_OK ? NULL : reason_last;
}

bool call_sites_prepare(void)
{
    if (are_replaced)
        return true;
    struct list list = find();
    if (list.lacks_memory || !list.count || hot_begin() != SEGUE_OK) {
        free(list.sites);
        return false;
    }
    free(sites);
    sites = list.sites;
    site_count = list.count;
    calls_use_sites(sites, site_count);
    return true;
}

static bool is_to_change(uint64_t site)
{
    return !code_is_excluded(site, SYSCALL_SIZE) && !hot_reads(site, SYSCALL_SIZE);
}

/* Changes the second byte of the first `count` sites; returns how many come before the first that cannot be changed. */
static size_t change(size_t count, uint8_t byte)
{
    for (size_t i = 0; i < count; i++)
        if (is_to_change(sites[i]) && poke_byte(sites[i] + 1, byte, POKE_KERNEL | POKE_PROTECT) != SEGUE_OK)
            return i;
    return count;
}

/* All or none. */
static void replace(void *replaced)
{
    static const uint8_t call_bytes[SYSCALL_SIZE] = {SYSCALL_BYTES};
    const size_t count = change(site_count, CALLS_STAND_IN);
    *(bool *)replaced = count == site_count;
    if (count != site_count)
        change(count, call_bytes[1]);
}

bool call_sites_replace(void)
{
    if (are_replaced)
        return true;
    /* Its own calls trap, from the first sites on. */
    const uint64_t before = platform_mask_block(~calls_signals());
    bool is_done = false;
    are_replaced = hot_alone(replace, &is_done) && is_done;
    if (!are_replaced)
        calls_use_sites(sites, 0);
    platform_mask_set(before);
    return are_replaced;
}
