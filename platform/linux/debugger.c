/* debugger.c: shows code to gdb, which sets a breakpoint at a function, and reads a list when it stops there; or when
 * it attaches. It finds both by their names in the file's symbol table.
 *
 * SOURCES: GDB manual, "JIT Compilation Interface"; ELF-64 Object File Format, 1.5. */
#if !defined(__linux__)
#error "platform/linux/debugger.c is specific to Linux"
#endif

#include <string.h>

#include "unwind.h"

#define VERSION 1u
#define REGISTERED 1u

struct debugger_list {
    uint32_t version, action;
    struct debugger_entry *changed, *first;
};

/* Weak: a program that links another library with these names has one list. */
extern struct debugger_list __jit_debug_descriptor;
void __jit_debug_register_code(void);

__attribute__((weak)) struct debugger_list __jit_debug_descriptor = {.version = VERSION};

__attribute__((weak, noinline)) void __jit_debug_register_code(void)
{
    __asm__ volatile("" : : : "memory");
}

static const char names[] = "\0.text\0.eh_frame\0.shstrtab";
_Static_assert(sizeof names <= sizeof((struct shown *)NULL)->names, "the names fit");

enum { NAME_CODE = 1, NAME_FRAMES = 7, NAME_NAMES = 17 };

static void write_file(struct shown *shown, uint32_t size)
{
    memcpy(shown->names, names, sizeof names);
    shown->file = (Elf64_Ehdr){
        .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
        .e_type = ET_REL,
        .e_machine = EM_X86_64,
        .e_version = EV_CURRENT,
        .e_shoff = offsetof(struct shown, sections),
        .e_ehsize = sizeof shown->file,
        .e_shentsize = sizeof *shown->sections,
        .e_shnum = SHOWN_SECTIONS,
        .e_shstrndx = SHOWN_NAMES,
    };
    shown->sections[SHOWN_NONE] = (Elf64_Shdr){0};
    shown->sections[SHOWN_CODE] = (Elf64_Shdr){
        .sh_name = NAME_CODE,
        .sh_type = SHT_NOBITS,
        .sh_flags = SHF_ALLOC | SHF_EXECINSTR,
        .sh_addr = shown->start,
        .sh_size = shown->size,
        .sh_addralign = 1,
    };
    shown->sections[SHOWN_FRAMES] = (Elf64_Shdr){
        .sh_name = NAME_FRAMES,
        .sh_type = SHT_PROGBITS,
        .sh_flags = SHF_ALLOC,
        .sh_addr = (uint64_t)(uintptr_t)shown + UNWIND_HEAD,
        .sh_offset = UNWIND_HEAD,
        .sh_size = size - UNWIND_HEAD,
        .sh_addralign = 8,
    };
    shown->sections[SHOWN_NAMES] = (Elf64_Shdr){
        .sh_name = NAME_NAMES,
        .sh_type = SHT_STRTAB,
        .sh_offset = offsetof(struct shown, names),
        .sh_size = sizeof names,
        .sh_addralign = 1,
    };
}

void debugger_show(struct shown *shown, uint32_t size)
{
    struct debugger_list *list = &__jit_debug_descriptor;
    write_file(shown, size);
    shown->entry = (struct debugger_entry){.next = list->first, .file = shown, .size = size};
    if (list->first)
        list->first->previous = &shown->entry;
    __atomic_store_n(&list->first, &shown->entry, __ATOMIC_RELEASE);
    list->changed = &shown->entry;
    list->action = REGISTERED;
    __jit_debug_register_code();
}
