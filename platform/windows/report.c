/* report.c: see platform/report.h. */
#if !defined(_WIN32)
#error "platform/windows/report.c is specific to Windows"
#endif

#include "platform/report.h"

#include <windows.h>

void platform_report(const char *text, size_t length)
{
    DWORD written;
    WriteFile(GetStdHandle(STD_ERROR_HANDLE), text, (DWORD)length, &written, NULL);
}
