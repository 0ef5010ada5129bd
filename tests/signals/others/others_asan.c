/* others_asan.c: built with a sanitizer whose own handler takes SIGSEGV. Steps over a region, and then, if it is asked
 * to, has a fault in no region: the sanitizer reports that one and no other. */
#include <segue/segue.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>

#define PAGE 4096u

int main(int argc, char **argv)
{
    struct segue_mapping mapping;
    (void)argv;
    if (segue_mapping_create(NULL, PAGE, &mapping) != SEGUE_OK || (argc == 1 && segue_install(NULL) != SEGUE_OK))
        return 90;
    struct segue_region region = {
        .window = {.base = (uint64_t)mapping.memory, .size = PAGE, .kind = SEGUE_WINDOW_ALIAS, .alias = mapping.alias}};
    if (argc == 1 && (segue_region_add(&region) != SEGUE_OK || mprotect(mapping.memory, PAGE, PROT_NONE) != 0))
        return 91;
    volatile uint64_t *cell = mapping.memory;
    for (uint64_t i = 1; i <= 1000; i++)
        cell[i % 512] += i;
    printf("%lu\n", (unsigned long)(cell[1] + cell[511]));
    fflush(stdout);
    *(volatile int *)(void *)0x12345678 = 1;
    return 0;
}
