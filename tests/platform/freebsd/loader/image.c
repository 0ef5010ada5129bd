/* image.c: ELF files: mapped, relocated, bound, initialised. See loader.h. */
#define _GNU_SOURCE
#include "loader.h"

#include <elf.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__x86_64__)
#define MACHINE EM_X86_64
#define RELOCATIONS DT_RELA
#define RELOCATIONS_SIZE DT_RELASZ
typedef Elf64_Rela relocation;
#define KIND(info) ELF64_R_TYPE(info)
#define SYMBOL(info) ELF64_R_SYM(info)
#define ADDEND(of, place) ((void)(place), (uintptr_t)(of)->r_addend)
enum { WORD = R_X86_64_64, GOT = R_X86_64_GLOB_DAT, SLOT = R_X86_64_JUMP_SLOT, BASE = R_X86_64_RELATIVE };
enum { LOCAL = R_X86_64_TPOFF64 };
#else
#define MACHINE EM_386
#define RELOCATIONS DT_REL
#define RELOCATIONS_SIZE DT_RELSZ
typedef Elf32_Rel relocation;
#define KIND(info) ELF32_R_TYPE(info)
#define SYMBOL(info) ELF32_R_SYM(info)
#define ADDEND(of, place) ((void)(of), *(place))
enum { WORD = R_386_32, GOT = R_386_GLOB_DAT, SLOT = R_386_JMP_SLOT, BASE = R_386_RELATIVE, LOCAL = R_386_TLS_TPOFF };
#endif

#define PAGE 4096u
#define IMAGES 4
static struct image {
    const char *path;
    const uint8_t *file;
    uintptr_t base;
    const ElfW(Dyn) * dynamic;
    const ElfW(Sym) * symbols;
    size_t symbol_count;
    const char *strings;
    /* Thread-local storage: the initial content, and the distance from the thread pointer down to it. */
    const void *variables;
    size_t variables_size;
    uintptr_t variables_offset;
} images[IMAGES];
static unsigned image_count;
static uintptr_t variables_end;

__thread struct locals locals __attribute__((aligned(64), tls_model("local-exec")));
_Static_assert(sizeof locals % 64 == 0, "it ends at the thread pointer");

static const uint8_t *read_program(const char *path)
{
    const uint8_t *bytes = read_file(path);
    if (memcmp(bytes, ELFMAG, SELFMAG) != 0 || bytes[EI_OSABI] != ELFOSABI_FREEBSD ||
        ((const ElfW(Ehdr) *)(const void *)bytes)->e_machine != MACHINE)
        fail("%s is not a file for FreeBSD on this processor", path);
    return bytes;
}

static const ElfW(Ehdr) * header_of(const struct image *image)
{
    return (const void *)image->file;
}

static const ElfW(Phdr) * segments_of(const struct image *image)
{
    return (const void *)(image->file + header_of(image)->e_phoff);
}

static const ElfW(Dyn) * find_dynamic(const struct image *image, ElfW(Sxword) tag)
{
    for (const ElfW(Dyn) *at = image->dynamic; at && at->d_tag != DT_NULL; at++)
        if ((ElfW(Sxword))at->d_tag == tag)
            return at;
    return NULL;
}

static void *dynamic_address(const struct image *image, ElfW(Sxword) tag)
{
    const ElfW(Dyn) *found = find_dynamic(image, tag);
    return found ? (void *)(image->base + found->d_un.d_ptr) : NULL;
}

static size_t dynamic_size(const struct image *image, ElfW(Sxword) tag)
{
    const ElfW(Dyn) *found = find_dynamic(image, tag);
    return found ? found->d_un.d_val : 0;
}

static void map_segments(struct image *image)
{
    const ElfW(Phdr) *segment = segments_of(image), *end = segment + header_of(image)->e_phnum;
    uintptr_t high = 0;
    for (const ElfW(Phdr) *at = segment; at < end; at++)
        if (at->p_type == PT_LOAD && at->p_vaddr + at->p_memsz > high)
            high = at->p_vaddr + at->p_memsz;
    void *memory = mmap(NULL, high + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        fail("%s: no memory", image->path);
    image->base = (uintptr_t)memory;
    for (const ElfW(Phdr) *at = segment; at < end; at++) {
        if (at->p_type == PT_LOAD)
            memcpy((void *)(image->base + at->p_vaddr), image->file + at->p_offset, at->p_filesz);
        else if (at->p_type == PT_DYNAMIC)
            image->dynamic = (const void *)(image->base + at->p_vaddr);
        if (at->p_type != PT_TLS)
            continue;
        variables_end = (variables_end + at->p_memsz + at->p_align - 1) & -at->p_align;
        image->variables = (const void *)(image->base + at->p_vaddr);
        image->variables_size = at->p_filesz;
        image->variables_offset = variables_end;
        if (variables_end > ROOM)
            fail("%s has more thread-local storage than there is room", image->path);
    }
}

static void protect_segments(const struct image *image)
{
    const ElfW(Phdr) *at = segments_of(image);
    for (unsigned i = 0; i < header_of(image)->e_phnum; i++, at++) {
        int access = (at->p_flags & PF_R ? PROT_READ : 0) | (at->p_flags & PF_W ? PROT_WRITE : 0);
        uintptr_t low = (image->base + at->p_vaddr) & -(uintptr_t)PAGE;
        access |= at->p_flags & PF_X ? PROT_EXEC : 0;
        if (at->p_type == PT_LOAD)
            mprotect((void *)low, image->base + at->p_vaddr + at->p_memsz - low, access);
    }
}

static void find_symbols(struct image *image)
{
    const ElfW(Shdr) *at = (const void *)(image->file + header_of(image)->e_shoff);
    for (unsigned i = 0; i < header_of(image)->e_shnum; i++, at++)
        if (at->sh_type == SHT_DYNSYM)
            image->symbol_count = at->sh_size / sizeof(ElfW(Sym));
    image->symbols = dynamic_address(image, DT_SYMTAB);
    image->strings = dynamic_address(image, DT_STRTAB);
    if (!image->symbols || !image->strings)
        fail("%s has no dynamic symbols", image->path);
}

static void load(const char *path);

/* The C library is the loader itself; others are beside the program, or where it was built. */
static void load_libraries(const struct image *image)
{
    for (const ElfW(Dyn) *at = image->dynamic; at->d_tag != DT_NULL; at++) {
        char path[4096];
        const char *name = image->strings + at->d_un.d_val, *last = strrchr(images[0].path, '/');
        int length = last ? (int)(last - images[0].path) : 1;
        if (at->d_tag != DT_NEEDED || strcmp(name, "libc.so.7") == 0)
            continue;
        snprintf(path, sizeof path, "%.*s/%s/%s", length, last ? images[0].path : ".",
                 getenv("LOADER_LIBRARIES") ?: ".", name);
        load(strdup(path));
    }
}

static void load(const char *path)
{
    for (unsigned i = 0; i < image_count; i++)
        if (strcmp(images[i].path, path) == 0)
            return;
    if (image_count == IMAGES)
        fail("too many libraries");
    struct image *image = &images[image_count++];
    image->path = path;
    image->file = read_program(path);
    map_segments(image);
    find_symbols(image);
    load_libraries(image);
}

/* ---- binding ---- */

static void *find_exported(const char *name, const struct image **in, const ElfW(Sym) * *symbol)
{
    for (unsigned i = 0; i < image_count; i++)
        for (size_t j = 1; j < images[i].symbol_count; j++) {
            const ElfW(Sym) *at = &images[i].symbols[j];
            if (at->st_shndx == SHN_UNDEF || strcmp(images[i].strings + at->st_name, name) != 0)
                continue;
            *in = &images[i];
            *symbol = at;
            return (void *)(images[i].base + at->st_value);
        }
    return NULL;
}

static uintptr_t address_of(const struct image *image, const ElfW(Sym) * symbol)
{
    const char *name = image->strings + symbol->st_name;
    const struct image *in;
    const ElfW(Sym) * definition;
    void *found = find_exported(name, &in, &definition);
    if (!found)
        found = import_find(name);
    if (!found && ELF32_ST_BIND(symbol->st_info) != STB_WEAK)
        fail("%s: %s is not known", image->path, name);
    return (uintptr_t)found;
}

/* From the thread pointer. */
static uintptr_t local_offset(const struct image *image, const ElfW(Sym) * symbol, size_t number)
{
    const struct image *in = image;
    const ElfW(Sym) *definition = symbol;
    if (number && symbol->st_shndx == SHN_UNDEF && !find_exported(image->strings + symbol->st_name, &in, &definition))
        fail("%s: %s is not known", image->path, image->strings + symbol->st_name);
    return (number ? definition->st_value : 0) - in->variables_offset;
}

static void relocate(const struct image *image, const relocation *at, size_t size)
{
    for (const relocation *end = at + size / sizeof *at; at && at < end; at++) {
        uintptr_t *place = (void *)(image->base + at->r_offset);
        const ElfW(Sym) *symbol = &image->symbols[SYMBOL(at->r_info)];
        switch (KIND(at->r_info)) {
        case BASE:
            *place = image->base + ADDEND(at, place);
            break;
        case WORD:
            *place = address_of(image, symbol) + ADDEND(at, place);
            break;
        case GOT:
        case SLOT:
            *place = address_of(image, symbol);
            break;
        case LOCAL:
            *place = local_offset(image, symbol, SYMBOL(at->r_info)) + ADDEND(at, place);
            break;
        default:
            fail("%s: relocation %u", image->path, (unsigned)KIND(at->r_info));
        }
    }
}

void image_begin_thread(void)
{
    char *end = (char *)&locals + sizeof locals;
    for (unsigned i = 0; i < image_count; i++)
        memcpy(end - images[i].variables_offset, images[i].variables, images[i].variables_size);
}

static void initialise(const struct image *image, int argc, char **argv)
{
    void (**functions)(int, char **, char **) = dynamic_address(image, DT_INIT_ARRAY);
    size_t count = dynamic_size(image, DT_INIT_ARRAYSZ) / sizeof *functions;
    for (size_t i = 0; i < count; i++)
        functions[i](argc, argv, environ);
}

program_main *image_load(const char *path, int argc, char **argv)
{
    load(path);
    for (unsigned i = 0; i < image_count; i++) {
        relocate(&images[i], dynamic_address(&images[i], RELOCATIONS), dynamic_size(&images[i], RELOCATIONS_SIZE));
        relocate(&images[i], dynamic_address(&images[i], DT_JMPREL), dynamic_size(&images[i], DT_PLTRELSZ));
        protect_segments(&images[i]);
    }
    image_begin_thread();
    for (unsigned i = image_count; i-- > 0;)
        initialise(&images[i], argc, argv);
    if (!header_of(&images[0])->e_entry)
        fail("%s has no entry", path);
    return (program_main *)(images[0].base + header_of(&images[0])->e_entry);
}
