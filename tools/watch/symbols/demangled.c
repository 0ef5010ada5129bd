/* demangled.c: see demangled.h.
 *
 * SOURCES: Itanium C++ ABI, 5.1 (mangling), by way of libiberty. */
#include "demangled.h"

#include <libiberty/demangle.h>
#include <string.h>

char *demangled(const char *name)
{
    return strncmp(name, "_Z", 2) == 0 ? cplus_demangle(name, DMGL_ANSI) : NULL;
}

const char *demangled_last(const char *name)
{
    const char *colon = strrchr(name, ':');
    return colon ? colon + 1 : name;
}
