/* aliases.h: second mappings of code, through which it can be stored to (poke.h: poke_alias_add). */
#ifndef SEGUE_PATCH_ALIASES_H
#define SEGUE_PATCH_ALIASES_H

#include <segue/status.h>

/* As poke_alias_add and poke_alias_remove. */
enum segue_status aliases_add(uint64_t base, uint64_t size, void *alias);
enum segue_status aliases_remove(uint64_t base);

/* Where all of the bytes can be stored; NULL if there is no such alias. Async-signal-safe, thread-safe. */
char *alias_of(uint64_t address, size_t size);

void aliases_before_fork(void);
void aliases_after_fork(void);
void aliases_in_child(void);

#endif
