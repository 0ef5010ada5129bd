/* modules_linux.c: the program's modules, by dl_iterate_phdr. Read outside handlers into a list that handlers use.
 *
 * SOURCES: dl_iterate_phdr(3). ASSUMPTIONS: a module that is in the list is still mapped where one of its instructions
 * has just faulted; who unloads a module tells us before another can take its place (segue_segment_modules). */
#if !defined(__linux__)
#error "modules_linux.c is specific to Linux"
#endif

#include "modules.h"

#include <link.h>
#include <segue/patch.h>
#include <signal.h>
#include <stdlib.h>

#include "platform/asynchronous.h"
#include "platform/linux/call_x86_64.h"
#include "patch/scan/unwind.h"

/* A segment with code, and the functions in it. */
struct module_code {
    struct module_code *next;
    struct segue_segment_code code;
    struct segue_extent *functions;
    /* All of the module. */
    struct segue_extent range;
    /* Handed to the one who rewrites it. */
    uint32_t taken;
};

static struct module_code *modules;

/* --- Reading. --- */

static struct segue_extent range_of(const struct dl_phdr_info *info)
{
    struct segue_extent range = {UINT64_MAX, 0};
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        uint64_t start = info->dlpi_addr + segment->p_vaddr, end = start + segment->p_memsz;
        if (segment->p_type != PT_LOAD)
            continue;
        range.start = start < range.start ? start : range.start;
        range.end = end > range.end ? end : range.end;
    }
    return range;
}

/* The functions of a module, in memory of their own; NULL if it has no table. */
static struct segue_extent *functions_of(const struct dl_phdr_info *info, size_t *count)
{
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        const uint8_t *header = (const uint8_t *)(uintptr_t)(info->dlpi_addr + segment->p_vaddr);
        if (segment->p_type != PT_GNU_EH_FRAME)
            continue;
        *count = unwind_functions(header, segment->p_memsz, range_of(info), NULL, 0);
        struct segue_extent *functions = *count ? malloc(*count * sizeof *functions) : NULL;
        if (functions)
            unwind_functions(header, segment->p_memsz, range_of(info), functions, *count);
        return functions;
    }
    return NULL;
}

/* The functions that begin in a segment. */
static void select_functions(struct module_code *module, const struct segue_extent *functions, size_t count)
{
    size_t held = 0;
    for (size_t i = 0; i < count; i++)
        if (functions[i].start - module->code.address < module->code.size)
            module->functions[held++] = functions[i];
    module->code.functions = module->functions;
    module->code.function_count = held;
}

static struct module_code *read_segment(const struct dl_phdr_info *info, const ElfW(Phdr) * segment,
                                        const struct segue_extent *functions, size_t count)
{
    struct module_code *module = calloc(1, sizeof *module);
    if (!module)
        return NULL;
    module->functions = malloc(count * sizeof *functions);
    if (!module->functions) {
        free(module);
        return NULL;
    }
    module->range = range_of(info);
    module->code.address = info->dlpi_addr + segment->p_vaddr;
    module->code.bytes = (const uint8_t *)(uintptr_t)module->code.address;
    module->code.size = segment->p_filesz;
    select_functions(module, functions, count);
    return module;
}

/* Adds a module's code to the list that `context` leads to. Returns nonzero when memory has run out. */
static int read_module(struct dl_phdr_info *info, size_t size, void *context)
{
    struct module_code **list = context;
    size_t count = 0;
    struct segue_extent *functions = functions_of(info, &count);
    int failed = count && !functions;
    (void)size;
    for (int i = 0; functions && !failed && i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        if (segment->p_type != PT_LOAD || !(segment->p_flags & PF_X) || !(segment->p_flags & PF_R))
            continue;
        struct module_code *module = read_segment(info, segment, functions, count);
        failed = !module;
        if (module) {
            module->next = *list;
            *list = module;
        }
    }
    free(functions);
    return failed;
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

/* A handler may be walking the old list: it is kept until the end of the service. */
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
    if (dl_iterate_phdr(read_module, &list) != 0) {
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
    dl_iterate_phdr(read_module, &list);
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
    /* Outside handlers: what is busy is waited for. */
    bool is_patient;
};

static enum segue_status change(const struct rewriting *rewriting, const struct segue_site *site)
{
    enum segue_status status = segment_change(rewriting->service, site, 0);
    /* Whoever found it busy has slept. */
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
        rewriting->counts.told++;
    else if (change(rewriting, site) == SEGUE_OK)
        rewriting->counts.rewritten++;
    else
        rewriting->counts.failed++;
    return SEGUE_OK;
}

/* A scan takes more stack than a small alternate one has. What it would have found faults once each. */
static bool has_room(void)
{
    stack_t present;
    if (system_call3(SYS_sigaltstack, 0, (long)&present, 0) != 0)
        return false;
    return !(present.ss_flags & SS_ONSTACK) ||
           (uintptr_t)__builtin_frame_address(0) - (uintptr_t)present.ss_sp >= MODULES_SCAN_STACK;
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
    sigset_t before;
    asynchronous_block(&before);
    segue_segment_scan(code, rewriting->service->options.rewrite, rewrite_site, rewriting);
    asynchronous_put_back(&before);
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
    if (dl_iterate_phdr(read_module, &list) != 0) {
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
        return SEGUE_INVALID;
    if (!rewriting.service)
        return SEGUE_NOT_FOUND;
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
