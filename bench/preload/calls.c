/* calls.c: to be preloaded: catches the program's system calls, with one closed region that the program does not
 * know. With CALL_SITES in the environment: by call sites that are replaced, if there is no dispatch. */
#include <segue/segue.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

__attribute__((constructor)) static void begin(void)
{
    const struct segue_options options = {.flags = SEGUE_INSTALL_SYSTEM_CALLS |
                                                   (getenv("CALL_SITES") ? SEGUE_INSTALL_CALL_SITES : 0)};
    struct segue_mapping mapping;
    if (segue_install(&options) != SEGUE_OK)
        abort();
    if (segue_mapping_create(NULL, 65536, &mapping) != SEGUE_OK)
        abort();
    const struct segue_region region = {.window = segue_window_alias(mapping.memory, 65536, mapping.alias)};
    if (segue_region_add(&region) != SEGUE_OK || mprotect(mapping.memory, 65536, PROT_NONE) != 0)
        abort();
}
