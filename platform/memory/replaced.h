/* replaced.h: whole pages of code that become others while threads execute them. */
#ifndef SEGUE_PLATFORM_REPLACED_H
#define SEGUE_PLATFORM_REPLACED_H

#include <segue/status.h>

/* Replaces pages of a file's code, in one private mapping that cannot be written, by pages with these bytes. A thread
 * that fetches an instruction of them meanwhile waits in the kernel, whatever signals it blocks: it executes an
 * instruction of before or one of after, and no page is in place until every processor has left the one of before.
 * Afterwards the pages are still the file's, but a mapping of their own. False, with nothing changed: what is mapped
 * there is not that, the file cannot be opened under its name, or the system does not allow it.
 *
 * One caller at a time; nothing else may be mapped there meanwhile. Async-signal-safe. */
bool code_pages_replace(uint64_t address, uint64_t size, const void *bytes);

#endif
