/* arguments.c: numbers and names on the command line of `segue corpus`. */
#include "arguments.h"

#include <errno.h>
#include <stdlib.h>

#include "tools/support/message.h"
#include "tools/support/output/output.h"

bool corpus_number(const char *option, const char *text, unsigned low, unsigned high, unsigned *value)
{
    char *end;
    errno = 0;
    unsigned long number = strtoul(text, &end, 10);
    if (end == text || *end || *text == '-' || errno || number < low || number > high) {
        misuse("corpus", "%s takes a number from %u to %u, not '%s'", option, low, high, text);
        return false;
    }
    *value = (unsigned)number;
    return true;
}

bool corpus_may_write(const char *path, char *const *inputs)
{
    for (; *inputs; inputs++) {
        if (!output_is_same(path, *inputs))
            continue;
        complain("corpus", "%s would overwrite %s, which is read; give another name", path, *inputs);
        return false;
    }
    return output_accepts("corpus", path);
}
