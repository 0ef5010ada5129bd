/* sigchain_host.c: a library that uses Segue inside a program that knows nothing of it: preloaded, it installs the
 * handler before main and keeps a region at a fixed address, closed. Its pages hold 0x77; without it the program has
 * them open. With HOST_LEAVES_SIGBUS in the environment it leaves SIGBUS to the program. */
#include <segue/segue.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define REGION 0x21000000u
#define SIZE 4096u

__attribute__((constructor)) static void begin(void)
{
    const struct segue_options options = {.flags = getenv("HOST_LEAVES_SIGBUS") ? SEGUE_INSTALL_NO_SIGBUS : 0};
    struct segue_mapping mapping;
    if (segue_install(&options) != SEGUE_OK || segue_mapping_create((void *)REGION, SIZE, &mapping) != SEGUE_OK)
        _exit(60);
    memset(mapping.alias, 0x77, SIZE);
    struct segue_region region = {
        .window = {.base = REGION, .size = SIZE, .kind = SEGUE_WINDOW_ALIAS, .alias = mapping.alias}};
    if (segue_region_add(&region) != SEGUE_OK || mprotect(mapping.memory, SIZE, PROT_NONE) != 0)
        _exit(61);
}
