/* fixture.h: tests/platform/ports/fixture.h; and a page that cannot be accessed, in no region. */
#ifndef SEGUE_TESTS_WINDOWS_FIXTURE_H
#define SEGUE_TESTS_WINDOWS_FIXTURE_H

#include "tests/platform/ports/fixture.h"

#include <windows.h>

static inline volatile char *closed_page(void)
{
    void *page = VirtualAlloc(NULL, PAGE, MEM_RESERVE | MEM_COMMIT, PAGE_NOACCESS);
    assert_non_null(page);
    return page;
}

#endif
