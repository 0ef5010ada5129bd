/* protection.h: the system's constant for enum platform_access. */
#ifndef SEGUE_PLATFORM_WINDOWS_PROTECTION_H
#define SEGUE_PLATFORM_WINDOWS_PROTECTION_H

#if !defined(_WIN32)
#error "protection.h is specific to Windows"
#endif

#include <windows.h>

DWORD protection_of(int access);

#endif
