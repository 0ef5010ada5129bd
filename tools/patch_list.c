/* patch_list.c: what was found in a file and what is changed; told in words and in JSON, and read back from JSON. */
#include "patch_list.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "message.h"
#include "patch_elf.h"

#define VERB "patch"
#define VERSION 1
#define COMPLAINTS 5
#define SYS_CLONE 56
#define SYS_ARCH_PRCTL 158
#define SYS_CLONE3 435
#define CODE_SET_GS 0x1001
#define CODE_SET_FS 0x1002

/* --- Making one. --- */

/* A list being made. */
struct making {
    struct patch_list *list;
    const struct file_image *image;
    size_t refused;
    bool is_whole;
    /* The section at hand. */
    uint64_t file_offset, address;
};

static void *grow(void *array, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return array;
    *capacity = *capacity ? 2 * *capacity : 16;
    array = realloc(array, *capacity * size);
    if (!array)
        abort();
    return array;
}

static struct file_object *add_object(struct patch_list *list, const char *member, const char *build_id)
{
    list->objects = grow(list->objects, list->object_count, &list->object_capacity, sizeof *list->objects);
    struct file_object *object = &list->objects[list->object_count++];
    *object = (struct file_object){.member = member ? strdup(member) : NULL};
    snprintf(object->build_id, sizeof object->build_id, "%s", build_id);
    return object;
}

static void add_site(struct patch_list *list, const struct file_site *site)
{
    list->sites = grow(list->sites, list->site_count, &list->site_capacity, sizeof *list->sites);
    list->sites[list->site_count++] = *site;
}

static enum segue_status take_site(void *context, const struct segue_site *site)
{
    struct making *making = context;
    struct file_site found = {
        .site = *site,
        .offset = making->file_offset + (site->address - making->address),
        .object = making->list->object_count - 1,
    };
    add_site(making->list, &found);
    return SEGUE_OK;
}

static enum segue_status take_code(void *context, const struct segue_code *code, uint64_t file_offset, const char *name)
{
    struct making *making = context;
    (void)name;
    making->file_offset = file_offset;
    making->address = code->address;
    return segue_scan(code, making->list->rewrite, take_site, making);
}

static bool take_object(void *context, const struct elf_object *object, const char *refusal)
{
    struct making *making = context;
    struct file_object *taken = add_object(making->list, object->member, object->build_id);
    taken->refusal = refusal;
    if (refusal)
        making->refused++;
    else if (elf_object_code(object, take_code, making) != SEGUE_OK)
        making->is_whole = false;
    return true;
}

/* FNV-1a, eight bytes at a time. */
static uint64_t checksum(const uint8_t *bytes, size_t size)
{
    uint64_t sum = 0xcbf29ce484222325u;
    for (size_t at = 0; at < size; at += 8) {
        uint64_t word = 0;
        memcpy(&word, bytes + at, size - at < 8 ? size - at : 8);
        sum = (sum ^ word) * 0x100000001b3u;
        sum ^= sum >> 32;
    }
    return sum;
}

/* Sections of a damaged file may lie over each other; then one byte would be changed twice. */
static bool sites_are_apart(const struct patch_list *list)
{
    uint64_t end = 0;
    for (size_t i = 0; i < list->site_count; i++) {
        if (!list_changes(&list->sites[i]))
            continue;
        if (list->sites[i].offset < end)
            return false;
        end = list->sites[i].offset + list->sites[i].site.length;
    }
    return true;
}

static int compare_offsets(const void *left, const void *right)
{
    uint64_t a = ((const struct file_site *)left)->offset, b = ((const struct file_site *)right)->offset;
    return a < b ? -1 : a > b;
}

static void sort_sites(struct patch_list *list)
{
    for (size_t i = 1; i < list->site_count; i++) {
        if (list->sites[i].offset < list->sites[i - 1].offset) {
            qsort(list->sites, list->site_count, sizeof *list->sites, compare_offsets);
            return;
        }
    }
}

/* Why nothing can be done with the file; NULL if something can. */
static const char *refusal_of(struct making *making)
{
    struct patch_list *list = making->list;
    if (!making->is_whole)
        return "its section headers are damaged";
    if (list->object_count == 0)
        return "it is an archive without members";
    if (making->refused == list->object_count)
        return list->objects[0].refusal;
    sort_sites(list);
    return sites_are_apart(list) ? NULL : "it is damaged: sections of its code lie over each other";
}

bool list_make(struct patch_list *list, const struct file_image *image, struct segue_rewrite rewrite, bool *is_other)
{
    struct making making = {.list = list, .image = image, .is_whole = true};
    *list = (struct patch_list){.rewrite = rewrite, .size = image->size};
    *is_other = !elf_objects(image->bytes, image->size, take_object, &making);
    const char *refusal = *is_other ? NULL : refusal_of(&making);
    if (refusal)
        complain(VERB, "%s is left as it is: %s", image->path, refusal);
    if (refusal || *is_other) {
        list_free(list);
        return false;
    }
    list->checksum = checksum(image->bytes, image->size);
    return true;
}

void list_free(struct patch_list *list)
{
    for (size_t i = 0; i < list->object_count; i++)
        free(list->objects[i].member);
    free(list->objects);
    free(list->sites);
    *list = (struct patch_list){0};
}

/* --- Telling. --- */

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

static const char *reason_of_call(const struct segue_site *site)
{
    switch (effect_of(site)) {
    case CALL_UNKNOWN:
        return "system call, its number not told by the code before it";
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
        return "not trusted: outside every function that .eh_frame knows, and in no strict form";
    if (site->site.trust == SEGUE_TRUST_AFTER_DATA)
        return "not trusted: behind bytes that are no instruction, and in no strict form";
    return site->site.kind == SEGUE_SITE_LOAD ? "loads the segment register itself" : reason_of_call(&site->site);
}

struct patch_counts list_count(const struct patch_list *list)
{
    struct patch_counts counts = {0};
    for (size_t i = 0; i < list->site_count; i++) {
        const struct segue_site *site = &list->sites[i].site;
        bool is_call = site->kind == SEGUE_SITE_SYSTEM_CALL;
        enum call_effect effect = is_call ? effect_of(site) : CALL_NONE;
        counts.system_calls += is_call;
        counts.sets_base += effect == CALL_SETS_BASE || effect == CALL_MAY_SET_BASE;
        counts.clones += effect == CALL_CLONES;
        counts.loads += site->kind == SEGUE_SITE_LOAD;
        bool changes = list_changes(&list->sites[i]);
        counts.accesses += changes && site->kind == SEGUE_SITE_ACCESS;
        counts.bases += changes && site->kind == SEGUE_SITE_BASE;
        counts.untrusted += !changes && (site->kind == SEGUE_SITE_ACCESS || site->kind == SEGUE_SITE_BASE);
    }
    return counts;
}

static void hex_of(const uint8_t *bytes, size_t size, char *text)
{
    for (size_t i = 0; i < size; i++)
        sprintf(text + 3 * i, i + 1 < size ? "%02x " : "%02x", bytes[i]);
}

static const char *kind_name(const struct segue_site *site)
{
    static const char *const names[] = {"access", "base", "load", "system_call"};
    return names[site->kind];
}

static json_t *site_json(const struct patch_list *list, const struct file_site *site)
{
    char hex[3 * SEGUE_INSN_BYTES];
    const char *member = list->objects[site->object].member;
    hex_of(site->site.bytes, site->site.length, hex);
    json_t *json = json_pack("{s:I, s:I, s:s, s:s}", "offset", (json_int_t)site->offset, "address",
                             (json_int_t)site->site.address, "bytes", hex, "kind", kind_name(&site->site));
    if (member)
        json_object_set_new(json, "member", json_string(member));
    if (list_changes(site)) {
        json_object_set_new(json, "index", json_integer(site->site.index));
        json_object_set_new(json, "old", json_integer(site->site.old_byte));
        json_object_set_new(json, "new", json_integer(site->site.new_byte));
        json_object_set_new(json, "trust", json_string(site->site.trust == SEGUE_TRUST_FORM ? "form" : "function"));
    } else {
        json_object_set_new(json, "reason", json_string(list_reason(site)));
    }
    if (site->site.kind == SEGUE_SITE_SYSTEM_CALL && site->site.call_number >= 0)
        json_object_set_new(json, "number", json_integer(site->site.call_number));
    return json;
}

static json_t *objects_json(const struct patch_list *list)
{
    json_t *array = json_array();
    for (size_t i = 0; i < list->object_count; i++) {
        const struct file_object *object = &list->objects[i];
        json_array_append_new(array,
                              json_pack("{s:s?, s:s?, s:s?}", "member", object->member, "build_id",
                                        object->build_id[0] ? object->build_id : NULL, "refused", object->refusal));
    }
    return array;
}

static json_t *counts_json(const struct patch_counts *counts)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "accesses", (json_int_t)counts->accesses, "bases",
                     (json_int_t)counts->bases, "untrusted", (json_int_t)counts->untrusted, "loads",
                     (json_int_t)counts->loads, "system_calls", (json_int_t)counts->system_calls, "sets_base",
                     (json_int_t)counts->sets_base, "clones", (json_int_t)counts->clones);
}

json_t *list_json(const struct patch_list *list, const char *path)
{
    struct patch_counts counts = list_count(list);
    char sum[17];
    snprintf(sum, sizeof sum, "%016" PRIx64, list->checksum);
    json_t *sites = json_array(), *reported = json_array();
    for (size_t i = 0; i < list->site_count; i++)
        json_array_append_new(list_changes(&list->sites[i]) ? sites : reported, site_json(list, &list->sites[i]));
    json_t *json = json_pack("{s:i, s:I, s:s, s:s, s:s, s:o, s:o, s:o, s:o}", "version", VERSION, "size",
                             (json_int_t)list->size, "checksum", sum, "from", list_segment_name(list->rewrite.from),
                             "to", list_segment_name(list->rewrite.to), "objects", objects_json(list), "counts",
                             counts_json(&counts), "sites", sites, "reported", reported);
    /* A path that is no UTF-8 is left out. */
    json_object_set_new(json, "file", json_string(path));
    return json;
}

static void print_site(FILE *to, const struct patch_list *list, const struct file_site *site)
{
    char hex[3 * SEGUE_INSN_BYTES];
    const char *member = list->objects[site->object].member;
    hex_of(site->site.bytes, site->site.length, hex);
    fprintf(to, "  %s%s0x%" PRIx64 "  %s  %s\n", member ? member : "", member ? ":" : "", site->site.address, hex,
            list_reason(site));
}

void list_print(FILE *to, const struct patch_list *list, const char *path, bool all_system_calls)
{
    struct patch_counts counts = list_count(list);
    fprintf(to, "%s: %" PRIu64 " %s: operands, %" PRIu64 " instructions for its base; not trusted %" PRIu64, path,
            counts.accesses, list_segment_name(list->rewrite.from), counts.bases, counts.untrusted);
    fprintf(to, "; loads of %s %" PRIu64 "; system calls %" PRIu64 "\n", list_segment_name(list->rewrite.from),
            counts.loads, counts.system_calls);
    for (size_t i = 0; i < list->object_count; i++)
        if (list->objects[i].refusal)
            fprintf(to, "  %s is left as it is: %s\n", list->objects[i].member, list->objects[i].refusal);
    for (size_t i = 0; i < list->site_count; i++) {
        const struct file_site *site = &list->sites[i];
        enum call_effect effect = effect_of(&site->site);
        bool is_plain_call =
            site->site.kind == SEGUE_SITE_SYSTEM_CALL && (effect == CALL_NONE || effect == CALL_UNKNOWN);
        if (!list_changes(site) && (all_system_calls || !is_plain_call))
            print_site(to, list, site);
    }
}

/* --- Reading back. --- */

static bool read_segment(const char *name, enum segue_segment *segment)
{
    if (strcmp(name, "fs") == 0)
        *segment = SEGUE_SEGMENT_FS;
    else if (strcmp(name, "gs") == 0)
        *segment = SEGUE_SEGMENT_GS;
    else
        return false;
    return true;
}

static bool read_site(struct patch_list *list, json_t *json)
{
    json_int_t offset;
    int index, old_byte, new_byte;
    const char *kind;
    if (json_unpack(json, "{s:I, s:i, s:i, s:i, s:s}", "offset", &offset, "index", &index, "old", &old_byte, "new",
                    &new_byte, "kind", &kind) != 0 ||
        offset < 0 || index < 0 || index >= SEGUE_INSN_BYTES || (uint64_t)(offset + index) >= list->size ||
        old_byte < 0 || old_byte > 255 || new_byte < 0 || new_byte > 255)
        return false;
    struct file_site site = {
        .offset = (uint64_t)offset,
        .site = {.index = (uint8_t)index, .old_byte = (uint8_t)old_byte, .new_byte = (uint8_t)new_byte},
    };
    site.site.kind = strcmp(kind, "base") == 0 ? SEGUE_SITE_BASE : SEGUE_SITE_ACCESS;
    add_site(list, &site);
    return true;
}

static bool read_list(struct patch_list *list, json_t *json)
{
    int version;
    json_int_t size;
    const char *sum, *from, *to, *build_id;
    json_t *objects, *sites, *element;
    size_t i;
    if (json_unpack(json, "{s:i, s:I, s:s, s:s, s:s, s:o, s:o}", "version", &version, "size", &size, "checksum", &sum,
                    "from", &from, "to", &to, "objects", &objects, "sites", &sites) != 0 ||
        version != VERSION || size < 0 || !read_segment(from, &list->rewrite.from) ||
        !read_segment(to, &list->rewrite.to) || !json_is_array(objects) || !json_is_array(sites))
        return false;
    list->size = (uint64_t)size;
    list->checksum = strtoull(sum, NULL, 16);
    json_array_foreach(objects, i, element)
    {
        build_id = NULL;
        json_unpack(element, "{s:s?}", "build_id", &build_id);
        add_object(list, NULL, build_id ? build_id : "");
    }
    json_array_foreach(sites, i, element) if (!read_site(list, element)) return false;
    return true;
}

bool list_read(struct patch_list *list, const char *path)
{
    json_error_t error;
    *list = (struct patch_list){0};
    json_t *json = json_load_file(path, 0, &error);
    if (!json) {
        if (error.line > 0)
            complain(VERB, "cannot read the list %s: line %d: %s", path, error.line, error.text);
        else
            complain(VERB, "cannot read the list: %s", error.text);
        return false;
    }
    bool done = read_list(list, json);
    json_decref(json);
    if (done)
        return true;
    complain(VERB, "%s is no list that segue patch wrote; give the file that --list or --json made", path);
    list_free(list);
    return false;
}

/* --- Holding a file against a list. --- */

/* The build-ids of a file's objects, in their order. */
static bool take_build_id(void *context, const struct elf_object *object, const char *refusal)
{
    struct file_object *taken = add_object(context, object->member, object->build_id);
    taken->refusal = refusal;
    return true;
}

static bool check_build_ids(const struct patch_list *list, const struct file_image *image)
{
    struct patch_list present = {0};
    elf_objects(image->bytes, image->size, take_build_id, &present);
    bool same = present.object_count == list->object_count;
    for (size_t i = 0; same && i < list->object_count; i++) {
        same = strcmp(present.objects[i].build_id, list->objects[i].build_id) == 0;
        if (!same)
            complain(VERB, "%s has the build-id %s, and the list is for %s", image->path,
                     present.objects[i].build_id[0] ? present.objects[i].build_id : "(none)",
                     list->objects[i].build_id[0] ? list->objects[i].build_id : "(none)");
    }
    if (present.object_count != list->object_count)
        complain(VERB, "%s is not the file that the list is for: it has %zu objects in place of %zu", image->path,
                 present.object_count, list->object_count);
    list_free(&present);
    return same;
}

static bool check_bytes(const struct patch_list *list, const struct file_image *image, enum list_side side)
{
    size_t wrong = 0;
    for (size_t i = 0; i < list->site_count; i++) {
        const struct file_site *site = &list->sites[i];
        uint64_t at = site->offset + site->site.index;
        uint8_t wanted = side == LIST_OLD ? site->site.old_byte : site->site.new_byte;
        if (image->bytes[at] == wanted)
            continue;
        if (wrong++ < COMPLAINTS)
            complain(VERB, "%s: the byte at offset 0x%" PRIx64 " is %02x, and %02x in the list", image->path, at,
                     image->bytes[at], wanted);
    }
    if (wrong > COMPLAINTS)
        complain(VERB, "%s: and %zu more", image->path, wrong - COMPLAINTS);
    return wrong == 0;
}

static bool check_rest(const struct patch_list *list, const struct file_image *image)
{
    struct file_image copy = *image;
    copy.bytes = malloc(image->size + 1);
    if (!copy.bytes)
        abort();
    memcpy(copy.bytes, image->bytes, image->size);
    list_apply(list, &copy, LIST_OLD);
    bool same = checksum(copy.bytes, copy.size) == list->checksum;
    free(copy.bytes);
    if (!same)
        complain(VERB, "%s differs from the file that the list is for at other places than those in the list",
                 image->path);
    return same;
}

bool list_check(const struct patch_list *list, const struct file_image *image, enum list_side side)
{
    if (image->size != list->size) {
        complain(VERB, "%s has %zu bytes, and the list is for a file of %" PRIu64, image->path, image->size,
                 list->size);
        return false;
    }
    return check_build_ids(list, image) && check_bytes(list, image, side) && check_rest(list, image);
}

void list_apply(const struct patch_list *list, struct file_image *image, enum list_side side)
{
    for (size_t i = 0; i < list->site_count; i++) {
        const struct file_site *site = &list->sites[i];
        if (list_changes(site))
            image->bytes[site->offset + site->site.index] =
                side == LIST_OLD ? site->site.old_byte : site->site.new_byte;
    }
}
