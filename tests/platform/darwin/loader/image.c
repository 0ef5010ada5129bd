/* image.c: Mach-O files: mapped, rebased, bound, initialised. See loader.h. */
#define _GNU_SOURCE
#include "loader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096u
#define MAGIC 0xfeedfacfu

/* Load commands, and what is used of them. */
enum {
    COMMAND_SYMBOLS = 0x2,
    COMMAND_LIBRARY = 0xc,
    COMMAND_SEGMENT = 0x19,
    COMMAND_INFO = 0x80000022,
    COMMAND_MAIN = 0x80000028,
};
struct header {
    uint32_t magic, processor, kind, file_type, commands, commands_size, flags, reserved;
};
struct command {
    uint32_t kind, size;
};
struct segment {
    struct command command;
    char name[16];
    uint64_t address, size, offset, file_size;
    uint32_t most, protection, sections, flags;
};
struct section {
    char name[16], segment[16];
    uint64_t address, size;
    uint32_t offset, alignment, relocations, relocation_count, flags, reserved[3];
};
struct symbols {
    struct command command;
    uint32_t offset, count, strings, strings_size;
};
struct symbol {
    uint32_t name;
    uint8_t type, section;
    uint16_t description;
    uint64_t value;
};
struct info {
    struct command command;
    uint32_t rebase, rebase_size, bind, bind_size, weak, weak_size, lazy, lazy_size, exported, exported_size;
};
struct library {
    struct command command;
    uint32_t name, rest[3];
};
struct entry {
    struct command command;
    uint64_t offset, stack;
};

/* The types of sections. */
enum { SECTION_INITIALISERS = 0x9, SECTION_VARIABLES = 0x13, SECTION_TEMPLATE = 0x11, SECTION_ZEROES = 0x12 };

/* The opcodes of both streams: the upper half, with an immediate in the lower. */
enum {
    REBASE_TYPE = 0x10,
    REBASE_PLACE = 0x20,
    REBASE_ADD = 0x30,
    REBASE_ADD_SCALED = 0x40,
    REBASE_TIMES = 0x50,
    REBASE_COUNT = 0x60,
    REBASE_THEN_ADD = 0x70,
    REBASE_SKIPPING = 0x80
};
enum {
    BIND_LIBRARY = 0x10,
    BIND_LIBRARY_LONG = 0x20,
    BIND_LIBRARY_SPECIAL = 0x30,
    BIND_NAME = 0x40,
    BIND_TYPE = 0x50,
    BIND_ADDEND = 0x60,
    BIND_PLACE = 0x70,
    BIND_ADD = 0x80,
    BIND_ONE = 0x90,
    BIND_THEN_ADD = 0xa0,
    BIND_THEN_ADD_SCALED = 0xb0,
    BIND_SKIPPING = 0xc0
};
#define NAME_IS_WEAK 1u
#define SYMBOL_EXTERNAL 1u
#define SYMBOL_PRIVATE 0x10u
#define SYMBOL_KIND 0x0eu
#define SYMBOL_DEFINED 0x0eu

#define IMAGES 4
#define SEGMENTS 16
static struct image {
    const char *path;
    const uint8_t *file;
    uint8_t *base;
    /* The address that the file takes itself to be at. */
    uint64_t preferred;
    struct segment *segments[SEGMENTS];
    unsigned segment_count;
    const struct info *info;
    const struct symbols *symbols;
    const struct entry *entry;
    /* The initial content of thread-local storage. */
    const uint8_t *variables;
    uint64_t variables_size;
} images[IMAGES];
static unsigned image_count;

static const uint8_t *read_program(const char *path)
{
    const uint8_t *bytes = read_file(path);
    if (((const struct header *)(const void *)bytes)->magic != MAGIC)
        fail("%s is not a Mach-O file of 64 bits", path);
    return bytes;
}

#define EACH_COMMAND(image, at)                                                                                        \
    const struct command *at = (const void *)(image->file + sizeof(struct header)),                                    \
                         *end_ = (const void *)((const char *)at +                                                     \
                                                ((const struct header *)(const void *)image->file)->commands_size);    \
    at < end_;                                                                                                         \
    at = (const void *)((const char *)at + at->size)

static uint8_t *place_of(const struct image *image, uint64_t address)
{
    return image->base + (address - image->preferred);
}

static void map_segments(struct image *image)
{
    uint64_t low = UINT64_MAX, high = 0;
    for (unsigned i = 0; i < image->segment_count; i++) {
        const struct segment *segment = image->segments[i];
        if (!segment->most)
            continue;
        low = segment->address < low ? segment->address : low;
        high = segment->address + segment->size > high ? segment->address + segment->size : high;
    }
    image->preferred = low;
    image->base = mmap(NULL, high - low, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (image->base == MAP_FAILED)
        fail("%s: no memory", image->path);
    for (unsigned i = 0; i < image->segment_count; i++) {
        const struct segment *segment = image->segments[i];
        if (!segment->most)
            continue;
        mprotect(place_of(image, segment->address), segment->size, PROT_READ | PROT_WRITE);
        memcpy(place_of(image, segment->address), image->file + segment->offset, segment->file_size);
    }
}

static void protect_segments(const struct image *image)
{
    for (unsigned i = 0; i < image->segment_count; i++)
        if (image->segments[i]->most)
            mprotect(place_of(image, image->segments[i]->address), image->segments[i]->size,
                     (int)image->segments[i]->protection);
}

static struct image *load(const char *path);

/* The libraries of the system are the loader itself; others are beside the program. */
static void load_libraries(const struct image *image)
{
    for (EACH_COMMAND(image, at)) {
        if (at->kind != COMMAND_LIBRARY)
            continue;
        const char *name = (const char *)at + ((const struct library *)at)->name, *last = strrchr(name, '/');
        char path[4096];
        if (strncmp(name, "/usr/lib/", 9) == 0)
            continue;
        const char *folder_end = strrchr(images[0].path, '/');
        int length = folder_end ? (int)(folder_end - images[0].path) : 1;
        snprintf(path, sizeof path, "%.*s/%s", length, folder_end ? images[0].path : ".", last ? last + 1 : name);
        if (access(path, R_OK) != 0) /* as it is built: the program's folder is below the library's */
            snprintf(path, sizeof path, "%.*s/%s/%s", length, images[0].path, getenv("LOADER_LIBRARIES") ?: "..",
                     last ? last + 1 : name);
        load(strdup(path));
    }
}

static struct image *load(const char *path)
{
    for (unsigned i = 0; i < image_count; i++)
        if (strcmp(images[i].path, path) == 0)
            return &images[i];
    if (image_count == IMAGES)
        fail("too many libraries");
    struct image *image = &images[image_count++];
    image->path = path;
    image->file = read_program(path);
    for (EACH_COMMAND(image, at)) {
        if (at->kind == COMMAND_SEGMENT && image->segment_count < SEGMENTS)
            image->segments[image->segment_count++] = (struct segment *)(uintptr_t)at;
        else if (at->kind == COMMAND_INFO)
            image->info = (const void *)at;
        else if (at->kind == COMMAND_SYMBOLS)
            image->symbols = (const void *)at;
        else if (at->kind == COMMAND_MAIN)
            image->entry = (const void *)at;
    }
    if (!image->info)
        fail("%s has no LC_DYLD_INFO", path);
    map_segments(image);
    load_libraries(image);
    return image;
}

/* ---- addresses ---- */

static uint64_t read_number(const uint8_t **at)
{
    uint64_t number = 0;
    for (unsigned shift = 0;; shift += 7) {
        uint8_t byte = *(*at)++;
        number |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return number;
    }
}

static void rebase(const struct image *image)
{
    const uint8_t *at = image->file + image->info->rebase, *end = at + image->info->rebase_size;
    uint8_t *place = NULL;
    uint64_t count, skip;
    while (at < end) {
        uint8_t opcode = *at & 0xf0, immediate = *at & 0x0f;
        at++;
        count = skip = 0;
        switch (opcode) {
        case 0:
            return;
        case REBASE_TYPE:
            break;
        case REBASE_PLACE:
            place = place_of(image, image->segments[immediate]->address + read_number(&at));
            break;
        case REBASE_ADD:
            place += read_number(&at);
            break;
        case REBASE_ADD_SCALED:
            place += immediate * 8u;
            break;
        case REBASE_TIMES:
            count = immediate;
            break;
        case REBASE_COUNT:
            count = read_number(&at);
            break;
        case REBASE_THEN_ADD:
            count = 1;
            skip = read_number(&at);
            break;
        case REBASE_SKIPPING:
            count = read_number(&at);
            skip = read_number(&at);
            break;
        default:
            fail("%s: rebase opcode %#x", image->path, opcode);
        }
        for (; count; count--, place += 8 + skip)
            *(uint64_t *)(void *)place += (uint64_t)image->base - image->preferred;
    }
}

/* A symbol that a library defines; the name has its underscore. */
static void *find_exported(const char *name)
{
    for (unsigned i = 0; i < image_count; i++) {
        const struct image *image = &images[i];
        const struct symbol *symbols = (const void *)(image->file + image->symbols->offset);
        for (uint32_t j = 0; j < image->symbols->count; j++)
            if ((symbols[j].type & (SYMBOL_EXTERNAL | SYMBOL_PRIVATE)) == SYMBOL_EXTERNAL &&
                (symbols[j].type & SYMBOL_KIND) == SYMBOL_DEFINED &&
                strcmp((const char *)image->file + image->symbols->strings + symbols[j].name, name) == 0)
                return place_of(image, symbols[j].value);
    }
    return NULL;
}

static void *find(const char *name, bool is_weak)
{
    void *found = find_exported(name);
    if (!found)
        found = import_find(name[0] == '_' ? name + 1 : name);
    if (!found && !is_weak)
        fail("%s is not known", name);
    return found;
}

static void bind(const struct image *image, uint32_t offset, uint32_t size, bool is_lazy)
{
    const uint8_t *at = image->file + offset, *end = at + size;
    uint8_t *place = NULL;
    const char *name = NULL;
    uint64_t count, skip, addend = 0;
    bool is_weak = false;
    while (at < end) {
        uint8_t opcode = *at & 0xf0, immediate = *at & 0x0f;
        at++;
        count = skip = 0;
        switch (opcode) {
        case 0:
            if (!is_lazy)
                return;
            break;
        case BIND_LIBRARY:
        case BIND_LIBRARY_SPECIAL:
        case BIND_TYPE:
            break;
        case BIND_LIBRARY_LONG:
            read_number(&at);
            break;
        case BIND_NAME:
            name = (const char *)at;
            is_weak = immediate & NAME_IS_WEAK;
            at += strlen(name) + 1;
            break;
        case BIND_ADDEND:
            addend = read_number(&at);
            break;
        case BIND_PLACE:
            place = place_of(image, image->segments[immediate]->address + read_number(&at));
            break;
        case BIND_ADD:
            place += read_number(&at);
            break;
        case BIND_ONE:
            count = 1;
            break;
        case BIND_THEN_ADD:
            count = 1;
            skip = read_number(&at);
            break;
        case BIND_THEN_ADD_SCALED:
            count = 1;
            skip = immediate * 8u;
            break;
        case BIND_SKIPPING:
            count = read_number(&at);
            skip = read_number(&at);
            break;
        default:
            fail("%s: bind opcode %#x", image->path, opcode);
        }
        for (; count; count--, place += 8 + skip) {
            void *found = find(name, is_weak);
            *(uint64_t *)(void *)place = found ? (uint64_t)found + addend : 0;
        }
    }
}

/* ---- sections ---- */

#define EACH_SECTION(image, section)                                                                                   \
    unsigned i_ = 0, j_ = 0;                                                                                           \
    i_ < image->segment_count;                                                                                         \
    j_ + 1 < image->segments[i_]->sections ? j_++ : (i_++, j_ = 0)

static const struct section *section_at(const struct image *image, unsigned i, unsigned j)
{
    const struct segment *segment = image->segments[i];
    return j < segment->sections ? (const struct section *)(const void *)(segment + 1) + j : NULL;
}

static void prepare_variables(struct image *image, uint64_t number)
{
    uint64_t low = UINT64_MAX, high = 0;
    for (EACH_SECTION(image, section)) {
        const struct section *section = section_at(image, i_, j_);
        uint8_t type = section ? section->flags & 0xff : 0;
        if (type == SECTION_TEMPLATE || type == SECTION_ZEROES) {
            low = section->address < low ? section->address : low;
            high = section->address + section->size > high ? section->address + section->size : high;
        }
        if (type != SECTION_VARIABLES)
            continue;
        uint64_t *descriptor = (void *)place_of(image, section->address);
        for (uint64_t at = 0; at < section->size; at += 24, descriptor += 3) {
            descriptor[0] = (uint64_t)(uintptr_t)loader_variable;
            descriptor[1] = number;
        }
    }
    if (low < high) {
        image->variables = place_of(image, low);
        image->variables_size = high - low;
    }
}

/* The number is that of a key, among those that the system keeps for itself. */
void *image_thread_storage(uint64_t number)
{
    struct thread *self = thread_self();
    if (self->handlers)
        fail("thread-local storage is allocated in a handler");
    const struct image *image = &images[number - 1];
    void *storage = aligned_alloc(64, (image->variables_size + 63) / 64 * 64);
    memcpy(storage, image->variables, image->variables_size);
    self->keys[number] = storage;
    return storage;
}

bool image_is_constant(uint64_t address)
{
    for (unsigned i = 0; i < image_count; i++)
        for (unsigned j = 0; j < images[i].segment_count; j++) {
            const struct segment *segment = images[i].segments[j];
            uint64_t base = (uint64_t)(uintptr_t)place_of(&images[i], segment->address);
            if (segment->most && address - base < segment->size)
                return !(segment->protection & PROT_WRITE);
        }
    return false;
}

typedef void initialiser(int argc, char **argv, char **environment, char **apple, void *variables);

static void initialise(const struct image *image, int argc, char **argv)
{
    for (EACH_SECTION(image, section)) {
        const struct section *section = section_at(image, i_, j_);
        if (!section || (section->flags & 0xff) != SECTION_INITIALISERS)
            continue;
        initialiser **functions = (void *)place_of(image, section->address);
        for (uint64_t i = 0; i < section->size / 8; i++)
            functions[i](argc, argv, environ, NULL, NULL);
    }
}

program_main *image_load(const char *path, int argc, char **argv)
{
    struct image *program = load(path);
    for (unsigned i = 0; i < image_count; i++) {
        struct image *image = &images[i];
        rebase(image);
        bind(image, image->info->bind, image->info->bind_size, false);
        bind(image, image->info->lazy, image->info->lazy_size, true);
        prepare_variables(image, i + 1);
        protect_segments(image);
    }
    for (unsigned i = image_count; i-- > 0;)
        initialise(&images[i], argc, argv);
    if (!program->entry)
        fail("%s has no LC_MAIN", path);
    return (program_main *)(uintptr_t)(program->base + program->entry->offset);
}
