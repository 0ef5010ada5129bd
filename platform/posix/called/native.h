/* native.h: the words of a frame, of the systems that call a function of platform/. */
#ifndef SEGUE_PLATFORM_POSIX_NATIVE_H
#define SEGUE_PLATFORM_POSIX_NATIVE_H

#if defined(_WIN32)
#error "platform/posix/called/native.h is specific to POSIX"
#endif

#if defined(__APPLE__)
#include "platform/darwin/frame/native.h"
#elif defined(__FreeBSD__)
#include "platform/freebsd/frame/native.h"
#else
#error "platform/posix/called/native.h is for systems that call a function of platform/"
#endif

#endif
