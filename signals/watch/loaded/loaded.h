/* loaded.h: which files' code the program maps while it is watched, for the library's own tool: an instruction is named
 * later, when its library may have been unloaded, and another one be at its addresses.
 *
 * The list is in memory that children made by fork and the reader of the queue share. */
#ifndef SEGUE_SIGNALS_WATCH_LOADED_H
#define SEGUE_SIGNALS_WATCH_LOADED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOADED_MOST 256u
#define LOADED_PATH 512u

struct loaded_code {
    uint64_t start, end;
    /* The file, as mappings_file_of has it, and where in it the code is. */
    uint64_t file, offset;
    /* The queue's first record that may be of this code. */
    uint64_t number;
    uint32_t is_written;
    char path[LOADED_PATH];
};

struct loaded_list {
    uint32_t count;
    /* Of the code for which there was no place. */
    uint32_t lost;
    struct loaded_code code[LOADED_MOST];
};

/* From now on in this list, zeroed, which stays; NULL: in none. */
void loaded_use(struct loaded_list *list);
/* Whether there is one. General registers only; async-signal-safe. */
bool loaded_are_followed(void);

/* A call has mapped code there. Under the lock of adopt.h. */
void loaded_note(uint64_t start, uint64_t size);
/* One has, and it is not known where. Async-signal-safe. */
void loaded_miss(void);

/* What was mapped last at the address when that record was queued; NULL if nothing was. */
static inline const struct loaded_code *loaded_find(const struct loaded_list *list, uint64_t address, uint64_t number)
{
    const uint32_t count = __atomic_load_n(&list->count, __ATOMIC_ACQUIRE);
    for (uint32_t i = count < LOADED_MOST ? count : LOADED_MOST; i-- > 0;) {
        const struct loaded_code *code = &list->code[i];
        if (__atomic_load_n(&code->is_written, __ATOMIC_ACQUIRE) && address >= code->start && address < code->end &&
            code->number <= number)
            return code;
    }
    return NULL;
}

#endif
