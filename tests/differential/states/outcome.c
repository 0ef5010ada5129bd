/* outcome.c: the comparison of two outcomes (see outcome.h). */
#include "outcome.h"

#include <stdarg.h>
#include <stdio.h>

static const char *const register_names[] = {"rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp",
                                             "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};

bool outcome_same_images(const struct outcome *left, const struct outcome *right)
{
    const uint8_t *first = left->output.image, *second = right->output.image;
    size_t count;
    const struct oracle_component *components = oracle_components(&count);
    for (size_t i = 0; i < count; i++)
        if (memcmp(first + components[i].offset, second + components[i].offset, components[i].size) != 0)
            return false;
    return true;
}

static bool same_signal(const struct oracle_signal *left, const struct oracle_signal *right)
{
    return left->number == right->number && left->code == right->code && left->address == right->address &&
           left->trap == right->trap && left->error == right->error &&
           left->page_fault_address == right->page_fault_address && left->instruction == right->instruction;
}

bool outcome_equal(const struct outcome *left, const struct outcome *right)
{
    return memcmp(&left->output.registers, &right->output.registers, sizeof left->output.registers) == 0 &&
           left->output.gs_base == right->output.gs_base && same_signal(&left->output.signal, &right->output.signal) &&
           memcmp(left->window, right->window, sizeof left->window) == 0 && outcome_same_images(left, right);
}

struct text {
    char *at;
    size_t left;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text->at, text->left, format, arguments);
    va_end(arguments);
    size_t used = length < 0 ? 0 : (size_t)length < text->left ? (size_t)length : text->left - 1;
    text->at += used;
    text->left -= used;
}

static void describe_word(struct text *text, const char *name, uint64_t native, uint64_t stepped)
{
    if (native != stepped)
        add(text, "  %-24s native %016llx stepped %016llx\n", name, (unsigned long long)native,
            (unsigned long long)stepped);
}

static void describe_bytes(struct text *text, const char *name, const uint8_t *native, const uint8_t *stepped,
                           size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (native[i] != stepped[i])
            add(text, "  %s byte %zu: native %02x stepped %02x\n", name, i, native[i], stepped[i]);
}

static void describe_signal(struct text *text, const struct oracle_signal *native, const struct oracle_signal *stepped)
{
    if (native->number)
        add(text, "  natively signal %d, code %d, address %llx, exception %llu\n", native->number, native->code,
            (unsigned long long)native->address, (unsigned long long)native->trap);
    describe_word(text, "signal", (uint64_t)native->number, (uint64_t)stepped->number);
    describe_word(text, "signal code", (uint64_t)native->code, (uint64_t)stepped->code);
    describe_word(text, "signal address", native->address, stepped->address);
    describe_word(text, "signal exception", native->trap, stepped->trap);
    describe_word(text, "signal error code", native->error, stepped->error);
    describe_word(text, "signal cr2", native->page_fault_address, stepped->page_fault_address);
    describe_word(text, "signal rip", native->instruction, stepped->instruction);
}

void outcome_describe(const struct outcome *native, const struct outcome *stepped, char *buffer, size_t size)
{
    struct text text = {buffer, size};
    size_t count;
    const struct oracle_component *components = oracle_components(&count);
    *buffer = '\0';
    for (size_t i = 0; i < 16; i++)
        describe_word(&text, register_names[i], native->output.registers.general[i],
                      stepped->output.registers.general[i]);
    describe_word(&text, "rflags", native->output.registers.rflags, stepped->output.registers.rflags);
    describe_word(&text, "gs base", native->output.gs_base, stepped->output.gs_base);
    describe_signal(&text, &native->output.signal, &stepped->output.signal);
    describe_bytes(&text, "memory window", native->window, stepped->window, OUTCOME_WINDOW);
    for (size_t i = 0; i < count; i++)
        describe_bytes(&text, components[i].name, (const uint8_t *)native->output.image + components[i].offset,
                       (const uint8_t *)stepped->output.image + components[i].offset, components[i].size);
}
