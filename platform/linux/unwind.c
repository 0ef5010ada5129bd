/* unwind.c: see platform/unwind.h.
 *
 * libgcc's unwinder finds modules by _dl_find_object, the others and older ones by dl_iterate_phdr. Both are called
 * through words of the unwinder's own module, which are replaced; the program itself still calls the system's.
 *
 * SOURCES: glibc manual, "Dynamic Linker Introspection"; dl_iterate_phdr(3); LSB 5.0 core, 10.6.2 (.eh_frame_hdr);
 * ELF-64 Object File Format, 1.10 (relocations), 2.3 (dynamic section). */
#if !defined(__linux__)
#error "platform/linux/unwind.c is specific to Linux"
#endif

#include "unwind.h"

#include <dlfcn.h>
#include <string.h>

#include "decode/x86/page.h"
#include "platform/code.h"
#include "platform/memory/mappings.h"
#include "platform/memory/memory.h"

/* Encodings in .eh_frame_hdr. */
#define INDEX_VERSION 1
#define RELATIVE_TO_WORD_4 0x1b
#define UNSIGNED_4 0x03
#define RELATIVE_TO_INDEX_4 0x3b

/* glibc's result, since 2.35. */
struct found_object {
    unsigned long long flags;
    void *start, *end;
    struct link_map *map;
    void *index;
    unsigned long long reserved[7];
};

typedef int find_function(void *address, struct found_object *found);
typedef int iterate_function(int (*visit)(struct dl_phdr_info *info, size_t size, void *context), void *context);

/* The last one that is shown, and by `next` those before it. */
static struct shown *last;
static find_function *find_object;
static iterate_function *iterate;

/* ---- what unwinders call ---- */

static struct shown *shown_first(void)
{
    return __atomic_load_n(&last, __ATOMIC_ACQUIRE);
}

static int find_object_or_shown(void *address, struct found_object *found)
{
    for (struct shown *shown = shown_first(); shown; shown = shown->next) {
        if ((uint64_t)(uintptr_t)address - shown->start >= shown->size)
            continue;
        *found = (struct found_object){.start = (void *)(uintptr_t)shown->start,
                                       .end = (void *)(uintptr_t)(shown->start + shown->size),
                                       .index = &shown->index};
        return 0;
    }
    return find_object(address, found);
}

struct iteration {
    int (*visit)(struct dl_phdr_info *info, size_t size, void *context);
    void *context;
    bool has_begun;
};

/* Ours are visited with the first module, since visitors rely on the lock that is held then. */
static int visit_shown(const struct iteration *iteration, const struct dl_phdr_info *module, size_t size)
{
    for (struct shown *shown = shown_first(); shown; shown = shown->next) {
        struct dl_phdr_info info;
        memcpy(&info, module, size < sizeof info ? size : sizeof info);
        info.dlpi_addr = shown->start;
        info.dlpi_name = "";
        info.dlpi_phdr = shown->segments;
        info.dlpi_phnum = sizeof shown->segments / sizeof *shown->segments;
        int result = iteration->visit(&info, size, iteration->context);
        if (result)
            return result;
    }
    return 0;
}

static int visit_module(struct dl_phdr_info *info, size_t size, void *context)
{
    struct iteration *iteration = context;
    int result = 0;
    if (!iteration->has_begun)
        result = visit_shown(iteration, info, size);
    iteration->has_begun = true;
    return result ? result : iteration->visit(info, size, iteration->context);
}

static int iterate_with_shown(int (*visit)(struct dl_phdr_info *info, size_t size, void *context), void *context)
{
    struct iteration iteration = {visit, context, false};
    return iterate(visit_module, &iteration);
}

/* ---- unwinders ---- */

#define UNWINDERS 4u

struct search {
    /* Functions of unwinders. */
    const void *unwinders[UNWINDERS];
    /* The modules that were ever loaded. */
    unsigned long long loaded;
};

struct tables {
    uint64_t base;
    const Elf64_Sym *symbols;
    const char *names;
    const Elf64_Rela *relocations[2];
    size_t counts[2];
};

/* The dynamic section's addresses are relocated, except in modules that the system cannot write. */
static const void *table_at(const struct tables *tables, uint64_t address)
{
    return (const void *)(uintptr_t)(address < tables->base ? address + tables->base : address);
}

static void read_dynamic(struct tables *tables, const Elf64_Dyn *entry)
{
    for (; entry->d_tag != DT_NULL; entry++) {
        uint64_t value = entry->d_un.d_val;
        if (entry->d_tag == DT_SYMTAB)
            tables->symbols = table_at(tables, value);
        else if (entry->d_tag == DT_STRTAB)
            tables->names = table_at(tables, value);
        else if (entry->d_tag == DT_JMPREL)
            tables->relocations[0] = table_at(tables, value);
        else if (entry->d_tag == DT_PLTRELSZ)
            tables->counts[0] = value / sizeof(Elf64_Rela);
        else if (entry->d_tag == DT_RELA)
            tables->relocations[1] = table_at(tables, value);
        else if (entry->d_tag == DT_RELASZ)
            tables->counts[1] = value / sizeof(Elf64_Rela);
    }
}

/* The page keeps the protection that it has: the loader makes it read-only after a module is listed, and the program
 * may have made it writable. */
static void replace(uint64_t at, uint64_t function)
{
    struct mapping mapping;
    uint64_t page = at & -(uint64_t)PAGE;
    if (!mappings_find(at, &mapping))
        return;
    bool is_open = mapping.protection & PLATFORM_WRITE;
    if (!is_open && platform_protect(page, PAGE, mapping.protection | PLATFORM_WRITE) != 0)
        return;
    __atomic_store_n((uint64_t *)(uintptr_t)at, function, __ATOMIC_RELEASE);
    if (!is_open)
        platform_protect(page, PAGE, mapping.protection);
}

static void replace_all(const struct tables *tables, const char *name, uint64_t function)
{
    for (unsigned i = 0; i < 2; i++)
        for (size_t k = 0; tables->relocations[i] && k < tables->counts[i]; k++) {
            const Elf64_Rela *relocation = &tables->relocations[i][k];
            unsigned type = ELF64_R_TYPE(relocation->r_info);
            if (type != R_X86_64_JUMP_SLOT && type != R_X86_64_GLOB_DAT)
                continue;
            const Elf64_Sym *symbol = &tables->symbols[ELF64_R_SYM(relocation->r_info)];
            if (symbol->st_shndx == SHN_UNDEF && strcmp(tables->names + symbol->st_name, name) == 0)
                replace(tables->base + relocation->r_offset, function);
        }
}

static bool is_unwinder(const struct search *search, const struct dl_phdr_info *info)
{
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const Elf64_Phdr *segment = &info->dlpi_phdr[i];
        for (unsigned k = 0; segment->p_type == PT_LOAD && k < UNWINDERS; k++)
            if ((uint64_t)(uintptr_t)search->unwinders[k] - (info->dlpi_addr + segment->p_vaddr) < segment->p_memsz)
                return true;
    }
    return false;
}

static int prepare_module(struct dl_phdr_info *info, size_t size, void *context)
{
    const struct search *search = context;
    struct tables tables = {.base = info->dlpi_addr};
    const Elf64_Dyn *dynamic = NULL;
    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const Elf64_Phdr *segment = &info->dlpi_phdr[i];
        if (segment->p_type == PT_DYNAMIC)
            dynamic = (const Elf64_Dyn *)(uintptr_t)(info->dlpi_addr + segment->p_vaddr);
    }
    if (!dynamic)
        return 0;
    read_dynamic(&tables, dynamic);
    if (!tables.symbols || !tables.names)
        return 0;
    if (find_object)
        replace_all(&tables, "_dl_find_object", (uint64_t)(uintptr_t)find_object_or_shown);
    if (iterate && is_unwinder(search, info))
        replace_all(&tables, "dl_iterate_phdr", (uint64_t)(uintptr_t)iterate_with_shown);
    return 0;
}

static int read_loaded(struct dl_phdr_info *info, size_t size, void *context)
{
    struct search *search = context;
    if (size >= offsetof(struct dl_phdr_info, dlpi_subs))
        search->loaded = info->dlpi_adds;
    return 1;
}

/* The C library loads libgcc itself, but only when it first unwinds. A static program cannot. */
static const void *load_libgcc(void)
{
    typedef void *open_function(const char *name, int flags);
    void *found = platform_symbol_find("dlopen");
    open_function *open;
    memcpy(&open, &found, sizeof open);
    void *libgcc = found ? open("libgcc_s.so.1", RTLD_NOW) : NULL;
    return libgcc ? dlsym(libgcc, "_Unwind_Backtrace") : NULL;
}

void platform_unwind_prepare(void)
{
    static unsigned long long loaded;
    struct search search = {{load_libgcc(), platform_symbol_find("_Unwind_Backtrace"),
                             platform_symbol_find("_U_dyn_register"), platform_symbol_find("__unw_init_local")},
                            0};
    void *found = platform_symbol_find("_dl_find_object");
    dl_iterate_phdr(read_loaded, &search);
    if (search.loaded && __atomic_load_n(&loaded, __ATOMIC_ACQUIRE) == search.loaded)
        return;
    memcpy(&find_object, &found, sizeof find_object);
    found = platform_symbol_find("dl_iterate_phdr");
    memcpy(&iterate, &found, sizeof iterate);
    dl_iterate_phdr(prepare_module, &search);
    __atomic_store_n(&loaded, search.loaded, __ATOMIC_RELEASE);
}

/* ---- what is shown ---- */

void platform_unwind_show(uint64_t start, uint64_t size, void *image, uint32_t section, uint32_t description)
{
    struct shown *shown = image;
    uint64_t index = (uint64_t)(uintptr_t)&shown->index, frames = (uint64_t)(uintptr_t)image + UNWIND_HEAD;
    shown->start = start;
    shown->size = size;
    shown->index.version = INDEX_VERSION;
    shown->index.frames_encoding = RELATIVE_TO_WORD_4;
    shown->index.count_encoding = UNSIGNED_4;
    shown->index.table_encoding = RELATIVE_TO_INDEX_4;
    shown->index.frames = (int32_t)(frames - (uint64_t)(uintptr_t)&shown->index.frames);
    shown->index.count = 1;
    shown->index.code = (int32_t)(start - index);
    shown->index.description = (int32_t)(frames + description - index);
    shown->segments[0] = (Elf64_Phdr){.p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_memsz = size};
    shown->segments[1] = (Elf64_Phdr){
        .p_type = PT_GNU_EH_FRAME, .p_flags = PF_R, .p_vaddr = index - start, .p_memsz = sizeof shown->index};
    debugger_show(shown, UNWIND_HEAD + section);
    shown->next = last;
    __atomic_store_n(&last, shown, __ATOMIC_RELEASE);
}
