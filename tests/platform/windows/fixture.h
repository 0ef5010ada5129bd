/* fixture.h: tests/platform/ports/fixture.h; a page that cannot be accessed, in no region; and the names of registers,
 * in CONTEXT and in assembly. */
#ifndef SEGUE_TESTS_WINDOWS_FIXTURE_H
#define SEGUE_TESTS_WINDOWS_FIXTURE_H

#include "tests/platform/ports/fixture.h"

#include <windows.h>

/* R("si") is a register in a template, CHANGED("si") one that it changes. */
#if defined(__x86_64__)
#define INSTRUCTION_POINTER Rip
#define SOURCE_INDEX Rsi
#define R(name) "%%r" name
#define CHANGED(name) "r" name
#else
#define INSTRUCTION_POINTER Eip
#define SOURCE_INDEX Esi
#define R(name) "%%e" name
#define CHANGED(name) "e" name
#endif

static inline volatile char *closed_page(void)
{
    void *page = VirtualAlloc(NULL, PAGE, MEM_RESERVE | MEM_COMMIT, PAGE_NOACCESS);
    assert_non_null(page);
    return page;
}

#endif
