/* segments.h: the selectors that the system has 64-bit programs, and their handlers, run with.
 *
 * SOURCES: Linux arch/x86/include/asm/segment.h (__USER_CS, __USER_DS). */
#ifndef SEGUE_PLATFORM_SEGMENTS_H
#define SEGUE_PLATFORM_SEGMENTS_H

#if defined(__linux__) && defined(__x86_64__)
#define CODE_SEGMENT 0x33
#define STACK_SEGMENT 0x2b
#else
#error "segments.h does not know this system's selectors"
#endif

#endif
