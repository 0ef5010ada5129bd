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
    /* The file, as mappings have it, and where in it the code is. */
    uint64_t file, offset;
    /* The queue's first record that may be of this code. */
    uint64_t number;
    /* Has mapped it. */
    uint32_t process;
    uint32_t is_written;
    char path[LOADED_PATH];
};

struct loaded_list {
    uint32_t count;
    /* Of the code for which there was no place. */
    uint32_t lost;
    /* The program's; whether what its children map is wanted, too. */
    uint32_t process;
    uint32_t has_children;
    struct loaded_code code[LOADED_MOST];
};

/* From now on in this list, where only `has_children` is set, and which stays; NULL: in none. */
void loaded_use(struct loaded_list *list);
/* Whether there is one. General registers only; async-signal-safe. */
bool loaded_are_followed(void);

/* A call has mapped code there. Under the lock of adopt.h. */
void loaded_note(uint64_t start, uint64_t size);
/* One has, and it is not known where. Async-signal-safe. */
void loaded_miss(void);

static inline uint32_t loaded_count(const struct loaded_list *list)
{
    const uint32_t count = __atomic_load_n(&list->count, __ATOMIC_ACQUIRE);
    return count < LOADED_MOST ? count : LOADED_MOST;
}

/* What was mapped last at the address when that record was queued; NULL if nothing was. In the program: by itself; in a
 * child: by itself, else by the program, from which it may have it, else by another child. `process` 0: by any. */
static inline const struct loaded_code *loaded_find(const struct loaded_list *list, uint64_t address, uint64_t number,
                                                    uint32_t process)
{
    const struct loaded_code *found = NULL;
    for (uint32_t i = loaded_count(list); i-- > 0;) {
        const struct loaded_code *code = &list->code[i];
        if (!__atomic_load_n(&code->is_written, __ATOMIC_ACQUIRE) || address < code->start || address >= code->end ||
            code->number > number)
            continue;
        if (!process || code->process == process)
            return code;
        if (process != list->process && (!found || (code->process == list->process && found->process != list->process)))
            found = code;
    }
    return found;
}

#endif
