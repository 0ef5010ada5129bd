/* unwind_imports.c: a library that imports what libgcc's unwinder does. */
#include <stdbool.h>

int imported_find(void *address, void *found);
bool has_import(void);

/* glibc, since 2.35. */
int _dl_find_object(void *address, void *found) __attribute__((weak));

int imported_find(void *address, void *found)
{
    return _dl_find_object(address, found);
}

bool has_import(void)
{
    return _dl_find_object;
}
