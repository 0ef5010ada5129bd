/* demangled.h: names of C++ as they are written. */
#ifndef SEGUE_TOOLS_WATCH_DEMANGLED_H
#define SEGUE_TOOLS_WATCH_DEMANGLED_H

/* "shop::counter" for "_ZN4shop7counterE"; a function without its parameters. NULL for other names. To be freed. */
char *demangled(const char *name);

/* What is behind namespaces and classes. */
const char *demangled_last(const char *name);

#endif
