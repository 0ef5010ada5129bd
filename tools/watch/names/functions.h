/* functions.h: the code of functions, by the symbols and debug information of a process's files. */
#ifndef SEGUE_TOOLS_WATCH_FUNCTIONS_H
#define SEGUE_TOOLS_WATCH_FUNCTIONS_H

#include "code.h"

/* A function's code, or a part of it. */
struct function_part {
    uint64_t start, end;
};

struct functions {
    /* To be freed. */
    struct function_part *parts;
    size_t count;
};

/* All functions of that name, with the parts that a compiler has made of them, and where they are inlined, as far as
 * there is debug information. FILE:NAME: of a library. False, with a message about `target`, if no function has that
 * name, or several of C++ have it. */
bool functions_find(const struct code *code, const char *name, const char *target, struct functions *functions);

/* C++'s operator new, of all files. */
void functions_find_new(const struct code *code, struct functions *functions);

/* Code that a program copies, in whole pages: the builtins of V8, which has them beside each isolate's own code
 * (src/codegen/code-range.cc, short builtin calls). A jump to a hot site's body would lead elsewhere in a copy. */
void functions_find_copied(const struct code *code, struct functions *functions);

#endif
