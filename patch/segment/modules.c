/* modules.c: lists the program's modules outside handlers, for handlers to use.
 *
 * ASSUMPTIONS: a listed module is still mapped if one of its instructions has just faulted; a program that unloads a
 * module reports that before another module can take its place (segue_segment_modules). */
#include "modules.h"

#include <segue/patch.h>
#include <stdlib.h>
#include <string.h>

#include "patch/scan/functions.h"
#include "platform/code.h"
#include "platform/frame/stack.h"
#include "platform/reason.h"
#include "platform/threads/thread.h"

/* An executable segment, and its functions. */
struct module_code {
    struct module_code *next;
    struct segue_segment_code code;
    struct segue_extent *functions;
    /* The whole module. */
    struct segue_extent range;
    /* Set by the thread that rewrites it. */
    uint32_t taken;
};

static struct module_code *modules;

/* --- Reading. --- */

/* Keeps the segment, with its functions. */
static struct module_code *keep_segment(const struct segue_segment_code *code, struct segue_extent range)
{
    const size_t size = code->function_count * sizeof *code->functions;
    struct module_code *module = calloc(1, sizeof *module);
    struct segue_extent *functions = malloc(size + 1);
    if (!module || !functions) {
        free(functions);
        free(module);
        return NULL;
    }
    memcpy(functions, code->functions, size);
    *module = (struct module_code){.code = *code, .functions = functions, .range = range};
    module->code.functions = functions;
    return module;
}

/* Appends a module's code to the list that `context` points to. False if memory has run out. */
static bool read_module(const struct platform_module *of, void *context)
{
    struct module_code **list = context;
    struct segue_segment_code code;
    size_t count = 0;
    struct segue_extent *functions = functions_of(of, &count);
    bool fine = !count || functions;
    for (unsigned i = 0; functions && fine && functions_segment(of, i, functions, count, &code); i++) {
        struct module_code *module = keep_segment(&code, (struct segue_extent){of->start, of->end});
        fine = module;
        if (module) {
            module->next = *list;
            *list = module;
        }
    }
    free(functions);
    return fine;
}

static void free_list(struct module_code *list)
{
    while (list) {
        struct module_code *next = list->next;
        free(list->functions);
        free(list);
        list = next;
    }
}

/* A handler may still be reading the old list: it is kept until segue_segment_disable. */
static struct module_code *outdated;

static void retire(struct module_code *list)
{
    struct module_code **end = &list;
    while (*end)
        end = &(*end)->next;
    *end = outdated;
    outdated = list;
}

enum segue_status modules_read(void)
{
    struct module_code *list = NULL;
    if (!platform_modules_visit(read_module, &list)) {
        free_list(list);
        return SEGUE_NO_MEMORY;
    }
    struct module_code *before = __atomic_exchange_n(&modules, list, __ATOMIC_ACQ_REL);
    if (before)
        retire(before);
    return SEGUE_OK;
}

void modules_free(void)
{
    free_list(__atomic_exchange_n(&modules, NULL, __ATOMIC_ACQ_REL));
    free_list(outdated);
    outdated = NULL;
}

bool modules_range(uint64_t address, uint64_t *start, uint64_t *size)
{
    struct module_code *list = NULL;
    bool found = false;
    platform_modules_visit(read_module, &list);
    for (const struct module_code *module = list; module && !found; module = module->next) {
        found = address - module->range.start < module->range.end - module->range.start;
        *start = module->range.start;
        *size = module->range.end - module->range.start;
    }
    free_list(list);
    return found;
}

/* --- Rewriting. --- */

struct rewriting {
    struct segment_service *service;
    struct segue_rewrite_counts counts;
    /* Called outside handlers: it waits if a site is busy. */
    bool is_patient;
};

static enum segue_status change(const struct rewriting *rewriting, const struct segue_site *site)
{
    enum segue_status status = segment_change(rewriting->service, site, 0);
    /* The thread that found it busy has slept. */
    while (status == SEGUE_BUSY && rewriting->is_patient)
        status = segment_change(rewriting->service, site, 0);
    return status;
}

static enum segue_status rewrite_site(void *context, const struct segue_site *site)
{
    struct rewriting *rewriting = context;
    bool can_change = site->kind == SEGUE_SITE_ACCESS || site->kind == SEGUE_SITE_BASE;
    if (!segue_site_is_trusted(site))
        rewriting->counts.untrusted++;
    else if (!can_change)
        rewriting->counts.listed_only++;
    else if (change(rewriting, site) == SEGUE_OK)
        rewriting->counts.rewritten++;
    else
        rewriting->counts.failed++;
    return SEGUE_OK;
}

/* A scan takes more stack than a small alternate stack has. Sites that are not scanned for fault once each. False also
 * if the system refuses to say which stack is in use. */
static bool has_room(void)
{
    struct alternate_stack present;
    if (platform_stack_exchange(NULL, &present) != 0)
        return false;
    return !(present.flags & STACK_IN_USE) ||
           (uintptr_t)__builtin_frame_address(0) - (uintptr_t)present.lowest >= MODULES_SCAN_STACK;
}

void modules_rewrite(struct segment_service *service, uint64_t address)
{
    struct module_code *module = __atomic_load_n(&modules, __ATOMIC_ACQUIRE);
    while (module && address - module->code.address >= module->code.size)
        module = module->next;
    if (!module || !has_room() || __atomic_exchange_n(&module->taken, 1, __ATOMIC_ACQ_REL))
        return;
    struct rewriting rewriting = {.service = service};
    segue_segment_scan(&module->code, service->options.rewrite, rewrite_site, &rewriting);
}

static void scan_patiently(const struct segue_segment_code *code, struct rewriting *rewriting)
{
    uint64_t before = platform_asynchronous_hold();
    segue_segment_scan(code, rewriting->service->options.rewrite, rewrite_site, rewriting);
    platform_signals_release(before);
}

static enum segue_status finish(const struct rewriting *rewriting, struct segue_rewrite_counts *counts)
{
    if (counts)
        *counts = rewriting->counts;
    return rewriting->counts.failed ? SEGUE_UNSUPPORTED : SEGUE_OK;
}

enum segue_status segue_segment_rewrite_module(const void *address, struct segue_rewrite_counts *counts)
{
    struct rewriting rewriting = {.service = segment_in_force(), .is_patient = true};
    struct module_code *list = NULL;
    uint64_t at = (uint64_t)(uintptr_t)address;
    bool found = false;
    if (!rewriting.service)
        return SEGUE_NOT_FOUND;
    if (!modules_can_be_searched())
        return reason_give(SEGUE_UNSUPPORTED, "only 64-bit code is searched for sites");
    if (!platform_modules_visit(read_module, &list)) {
        free_list(list);
        return SEGUE_NO_MEMORY;
    }
    for (const struct module_code *module = list; module; module = module->next) {
        if (at - module->range.start >= module->range.end - module->range.start)
            continue;
        found = true;
        scan_patiently(&module->code, &rewriting);
    }
    free_list(list);
    return found ? finish(&rewriting, counts) : SEGUE_NOT_FOUND;
}

enum segue_status segue_segment_rewrite(const struct segue_segment_code *code, void *alias,
                                        struct segue_rewrite_counts *counts)
{
    struct rewriting rewriting = {.service = segment_in_force(), .is_patient = true};
    if (!code || !code->bytes)
        return reason_give(SEGUE_INVALID, "code or code.bytes is NULL");
    if (!RESERVED_IS_ZERO(code))
        return reason_give(SEGUE_INVALID, "code.reserved is not zero: was the struct initialised?");
    if (!rewriting.service)
        return SEGUE_NOT_FOUND;
    if (!modules_can_be_searched())
        return reason_give(SEGUE_UNSUPPORTED, "only 64-bit code is searched for sites");
    struct segue_segment_code whole = *code;
    struct segue_extent all = {code->address, code->address + code->size};
    if (!whole.function_count) {
        whole.functions = &all;
        whole.function_count = 1;
    }
    enum segue_status status = alias ? segue_patch_alias_add(code->address, code->size, alias) : SEGUE_OK;
    if (status != SEGUE_OK)
        return status;
    scan_patiently(&whole, &rewriting);
    if (alias)
        segue_patch_alias_remove(code->address);
    return finish(&rewriting, counts);
}
