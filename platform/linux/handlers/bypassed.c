/* bypassed.c: whether a program goes past libsegue-sigchain.so, of which this is a part (platform/handlers/sigchain.h).
 *
 * SOURCES: Go's runtime/cgo/gcc_sigaction.c, runtime/sys_linux_amd64.s, cmd/internal/buildid. */
#if !defined(__linux__)
#error "platform/linux/handlers/bypassed.c is specific to Linux"
#endif

#include "platform/handlers/sigchain.h"

#include <elf.h>
#include <link.h>
#include <stddef.h>
#include <string.h>

/* A note of the program's that Go's linker writes: its build ID. */
#define NOTE_OF_GO 4

static size_t aligned(size_t size, size_t alignment)
{
    return (size + alignment - 1) & ~(alignment - 1);
}

static bool has_note_of_go(const char *notes, size_t size, size_t alignment)
{
    ElfW(Nhdr) note;
    for (size_t at = 0; at + sizeof note <= size;) {
        memcpy(&note, notes + at, sizeof note);
        size_t description = aligned(at + sizeof note + note.n_namesz, alignment);
        if (note.n_type == NOTE_OF_GO && note.n_namesz == 4 && at + sizeof note + 4 <= size &&
            memcmp(notes + at + sizeof note, "Go\0", 4) == 0)
            return true;
        at = aligned(description + note.n_descsz, alignment);
    }
    return false;
}

/* The first object is the program. */
static int look_for_go(struct dl_phdr_info *object, size_t size, void *found)
{
    (void)size;
    for (size_t i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &object->dlpi_phdr[i];
        if (header->p_type == PT_NOTE && has_note_of_go((const char *)(uintptr_t)(object->dlpi_addr + header->p_vaddr),
                                                        header->p_memsz, header->p_align == 8 ? 8 : 4))
            *(bool *)found = true;
    }
    return 1;
}

sigchain_is_bypassed segue_sigchain_is_bypassed __attribute__((visibility("default")));

/* Go with cgo calls sigaction, and makes rt_sigprocmask and sigaltstack itself. */
bool segue_sigchain_is_bypassed(void)
{
    bool found = false;
    dl_iterate_phdr(look_for_go, &found);
    return found;
}
