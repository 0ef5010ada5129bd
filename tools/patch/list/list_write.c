/* list_write.c: a list as JSON and in words. */
#include <inttypes.h>
#include <string.h>

#include "list.h"
#include "tools/support/json/json_write.h"
#include "tools/support/message.h"
#include "tools/support/plural.h"
#include "version.h"

static void hex_of(const struct segue_site *site, char *text)
{
    for (size_t i = 0; i < site->length; i++)
        sprintf(text + 3 * i, i + 1 < site->length ? "%02x " : "%02x", site->bytes[i]);
}

static const char *kind_name(const struct segue_site *site)
{
    static const char *const names[] = {"access", "base", "load", "system_call"};
    return names[site->kind];
}

/* --- JSON. --- */

struct writing {
    struct json_writer json;
    const struct patch_list *list;
    /* Whether the sites that are changed are written, or the others. */
    bool writes_changed;
};

static bool write_site(void *context, const struct file_site *site)
{
    struct writing *writing = context;
    struct json_writer *json = &writing->json;
    char hex[3 * SEGUE_INSN_BYTES];
    if (list_changes(site) != writing->writes_changed)
        return true;
    hex_of(&site->site, hex);
    json_open(json, NULL, '{');
    json_number(json, "offset", (int64_t)site->offset);
    json_number(json, "address", (int64_t)site->site.address);
    json_text(json, "bytes", hex);
    json_text(json, "kind", kind_name(&site->site));
    if (writing->list->objects[site->object].member) {
        json_name(json, "member", writing->list->objects[site->object].member);
        json_number(json, "object", site->object);
    }
    if (writing->writes_changed) {
        json_number(json, "index", site->site.index);
        json_number(json, "old", site->site.old_byte);
        json_number(json, "new", site->site.new_byte);
        json_text(json, "trust", site->site.trust == SEGUE_TRUST_FORM ? "form" : "function");
    } else {
        json_text(json, "reason", list_reason(site));
    }
    if (site->site.kind == SEGUE_SITE_SYSTEM_CALL && site->site.call_number >= 0)
        json_number(json, "number", site->site.call_number);
    json_close(json, '}');
    return !ferror(json->to);
}

static bool write_sites(struct writing *writing, const char *name, bool changed)
{
    writing->writes_changed = changed;
    json_open(&writing->json, name, '[');
    bool done = sites_each(&writing->list->sites, write_site, writing);
    json_close(&writing->json, ']');
    return done;
}

static void write_objects(struct json_writer *json, const struct patch_list *list)
{
    json_open(json, "objects", '[');
    for (size_t i = 0; i < list->object_count; i++) {
        json_open(json, NULL, '{');
        json_name(json, "member", list->objects[i].member);
        json_text(json, "build_id", list->objects[i].build_id);
        json_text(json, "refused", list->objects[i].refusal);
        json_close(json, '}');
    }
    json_close(json, ']');
}

static void write_counts(struct json_writer *json, const struct patch_counts *counts)
{
    json_open(json, "counts", '{');
    json_number(json, "accesses", (int64_t)counts->accesses);
    json_number(json, "bases", (int64_t)counts->bases);
    json_number(json, "untrusted", (int64_t)counts->untrusted);
    json_number(json, "likely", (int64_t)counts->likely);
    json_number(json, "loads", (int64_t)counts->loads);
    json_number(json, "system_calls", (int64_t)counts->system_calls);
    json_number(json, "sets_base", (int64_t)counts->sets_base);
    json_number(json, "clones", (int64_t)counts->clones);
    json_close(json, '}');
}

bool list_write_json(FILE *to, const struct patch_list *list, const char *path, enum list_layout layout)
{
    struct writing writing = {.json = {.to = to, .has_lines = layout == LIST_LINES}, .list = list};
    struct json_writer *json = &writing.json;
    char sum[17];
    snprintf(sum, sizeof sum, "%016" PRIx64, list->checksum);
    json_open(json, NULL, '{');
    json_number(json, "version", PATCH_LIST_VERSION);
    json_number(json, "size", (int64_t)list->size);
    json_text(json, "checksum", sum);
    json_text(json, "from", list_segment_name(list->rewrite.from));
    json_text(json, "to", list_segment_name(list->rewrite.to));
    write_objects(json, list);
    write_counts(json, &list->counts);
    bool done = write_sites(&writing, "sites", true) && write_sites(&writing, "reported", false);
    json_name(json, "file", path);
    json_close(json, '}');
    putc('\n', to);
    return done && fflush(to) == 0 && !ferror(to);
}

/* --- Words. --- */

struct printing {
    FILE *to;
    const struct patch_list *list;
    enum list_detail detail;
};

static bool print_site(void *context, const struct file_site *site)
{
    const struct printing *printing = context;
    const char *member = printing->list->objects[site->object].member;
    char hex[3 * SEGUE_INSN_BYTES];
    if (list_changes(site) || (printing->detail == LIST_SITES && list_is_plain_call(site)))
        return true;
    hex_of(&site->site, hex);
    fputs("  ", printing->to);
    if (member) {
        print_name(printing->to, member);
        putc(':', printing->to);
    }
    fprintf(printing->to, "0x%" PRIx64 "  %s  %s\n", site->site.address, hex, list_reason(site));
    return true;
}

void list_print(FILE *to, const struct patch_list *list, const char *path, enum list_detail detail)
{
    const struct patch_counts *counts = &list->counts;
    const char *from = list_segment_name(list->rewrite.from);
    struct printing printing = {to, list, detail};
    print_name(to, path);
    fprintf(to, ": %" PRIu64 " %s: operand%s, %" PRIu64 " instruction%s for its base; not trusted %" PRIu64,
            counts->accesses, from, plural(counts->accesses), counts->bases, plural(counts->bases), counts->untrusted);
    if (counts->likely)
        fprintf(to, " (%" PRIu64 " look%s real)", counts->likely, counts->likely == 1 ? "s" : "");
    fprintf(to, "; loads of %s %" PRIu64 "; system calls %" PRIu64 "\n", from, counts->loads, counts->system_calls);
    for (size_t i = 0; i < list->object_count && detail != LIST_COUNTS; i++) {
        if (!list->objects[i].refusal)
            continue;
        fputs("  ", to);
        print_name(to, list->objects[i].member);
        fprintf(to, " is left as it is: %s\n", list->objects[i].refusal);
    }
    if (detail != LIST_COUNTS)
        sites_each(&list->sites, print_site, &printing);
}
