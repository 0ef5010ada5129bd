/* lacks.h: what this system and processor do not have, for the modules above that refuse it by name. */
#ifndef SEGUE_PLATFORM_LACKS_H
#define SEGUE_PLATFORM_LACKS_H

/* Whether the library makes and leaves handlers' frames itself: hot sites and direct restores need that. What
 * is missing else, in the sentence "guests need ...". */
#if defined(__i386__)
#define PLATFORM_IS_WHOLE false
#define PLATFORM_LACKS "64-bit code"
#elif defined(_WIN32)
#define PLATFORM_IS_WHOLE false
#define PLATFORM_LACKS "a system with signals"
#elif defined(__APPLE__)
#define PLATFORM_IS_WHOLE false
#define PLATFORM_LACKS "a part that the library does not have for macOS yet"
#elif defined(__FreeBSD__)
#define PLATFORM_IS_WHOLE false
#define PLATFORM_LACKS "a part that the library does not have for FreeBSD yet"
#else
#define PLATFORM_IS_WHOLE true
#define PLATFORM_LACKS "nothing else"
#endif

/* Whether it runs guests, and sets the base of FS for them. */
#if defined(__APPLE__)
#define PLATFORM_HAS_GUESTS true
#define PLATFORM_SETS_FS false
#else
#define PLATFORM_HAS_GUESTS PLATFORM_IS_WHOLE
#define PLATFORM_SETS_FS true
#endif

/* Whether a program may set the bases of FS and GS for its own purposes; whether it has alternate stacks;
 * and whether the system keeps, for each thread, the bounds of the stack in use. */
#if defined(_WIN32)
#define PLATFORM_HAS_BASES false
#define PLATFORM_HAS_STACK_BOUNDS true
#define PLATFORM_HAS_ALTERNATE_STACKS false
#elif defined(__APPLE__)
#define PLATFORM_HAS_BASES true
#define PLATFORM_HAS_STACK_BOUNDS false
#define PLATFORM_HAS_ALTERNATE_STACKS true
#elif defined(__FreeBSD__)
#define PLATFORM_HAS_BASES false
#define PLATFORM_HAS_STACK_BOUNDS false
#define PLATFORM_HAS_ALTERNATE_STACKS true
#else
#define PLATFORM_HAS_BASES true
#define PLATFORM_HAS_STACK_BOUNDS false
#define PLATFORM_HAS_ALTERNATE_STACKS true
#endif

/* The last offset in the segment of FS. Windows for i386 has the thread's block there, and gives the segment one page.
 */
#if defined(_WIN32) && defined(__i386__)
#define PLATFORM_FS_LIMIT UINT64_C(0xfff)
#else
#define PLATFORM_FS_LIMIT UINT64_MAX
#endif

#endif
