/* libopcodes.c: GNU binutils' libopcodes as a decoder of its own, in one process, for `segue corpus check --decoder
 * libopcodes:objdump=libopcodes-decoder` (docs/corpus.md): rows in hexadecimal on standard input, an answer a line.
 * With
 * --version, prints the version.
 *
 * A program apart, since libopcodes is under the GPL and its interface belongs to one version of binutils. */
#include <bfd.h>
#include <dis-asm.h>
#include <dlfcn.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLOT 32

struct text {
    char bytes[512];
    size_t length;
};

static int append(struct text *text, const char *format, va_list arguments)
{
    size_t room = sizeof text->bytes - text->length;
    int length = vsnprintf(text->bytes + text->length, room, format, arguments);
    if (length > 0)
        text->length += (size_t)length < room ? (size_t)length : room - 1;
    return length;
}

__attribute__((format(printf, 2, 3))) static int print(void *stream, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = append(stream, format, arguments);
    va_end(arguments);
    return length;
}

__attribute__((format(printf, 3, 4))) static int print_styled(void *stream, enum disassembler_style style,
                                                              const char *format, ...)
{
    va_list arguments;
    (void)style;
    va_start(arguments, format);
    int length = append(stream, format, arguments);
    va_end(arguments);
    return length;
}

static void print_address(bfd_vma address, struct disassemble_info *info)
{
    print(info->stream, "0x%llx", (unsigned long long)address);
}

/* bfd.h says no version; the library's name does: libopcodes-2.40-system.so. */
static void print_version(void)
{
    Dl_info library;
    const char *name = dladdr((const void *)(uintptr_t)disassembler, &library) ? library.dli_fname : "";
    const char *version = strstr(name, "libopcodes-");
    printf("%.*s\n", version ? (int)strcspn(version + 11, "-") : 7, version ? version + 11 : "unknown");
}

static bool read_row(const char *line, bfd_byte slot[SLOT])
{
    for (size_t i = 0; i < SLOT; i++) {
        unsigned byte;
        if (sscanf(line + 2 * i, "%2x", &byte) != 1)
            return false;
        slot[i] = (bfd_byte)byte;
    }
    return true;
}

int main(int argument_count, char **arguments)
{
    if (argument_count > 1 && strcmp(arguments[1], "--version") == 0) {
        print_version();
        return 0;
    }
    struct text text;
    struct disassemble_info info;
    bfd_byte slot[SLOT];
    char line[256];
    init_disassemble_info(&info, &text, print, print_styled);
    info.arch = bfd_arch_i386;
    info.mach = bfd_mach_x86_64 | bfd_mach_i386_intel_syntax;
    info.buffer = slot;
    info.buffer_length = SLOT;
    info.print_address_func = print_address;
    disassemble_init_for_target(&info);
    disassembler_ftype decode = disassembler(bfd_arch_i386, false, info.mach, NULL);
    while (decode && fgets(line, sizeof line, stdin)) {
        if (!read_row(line, slot)) {
            fputs("libopcodes-decoder: a row is not 64 hexadecimal digits\n", stderr);
            return 1;
        }
        text.length = 0;
        text.bytes[0] = 0;
        int length = decode(0, &info);
        if (length <= 0)
            puts("refused");
        else
            printf("ok %d %s\n", length, text.bytes);
    }
    return decode ? 0 : 1;
}
