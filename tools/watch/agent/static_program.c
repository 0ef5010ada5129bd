/* static_program.c: see static_program.h. The program's C library makes its threads' blocks by a copy of the program's
 * header, whose template has room for the library's thread-local memory (signals/syscalls/pointers).
 *
 * SOURCES: System V ABI for x86-64, 3.4.1, 3.4.6; Drepper, "ELF handling for thread-local storage" (variant II); glibc
 * csu/libc-tls.c, musl src/env/__init_tls.c (both find the template by AT_PHDR, and copy it for each thread). */
#include "static_program.h"

#include <elf.h>
#include <link.h>
#include <pthread.h>
#include <segue/handler.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "platform/threads/identity.h"
#include "platform/threads/thread.h"
#include "signals/syscalls/pointers/pointers.h"

#define STACK_SIZE ((size_t)256 << 10)

static uint64_t address_of(const void *place)
{
    return (uint64_t)(uintptr_t)place;
}

static void *at(uint64_t address)
{
    return (void *)(uintptr_t)address;
}

/* ---- the library's thread-local memory ---- */

/* How far below the thread pointer it is. With `block`, the end of a new one: its initial values are copied there. */
struct own_memory {
    uint64_t high, low;
    char *block;
    unsigned modules;
};

static int look_at_module(struct dl_phdr_info *module, size_t size, void *context)
{
    struct own_memory *own = context;
    const uint64_t pointer = address_of(platform_thread_self());
    (void)size;
    /* The first is the program. */
    if (!own->modules++ || !module->dlpi_tls_data)
        return 0;
    const uint64_t distance = pointer - address_of(module->dlpi_tls_data);
    for (unsigned i = 0; i < module->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &module->dlpi_phdr[i];
        if (part->p_type != PT_TLS)
            continue;
        own->high = distance > own->high ? distance : own->high;
        own->low = distance - part->p_memsz < own->low ? distance - part->p_memsz : own->low;
        if (own->block)
            memcpy(own->block - distance, at(module->dlpi_addr + part->p_vaddr), part->p_filesz);
    }
    return 0;
}

static struct own_memory find_own_memory(char *block)
{
    struct own_memory own = {.low = UINT64_MAX, .block = block};
    dl_iterate_phdr(look_at_module, &own);
    return own;
}

/* ---- the program's header ---- */

static Elf64_Phdr *find_part(Elf64_Phdr *header, uint64_t count, uint32_t type)
{
    for (uint64_t i = 0; i < count; i++)
        if (header[i].p_type == type)
            return &header[i];
    return NULL;
}

/* The program's template behind the library's. `room`: for the header, and behind it for the template. */
static void make_template(const struct static_program *program, Elf64_Phdr *part, char *template,
                          struct block_layout *layout)
{
    const void *from = at(program->bias + part->p_vaddr);
    char *end = template + layout->size;
    find_own_memory(end);
    memcpy(template, layout->mark, sizeof layout->mark);
    layout->values = static_values(part->p_memsz, part->p_align);
    layout->from = from;
    layout->to = end - layout->values;
    layout->count = part->p_filesz;
    memcpy(layout->to, from, layout->count);
    *part = (Elf64_Phdr){.p_type = PT_TLS,
                         .p_flags = part->p_flags,
                         .p_vaddr = address_of(template) - program->bias,
                         .p_paddr = address_of(template) - program->bias,
                         .p_filesz = layout->size - layout->values + layout->count,
                         .p_memsz = layout->size,
                         .p_align = static_alignment(part->p_align)};
}

static bool make_header(const struct static_program *program, struct block_layout *layout)
{
    const size_t length = static_round(program->header_count * sizeof(Elf64_Phdr), STATIC_ALIGNMENT);
    Elf64_Phdr *own = at(program->header), *part = find_part(own, program->header_count, PT_TLS);
    const uint64_t alignment = static_alignment(part ? part->p_align : 1);
    layout->size = static_round(layout->high + sizeof layout->mark, alignment);
    char *room =
        mmap(NULL, length + alignment + layout->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (room == MAP_FAILED)
        return false;
    Elf64_Phdr *header = (Elf64_Phdr *)(void *)room;
    memcpy(header, own, program->header_count * sizeof *header);
    if (part && static_values(part->p_memsz, part->p_align) <= layout->low)
        make_template(program, find_part(header, program->header_count, PT_TLS),
                      at(static_round(address_of(room) + length, alignment)), layout);
    Elf64_Phdr *self = find_part(header, program->header_count, PT_PHDR);
    if (self)
        self->p_vaddr = self->p_paddr = address_of(header) - program->bias;
    const uint64_t address = address_of(header);
    memcpy(at(program->header_value), &address, sizeof address);
    return true;
}

/* ---- the C library of the library ---- */

static void *end_at_once(void *unused)
{
    return unused;
}

/* A C library whose pthread_create was never called takes its locks as if there were one thread. */
static bool is_for_threads(void)
{
    pthread_t thread;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_SIZE);
    const bool is_made = pthread_create(&thread, &attributes, end_at_once, NULL) == 0;
    pthread_attr_destroy(&attributes);
    return is_made && pthread_join(thread, NULL) == 0;
}

bool static_prepare(const struct static_program *program, const char **reason)
{
    const struct own_memory own = find_own_memory(NULL);
    struct block_layout layout = {.high = own.high, .low = own.low};
    *reason = "there is no memory for its threads";
    if (getrandom(layout.mark, sizeof layout.mark, 0) != (ssize_t)sizeof layout.mark || !is_for_threads() ||
        !make_header(program, &layout))
        return false;
    pointers_use(&layout);
    return true;
}

void static_ready(void)
{
    identity_of_others();
}

/* Without the library's alternate stack, as its threads are. */
void static_begin(const struct static_program *program)
{
    segue_thread_detach();
    static_enter(program->entry, program->stack);
}
