/* module_linux.c: finds a module in the kernel's list of mappings: the mapping that holds the address, and the one
 * before it that shows the same file from its start, where the ELF header is.
 *
 * SOURCES: System V ABI, chapter 5 (program header); docs/patch.md (what is trusted). */
#include "module.h"

#include <elf.h>
#include <segue/segment.h>
#include <string.h>
#include <sys/mman.h>

#include "decode/x86/page.h"
#include "maps.h"
#include "patch/scan/unwind.h"
#include "tools/run/detours/code.h"
#include "tools/run/host/lock.h"
#include "tools/run/host/memory.h"
#include "tools/run/host/report.h"
#include "tools/run/start/start.h"
#include "tools/run/syscalls/call_linux_x86_64.h"
#include "tools/support/plural.h"

#define SEEN 1024
#define CODE_MAPPINGS 512
#define PROGRAM_HEADERS 64
/* This many faults in a mebibyte of code are many. */
#define MANY 1024

static struct segue_extent seen[SEEN];
static size_t seen_count;

/* ---- where it is ---- */

/* The mapping that holds the address, and the start of its file before it. */
static bool find(uint64_t address, struct mapping *code, uint64_t *header)
{
    struct maps maps;
    struct mapping first = {0};
    bool found = false;
    if (!maps_open(&maps))
        return false;
    while (!found && maps_next(&maps, code) && code->start <= address) {
        if (code->file && code->offset == 0)
            first = *code;
        found = address < code->end;
    }
    maps_close(&maps);
    *header = first.start;
    return found && code->file && first.file == code->file && (code->protection & PROT_EXEC) && !code->is_shared;
}

/* ---- one module ---- */

struct module {
    Elf64_Ehdr header;
    Elf64_Phdr segments[PROGRAM_HEADERS];
    uint64_t bias;
    struct segue_extent range;
};

static bool read_headers(uint64_t at, struct module *module)
{
    Elf64_Ehdr *header = &module->header;
    if (!memory_read_freely(header, at, sizeof *header) || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
        header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_phnum > PROGRAM_HEADERS ||
        header->e_phentsize != sizeof(Elf64_Phdr) ||
        !memory_read_freely(module->segments, at + header->e_phoff, header->e_phnum * sizeof(Elf64_Phdr)))
        return false;
    module->range = (struct segue_extent){UINT64_MAX, 0};
    bool found = false;
    for (unsigned i = 0; i < header->e_phnum; i++) {
        const Elf64_Phdr *segment = &module->segments[i];
        if (segment->p_type != PT_LOAD)
            continue;
        if (!found)
            module->bias = at - (segment->p_vaddr - segment->p_offset);
        found = true;
        uint64_t start = module->bias + segment->p_vaddr;
        module->range.start = start < module->range.start ? start : module->range.start;
        module->range.end = start + segment->p_memsz > module->range.end ? start + segment->p_memsz : module->range.end;
    }
    return found;
}

/* An unwind table, which may be missing although the file names it. */
struct table {
    const uint8_t *header;
    size_t size, count, capacity;
    const struct module *module;
    struct segue_extent *functions;
};

static void read_table(void *context)
{
    struct table *table = context;
    table->count =
        unwind_functions(table->header, table->size, table->module->range, table->functions, table->capacity);
}

/* The functions of the unwind table, in memory of their own, whose size is stored; NULL without any. */
static struct segue_extent *read_functions(const struct module *module, size_t *count, size_t *size)
{
    *count = *size = 0;
    for (unsigned i = 0; i < module->header.e_phnum; i++) {
        const Elf64_Phdr *segment = &module->segments[i];
        if (segment->p_type != PT_GNU_EH_FRAME)
            continue;
        struct table table = {
            .header = (const uint8_t *)(uintptr_t)(module->bias + segment->p_vaddr),
            .size = segment->p_memsz,
            .module = module,
        };
        if (!memory_try(read_table, &table) || table.count == 0)
            return NULL;
        table.capacity = table.count;
        *size = table.count * sizeof(struct segue_extent);
        long at = system_call6(SYS_mmap, 0, (long)*size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (at <= 0)
            return NULL;
        table.functions = (struct segue_extent *)at;
        if (memory_try(read_table, &table) && table.count <= table.capacity) {
            *count = table.count;
            return table.functions;
        }
        system_call3(SYS_munmap, at, (long)*size, 0);
        return NULL;
    }
    return NULL;
}

/* The part of `functions` that begins in the code. */
static void choose_functions(struct segue_segment_code *code, const struct segue_extent *functions, size_t count)
{
    size_t first = 0, last;
    while (first < count && functions[first].start < code->address)
        first++;
    for (last = first; last < count && functions[last].start < code->address + code->size; last++)
        continue;
    code->functions = functions + first;
    code->function_count = last - first;
}

struct rewriting {
    bool can_write;
    uint64_t rewritten, untrusted;
};

static enum segue_status rewrite_site(void *context, const struct segue_site *site)
{
    struct rewriting *rewriting = context;
    uint64_t address = site->address + site->index;
    if (!segue_site_is_trusted(site)) {
        rewriting->untrusted++;
    } else if (site->kind == SEGUE_SITE_ACCESS || site->kind == SEGUE_SITE_BASE) {
        bool done = rewriting->can_write;
        if (done)
            __atomic_store_n((uint8_t *)(uintptr_t)address, site->new_byte, __ATOMIC_RELEASE);
        else
            done = code_write(address, &site->new_byte, 1);
        rewriting->rewritten += done;
    }
    return SEGUE_OK;
}

/* All of the code is writable meanwhile, so that no site costs a system call. Other threads run on. */
static void rewrite_code(struct segue_segment_code *code, int protection)
{
    uint64_t start = code->address & -(uint64_t)PAGE, end = (code->address + code->size + PAGE - 1) & -(uint64_t)PAGE;
    /* Without functions, only the strict forms are trusted. */
    static const struct segue_extent none = {0, 0};
    static const struct segue_rewrite rewrite = {SEGUE_SEGMENT_FS, SEGUE_SEGMENT_GS};
    struct rewriting rewriting = {.can_write = protection & PROT_WRITE};
    if (!code->function_count) {
        code->functions = &none;
        code->function_count = 1;
    }
    if (!rewriting.can_write)
        rewriting.can_write =
            system_call3(SYS_mprotect, (long)start, (long)(end - start), protection | PROT_WRITE) == 0;
    segue_segment_scan(code, rewrite, rewrite_site, &rewriting);
    if (rewriting.can_write && !(protection & PROT_WRITE))
        system_call3(SYS_mprotect, (long)start, (long)(end - start), protection);
    count(&counters->sites_eager, rewriting.rewritten);
    count(&counters->untrusted, rewriting.untrusted);
    report_event("code at %x, %d byte%s: %d site%s rewritten, %d not trusted", code->address, (int64_t)code->size,
                 plural(code->size), (int64_t)rewriting.rewritten, plural(rewriting.rewritten),
                 (int64_t)rewriting.untrusted);
}

/* Finds the code of the segment in this mapping, without its functions. */
static bool find_code(const struct module *module, unsigned number, const struct mapping *mapping,
                      struct segue_segment_code *code)
{
    const Elf64_Phdr *segment = &module->segments[number];
    uint64_t start = module->bias + segment->p_vaddr, end = start + segment->p_filesz;
    if (segment->p_type != PT_LOAD || !(segment->p_flags & PF_X) || end <= mapping->start || start >= mapping->end)
        return false;
    *code = (struct segue_segment_code){.address = start > mapping->start ? start : mapping->start};
    code->size = (end < mapping->end ? end : mapping->end) - code->address;
    code->bytes = (const uint8_t *)(uintptr_t)code->address;
    return true;
}

static void rewrite_module(const struct module *module, const struct mapping *mapping)
{
    size_t functions_count, functions_size;
    struct segue_extent *functions = read_functions(module, &functions_count, &functions_size);
    for (unsigned i = 0; i < module->header.e_phnum; i++) {
        struct segue_segment_code code;
        if (!find_code(module, i, mapping, &code))
            continue;
        choose_functions(&code, functions, functions_count);
        rewrite_code(&code, mapping->protection);
    }
    if (functions)
        system_call3(SYS_munmap, (long)functions, (long)functions_size, 0);
    count(&counters->modules, 1);
}

/* Whether the mapping was seen before; notes it if not. Code that is mapped over it later is rewritten at its
 * faults. */
static bool was_seen(const struct mapping *mapping)
{
    for (size_t i = 0; i < seen_count; i++)
        if (seen[i].start == mapping->start && seen[i].end == mapping->end)
            return true;
    if (seen_count < SEEN)
        seen[seen_count++] = (struct segue_extent){mapping->start, mapping->end};
    return seen_count == SEEN;
}

static bool is_in_seen(uint64_t address)
{
    for (size_t i = 0; i < seen_count; i++)
        if (address - seen[i].start < seen[i].end - seen[i].start)
            return true;
    return false;
}

/* The host's own code counts as seen: its accesses are never rewritten. */
void module_prepare(void)
{
    uint64_t start = (uint64_t)(uintptr_t)start_code, end = (uint64_t)(uintptr_t)start_code_end;
    seen[seen_count++] = (struct segue_extent){start & -(uint64_t)PAGE, (end + PAGE - 1) & -(uint64_t)PAGE};
}

void module_rewrite(uint64_t address)
{
    struct mapping mapping = {0};
    struct module module;
    uint64_t header;
    lock_take();
    if (!is_in_seen(address) && find(address, &mapping, &header) && !was_seen(&mapping) &&
        read_headers(header, &module))
        rewrite_module(&module, &mapping);
    lock_release();
}

bool module_take_code(uint64_t address, struct segue_segment_code *code, struct module_code *kept)
{
    struct mapping mapping = {0};
    struct module module;
    uint64_t header;
    size_t count;
    bool found = false;
    if (!find(address, &mapping, &header) || !read_headers(header, &module))
        return false;
    kept->functions = read_functions(&module, &count, &kept->size);
    if (!kept->functions)
        return false;
    for (unsigned i = 0; i < module.header.e_phnum && !found; i++)
        found = find_code(&module, i, &mapping, code) && address - code->address < code->size;
    if (found)
        choose_functions(code, kept->functions, count);
    else
        module_give_code(kept);
    return found;
}

void module_give_code(const struct module_code *kept)
{
    system_call3(SYS_munmap, (long)kept->functions, (long)kept->size, 0);
}

/* The mappings are listed first: rewriting changes them. */
void module_rewrite_all(void)
{
    uint64_t code[CODE_MAPPINGS];
    size_t held = 0;
    struct mapping mapping;
    struct maps maps;
    lock_take();
    bool is_open = maps_open(&maps);
    while (is_open && held < CODE_MAPPINGS && maps_next(&maps, &mapping))
        if (mapping.file && (mapping.protection & PROT_EXEC) && code_is_loaded(mapping.start))
            code[held++] = mapping.start;
    if (is_open)
        maps_close(&maps);
    lock_release();
    for (size_t i = 0; i < held; i++)
        module_rewrite(code[i]);
}

/* Programs use few of the accesses that their modules have: bash 260 in all, of libc's 4,548. Rewriting those of libc
 * at once costs as much as some thousand faults. */
bool module_has_many_faults(uint64_t address)
{
    static uint32_t faults[256];
    return __atomic_add_fetch(&faults[(address >> 20) % 256], 1, __ATOMIC_RELAXED) >= MANY;
}
