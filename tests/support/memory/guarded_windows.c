/* guarded_windows.c: guarded.h for Windows. */
#include "guarded.h"

#include <windows.h>

uint8_t *guarded_end(void)
{
    SYSTEM_INFO system;
    GetSystemInfo(&system);
    DWORD page = system.dwPageSize;
    uint8_t *pages = VirtualAlloc(NULL, 2 * page, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    if (!pages || !VirtualProtect(pages + page, page, PAGE_NOACCESS, &(DWORD){0}))
        return NULL;
    return pages + page;
}
