/* library.c: the string functions of the C library that the host and the library's folders call. Compiled without the
 * compiler's own knowledge of them (-fno-builtin), or they might be compiled to calls of themselves. */
#include <emmintrin.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

void *memcpy(void *restrict to, const void *restrict from, size_t size)
{
    void *at = to;
    __asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(size) : : "memory");
    return to;
}

void *memmove(void *to, const void *from, size_t size)
{
    if ((uintptr_t)to - (uintptr_t)from >= size)
        return memcpy(to, from, size);
    for (size_t i = size; i > 0; i--)
        ((char *)to)[i - 1] = ((const char *)from)[i - 1];
    return to;
}

void *memset(void *to, int byte, size_t size)
{
    void *at = to;
    __asm__ volatile("rep stosb" : "+D"(at), "+c"(size) : "a"(byte) : "memory");
    return to;
}

int memcmp(const void *first, const void *second, size_t size)
{
    const unsigned char *a = first, *b = second;
    for (size_t i = 0; i < size; i++)
        if (a[i] != b[i])
            return a[i] - b[i];
    return 0;
}

/* clang turns a comparison for equality alone into this function. */
int bcmp(const void *first, const void *second, size_t size);
int bcmp(const void *first, const void *second, size_t size)
{
    return memcmp(first, second, size);
}

void *memchr(const void *bytes, int byte, size_t size)
{
    const unsigned char *at = bytes;
    const __m128i all = _mm_set1_epi8((char)byte);
    for (; size >= sizeof all; at += sizeof all, size -= sizeof all) {
        __m128i piece = _mm_loadu_si128((const __m128i *)(const void *)at);
        unsigned found = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(piece, all));
        if (found)
            return (void *)(uintptr_t)(at + __builtin_ctz(found));
    }
    for (; size; at++, size--)
        if (*at == (unsigned char)byte)
            return (void *)(uintptr_t)at;
    return NULL;
}

size_t strnlen(const char *string, size_t most)
{
    size_t length = 0;
    while (length < most && string[length])
        length++;
    return length;
}

size_t strlen(const char *string)
{
    return strnlen(string, SIZE_MAX);
}

int strncmp(const char *first, const char *second, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (first[i] != second[i])
            return (unsigned char)first[i] - (unsigned char)second[i];
        if (!first[i])
            return 0;
    }
    return 0;
}

int strcmp(const char *first, const char *second)
{
    return strncmp(first, second, SIZE_MAX);
}

char *strcpy(char *restrict to, const char *restrict from)
{
    return memcpy(to, from, strlen(from) + 1);
}

char *strcat(char *restrict to, const char *restrict from)
{
    strcpy(to + strlen(to), from);
    return to;
}

char *strchr(const char *string, int character)
{
    for (;; string++) {
        if (*string == (char)character)
            return (char *)(uintptr_t)string;
        if (!*string)
            return NULL;
    }
}

char *strrchr(const char *string, int character)
{
    const char *found = NULL;
    for (const char *at = string; (at = strchr(at, character)); at++) {
        found = at;
        if (!*at)
            break;
    }
    return (char *)(uintptr_t)found;
}

size_t strcspn(const char *string, const char *characters)
{
    size_t length = 0;
    while (string[length] && !strchr(characters, string[length]))
        length++;
    return length;
}

size_t strspn(const char *string, const char *characters)
{
    size_t length = 0;
    while (string[length] && strchr(characters, string[length]))
        length++;
    return length;
}

/* The words for the errors that can occur while a program is executed. */
char *strerror(int error)
{
    static const struct {
        int error;
        char text[40];
    } texts[] = {
        {EPERM, "Operation not permitted"},
        {ENOENT, "No such file or directory"},
        {EIO, "Input/output error"},
        {E2BIG, "Argument list too long"},
        {ENOEXEC, "Exec format error"},
        {EAGAIN, "Resource temporarily unavailable"},
        {ENOMEM, "Cannot allocate memory"},
        {EACCES, "Permission denied"},
        {ENOTDIR, "Not a directory"},
        {EISDIR, "Is a directory"},
        {EINVAL, "Invalid argument"},
        {ENFILE, "Too many open files in system"},
        {EMFILE, "Too many open files"},
        {ETXTBSY, "Text file busy"},
        {ENAMETOOLONG, "File name too long"},
        {ELOOP, "Too many levels of symbolic links"},
        {ELIBBAD, "Accessing a corrupted shared library"},
        {ESTALE, "Stale file handle"},
    };
    static char other[] = "error number ....";
    for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i].error == error)
            return (char *)(uintptr_t)texts[i].text;
    for (unsigned i = 0, left = (unsigned)error; i < 4; i++, left /= 10)
        other[sizeof other - 2 - i] = (char)('0' + left % 10);
    return other;
}
