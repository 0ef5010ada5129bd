/* footprint.c: reads /proc/self/smaps. A page's share (Pss) is its size over how often it is mapped, so that the shares
 * of all of its mappings add up to the page.
 *
 * SOURCES: proc(5). */
#include "footprint.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "examples/console/console.h"

#define KIB 1024u

static bool lies_in(uint64_t start, const void *view, size_t size)
{
    return start - (uint64_t)(uintptr_t)view < size;
}

struct footprint footprint_read(const struct segue_mapping *watched)
{
    struct footprint found = {.mappings = 0};
    bool counts = false;
    char line[4352], access[5];
    uint64_t start, end, size;
    FILE *file = fopen("/proc/self/smaps", "r");
    if (!file)
        console_die(1, "cannot open /proc/self/smaps: %m");
    while (fgets(line, sizeof line, file)) {
        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s", &start, &end, access) == 3) {
            found.mappings++;
            counts = access[3] == 's' && !lies_in(start, watched->memory, watched->size) &&
                     !lies_in(start, watched->alias, watched->size);
        } else if (counts && sscanf(line, "Pss: %" SCNu64 " kB", &size) == 1) {
            found.shared += size * KIB;
        }
    }
    fclose(file);
    return found;
}
