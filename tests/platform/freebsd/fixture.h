/* fixture.h: tests/platform/ports/fixture.h; and by which signal the system reports a closed page. */
#ifndef SEGUE_TESTS_FREEBSD_FIXTURE_H
#define SEGUE_TESTS_FREEBSD_FIXTURE_H

#include "tests/platform/ports/fixture.h"

#include <signal.h>

/* As the sysctl machdep.prot_fault_translation says, which the loader has from there, too. */
static inline int closed_signal(void)
{
    const char *translation = getenv("LOADER_TRANSLATION");
    return translation && strcmp(translation, "1") == 0 ? SIGBUS : SIGSEGV;
}

#endif
