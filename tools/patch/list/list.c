/* list.c: finds the sites of a file, and decides which of them are changed. */
#include "list.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tools/patch/elf/likely.h"
#include "tools/support/array.h"
#include "tools/support/message.h"
#include "tools/support/progress.h"

#define VERB "patch"
#define SYS_CLONE 56
#define SYS_ARCH_PRCTL 158
#define SYS_CLONE3 435
#define CODE_SET_GS 0x1001
#define CODE_SET_FS 0x1002

/* --- What a site is. --- */

bool list_changes(const struct file_site *site)
{
    return (site->site.kind == SEGUE_SITE_ACCESS || site->site.kind == SEGUE_SITE_BASE) &&
           segue_site_is_trusted(&site->site);
}

const char *list_segment_name(enum segue_segment segment)
{
    return segment == SEGUE_SEGMENT_FS ? "fs" : "gs";
}

/* What a system call does to segment bases. */
enum call_effect {
    CALL_UNKNOWN,
    CALL_NONE,
    CALL_SETS_BASE,
    CALL_MAY_SET_BASE,
    CALL_CLONES,
};

static enum call_effect effect_of(const struct segue_site *site)
{
    switch (site->call_number) {
    case -1:
        return CALL_UNKNOWN;
    case SYS_ARCH_PRCTL:
        if (site->call_argument == CODE_SET_FS || site->call_argument == CODE_SET_GS)
            return CALL_SETS_BASE;
        return site->call_argument < 0 ? CALL_MAY_SET_BASE : CALL_NONE;
    case SYS_CLONE:
    case SYS_CLONE3:
        return CALL_CLONES;
    default:
        return CALL_NONE;
    }
}

bool list_is_plain_call(const struct file_site *site)
{
    if (site->site.kind != SEGUE_SITE_SYSTEM_CALL)
        return false;
    enum call_effect effect = effect_of(&site->site);
    return effect == CALL_NONE || effect == CALL_UNKNOWN;
}

static const char *reason_of_call(const struct segue_site *site)
{
    switch (effect_of(site)) {
    case CALL_UNKNOWN:
        return "system call, its number not set by the code just before it";
    case CALL_SETS_BASE:
        return site->call_argument == CODE_SET_FS ? "arch_prctl(ARCH_SET_FS): sets the base"
                                                  : "arch_prctl(ARCH_SET_GS): sets the base";
    case CALL_MAY_SET_BASE:
        return "arch_prctl: sets the base if its first argument is ARCH_SET_FS";
    case CALL_CLONES:
        return "clone: sets the new thread's base if its flags hold CLONE_SETTLS";
    default:
        return "system call that sets no base";
    }
}

const char *list_reason(const struct file_site *site)
{
    if (site->site.trust == SEGUE_TRUST_OUTSIDE)
        return site->is_likely ? "not trusted: in no function that .eh_frame, .gopclntab or a symbol describes; "
                                 "looks like a compiler's access"
                               : "not trusted: in no function that .eh_frame, .gopclntab or a symbol describes, "
                                 "and in no strict form";
    if (site->site.trust == SEGUE_TRUST_AFTER_DATA)
        return site->is_likely ? "not trusted: after bytes that are not an instruction; looks like a compiler's access"
                               : "not trusted: after bytes that are not an instruction, and in no strict form";
    return site->site.kind == SEGUE_SITE_LOAD ? "loads the segment register itself" : reason_of_call(&site->site);
}

static void count(struct patch_counts *counts, const struct file_site *site)
{
    bool is_call = site->site.kind == SEGUE_SITE_SYSTEM_CALL, changes = list_changes(site);
    bool is_access = site->site.kind == SEGUE_SITE_ACCESS, is_base = site->site.kind == SEGUE_SITE_BASE;
    enum call_effect effect = is_call ? effect_of(&site->site) : CALL_NONE;
    counts->system_calls += is_call;
    counts->sets_base += effect == CALL_SETS_BASE || effect == CALL_MAY_SET_BASE;
    counts->clones += effect == CALL_CLONES;
    counts->loads += site->site.kind == SEGUE_SITE_LOAD;
    counts->accesses += changes && is_access;
    counts->bases += changes && is_base;
    counts->untrusted += !changes && (is_access || is_base);
    counts->likely += site->is_likely;
}

/* --- Making one. --- */

/* A list being made. */
struct making {
    struct patch_list *list;
    size_t refused;
    bool is_whole;
    /* The sites could not be stored. */
    int error;
    /* The end of the last byte that is changed. */
    uint64_t changed_to;
    /* The current section, and the scan's offset in it. */
    const struct elf_code_section *section;
    uint64_t scanned;
};

struct file_object *list_add_object(struct patch_list *list, const char *member, const char *build_id)
{
    list->objects = array_grow(list->objects, list->object_count, &list->object_capacity, sizeof *list->objects);
    struct file_object *object = &list->objects[list->object_count++];
    *object = (struct file_object){.member = member ? strdup(member) : NULL,
                                   .build_id = build_id[0] ? strdup(build_id) : NULL};
    return object;
}

static enum segue_status take_site(void *context, const struct segue_site *site)
{
    struct making *making = context;
    const struct elf_code_section *section = making->section;
    uint64_t within = site->address - section->code.address;
    struct file_site found = {
        .site = *site,
        .offset = section->file_offset + within,
        .object = (uint32_t)(making->list->object_count - 1),
    };
    bool changes = list_changes(&found);
    found.site.address = section->address + within;
    found.is_likely = !segue_site_is_trusted(site) && site_is_likely(&section->code, within, site);
    /* This way no byte is changed twice, and the list can be sorted by place. */
    if (changes && found.offset + site->index < making->changed_to)
        return SEGUE_INVALID;
    if (changes)
        making->changed_to = found.offset + site->index + 1;
    if (!sites_add(&making->list->sites, &found)) {
        making->error = errno;
        return SEGUE_NO_MEMORY;
    }
    count(&making->list->counts, &found);
    progress_advance(within - making->scanned);
    making->scanned = within;
    return SEGUE_OK;
}

static enum segue_status take_code(void *context, const struct elf_code_section *section)
{
    struct making *making = context;
    making->section = section;
    making->scanned = 0;
    enum segue_status status = segue_segment_scan(&section->code, making->list->rewrite, take_site, making);
    progress_advance(section->code.size - making->scanned);
    return status;
}

static bool take_object(void *context, const struct elf_object *object, const char *refusal)
{
    struct making *making = context;
    struct file_object *taken = list_add_object(making->list, object->member, object->build_id);
    taken->refusal = refusal;
    if (refusal)
        making->refused++;
    else if (elf_object_code(object, take_code, making) != SEGUE_OK)
        making->is_whole = false;
    return making->is_whole;
}

/* Why the file cannot be patched; NULL if it can. */
static const char *refusal_of(const struct making *making)
{
    const struct patch_list *list = making->list;
    if (!making->is_whole)
        return "its section headers are damaged";
    if (list->object_count == 0)
        return "it is an archive without members";
    return making->refused == list->object_count ? list->objects[0].refusal : NULL;
}

enum list_outcome list_make(struct patch_list *list, const char *path, int file, uint64_t size,
                            struct segue_rewrite rewrite)
{
    struct elf_source source = {.file = file, .size = size};
    struct making making = {.list = list, .is_whole = true};
    enum list_outcome outcome = LIST_MADE;
    *list = (struct patch_list){.rewrite = rewrite, .size = size};
    sites_begin(&list->sites);
    bool is_other = !elf_objects(&source, take_object, &making);
    if (source.error) {
        complain(VERB, "cannot read %s: %s", path, strerror(source.error));
        outcome = LIST_FAILED;
    } else if (making.error) {
        complain(VERB, "cannot keep the sites of %s in a temporary file: %s; give TMPDIR a folder with room", path,
                 strerror(making.error));
        outcome = LIST_FAILED;
    } else if (is_other) {
        outcome = LIST_OTHER;
    } else if (refusal_of(&making)) {
        complain(VERB, "%s is left as it is: %s", path, refusal_of(&making));
        outcome = LIST_REFUSED;
    }
    if (outcome != LIST_MADE)
        list_free(list);
    return outcome;
}

void list_free(struct patch_list *list)
{
    for (size_t i = 0; i < list->object_count; i++) {
        free(list->objects[i].member);
        free(list->objects[i].build_id);
    }
    free(list->objects);
    sites_free(&list->sites);
    *list = (struct patch_list){0};
    sites_begin(&list->sites);
}
