/* place.c: see tools/explain/place.h: no file is read here. Bytes in hex have no colon. */
#if !defined(_WIN32)
#error "tools/windows/place.c is specific to Windows"
#endif

#include "tools/explain/place.h"

#include <string.h>

#include "tools/support/message.h"
#include "tools/support/verb.h"

const char *place_colon(const char *argument)
{
    return strchr(argument, ':');
}

int place_explain(const char *argument, const char *colon, const struct explain_options *options,
                  explain_function *explain)
{
    (void)explain;
    (void)colon;
    (void)options;
    complain(EXPLAIN_VERB, "'%s' is a place in a file, and no files are read on Windows; give bytes", argument);
    return EXIT_FAILED;
}

void place_name_input(int argument_count, char **arguments)
{
    (void)argument_count;
    (void)arguments;
}
