/* budget.h: how much code may be in memory at once, whatever the number of threads: 64 MiB, or one section that
 * is larger. */
#ifndef SEGUE_TOOLS_PATCH_BUDGET_H
#define SEGUE_TOOLS_PATCH_BUDGET_H

#include <stdint.h>

/* Waits until there is room. A thread takes one share at a time. */
void budget_take(uint64_t size);
void budget_give_back(uint64_t size);

#endif
