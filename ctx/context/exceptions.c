/* exceptions.c: saves the C++ runtime's per-thread words for a context.
 *
 * SOURCES: Itanium C++ ABI: Exception Handling, 2.2.2 (__cxa_get_globals; struct __cxa_eh_globals: the stack of caught
 * exceptions and the count of uncaught ones). Both runtimes, libstdc++ and libc++abi, have these two and no more
 * on x86. The function is found at load time, where the program has it. */
#include "exceptions.h"

#include <string.h>

/* A pointer, and a count of its size. */
#define WORDS_SIZE (2 * sizeof(void *))
#define HAS_EXCEPTIONS (SEGUE_CONTEXT_OWN_EXCEPTIONS | SEGUE_CONTEXT_EXCEPTIONS_SAVED_)

__attribute__((weak, visibility("default"))) void *__cxa_get_globals(void);

bool exceptions_known(void)
{
    return __cxa_get_globals;
}

void exceptions_exchange(struct segue_context *from, struct segue_context *to)
{
    if (!(((from ? from->flags : 0) | to->flags) & HAS_EXCEPTIONS))
        return;
    void *words = __cxa_get_globals();
    if (from) {
        memcpy(from->exceptions, words, WORDS_SIZE);
        from->flags |= SEGUE_CONTEXT_EXCEPTIONS_SAVED_;
    }
    if (to->flags & HAS_EXCEPTIONS)
        memcpy(words, to->exceptions, WORDS_SIZE);
    to->flags &= ~SEGUE_CONTEXT_EXCEPTIONS_SAVED_;
}
