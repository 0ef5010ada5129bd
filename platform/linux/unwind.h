/* unwind.h: one piece of code that is shown (platform/unwind.h), as a module and as an ELF file in memory. */
#ifndef SEGUE_PLATFORM_LINUX_UNWIND_H
#define SEGUE_PLATFORM_LINUX_UNWIND_H

#if !defined(__linux__)
#error "platform/linux/unwind.h is specific to Linux"
#endif

#include <link.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/unwind.h"

/* An entry of the list that gdb reads. */
struct debugger_entry {
    struct debugger_entry *next, *previous;
    const void *file;
    uint64_t size;
};

enum { SHOWN_NONE, SHOWN_CODE, SHOWN_FRAMES, SHOWN_NAMES, SHOWN_SECTIONS };

struct shown {
    /* The file begins here. */
    Elf64_Ehdr file;
    Elf64_Shdr sections[SHOWN_SECTIONS];
    char names[32];
    /* .eh_frame_hdr: its encodings; .eh_frame, relative to this word; one entry, relative to the beginning. */
    struct {
        uint8_t version, frames_encoding, count_encoding, table_encoding;
        int32_t frames;
        uint32_t count;
        int32_t code, description;
    } index;
    /* The code, and .eh_frame_hdr. */
    Elf64_Phdr segments[2];
    uint64_t start, size;
    struct debugger_entry entry;
    struct shown *next;
};
_Static_assert(sizeof(struct shown) <= UNWIND_HEAD, "all of it is before the section");

/* Adds it to the list that debuggers read. Async-signal-safe; one caller at a time. */
void debugger_show(struct shown *shown, uint32_t size);

#endif
