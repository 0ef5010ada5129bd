/* handler_rules.c: the handler's rules, held against the built object. From the signal's entry, everything that
 * relocations lead to is followed; what lies outside the library must be on the list below, and thread-local storage
 * must be of the kind that is found without a call. What the library's own code does between those calls, this cannot
 * see. */
#include "tests/support/test.h"

#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Why each may be called from a handler. */
static const struct {
    const char *name;
    const char *reason;
} allowed[] = {
    {"__popcountdi2", "pure; libgcc's"},
    {"__errno_location", "reads the thread pointer, so that errno can be kept"},
    {"_GLOBAL_OFFSET_TABLE_", "no function"},
    {"__ehdr_start", "no function"},
    {"_etext", "no function"},
    {"etext", "no function"},
    {"bcmp", "pure; what clang makes of memcmp"},
    {"getauxval", "walks a constant array"},
    {"memcmp", "pure"},
    {"memcpy", "pure"},
    {"memmove", "pure"},
    {"memset", "pure"},
    {"ZydisDecoderDecodeInstruction", "pure; libZydis is itself bound at load"},
    {"ZydisDecoderDecodeOperands", "pure"},
    {"ZydisRegisterGetClass", "pure"},
    {"ZydisRegisterGetId", "pure"},
    {"ZydisRegisterGetWidth", "pure"},
};

/* One relocatable object, its symbols, and which sections the walk has reached. */
struct object {
    Elf *elf;
    Elf_Data *symbols;
    size_t symbol_count, name_section, section_count;
    bool *reached;
};

/* What a walk found outside. */
struct findings {
    char names[64][64];
    size_t count;
    bool calls_for_thread_local_storage;
};

static const char *object_path;

static void object_open(struct object *object)
{
    Elf_Scn *section = NULL;
    GElf_Shdr header;
    elf_version(EV_CURRENT);
    int file = open(object_path, O_RDONLY);
    assert_true(file >= 0);
    Elf *archive = elf_begin(file, ELF_C_READ, NULL);
    assert_int_equal(elf_kind(archive), ELF_K_AR);
    Elf_Cmd command = ELF_C_READ;
    while ((object->elf = elf_begin(file, command, archive)) != NULL && elf_kind(object->elf) != ELF_K_ELF) {
        command = elf_next(object->elf);
        elf_end(object->elf);
    }
    assert_non_null(object->elf);
    elf_getshdrnum(object->elf, &object->section_count);
    object->reached = calloc(object->section_count, sizeof *object->reached);
    while ((section = elf_nextscn(object->elf, section)) != NULL) {
        gelf_getshdr(section, &header);
        if (header.sh_type != SHT_SYMTAB)
            continue;
        object->symbols = elf_getdata(section, NULL);
        object->symbol_count = header.sh_size / header.sh_entsize;
        object->name_section = header.sh_link;
    }
    assert_non_null(object->symbols);
}

static const char *symbol_name(const struct object *object, const GElf_Sym *symbol)
{
    return elf_strptr(object->elf, object->name_section, symbol->st_name);
}

static size_t section_of(const struct object *object, const char *name)
{
    for (size_t i = 0; i < object->symbol_count; i++) {
        GElf_Sym symbol;
        gelf_getsym(object->symbols, (int)i, &symbol);
        if (symbol.st_shndx != SHN_UNDEF && strcmp(symbol_name(object, &symbol), name) == 0)
            return symbol.st_shndx;
    }
    return 0;
}

static void note(struct findings *findings, const char *name)
{
    for (size_t i = 0; i < findings->count; i++)
        if (strcmp(findings->names[i], name) == 0)
            return;
    assert_true(findings->count < 64);
    snprintf(findings->names[findings->count++], 64, "%s", name);
}

static bool needs_a_call(uint64_t relocation)
{
    switch (GELF_R_TYPE(relocation)) {
    case R_X86_64_TLSGD:
    case R_X86_64_TLSLD:
    case R_X86_64_TLSDESC_CALL:
    case R_X86_64_GOTPC32_TLSDESC:
        return true;
    default:
        return false;
    }
}

/* Marks what the relocations of section `from` lead to; true if that is more than before. */
static bool follow(struct object *object, Elf_Scn *relocations, const GElf_Shdr *header, struct findings *findings)
{
    bool more = false;
    Elf_Data *data = elf_getdata(relocations, NULL);
    for (size_t i = 0; i < header->sh_size / header->sh_entsize; i++) {
        GElf_Rela rela;
        GElf_Sym symbol;
        gelf_getrela(data, (int)i, &rela);
        gelf_getsym(object->symbols, (int)GELF_R_SYM(rela.r_info), &symbol);
        if (needs_a_call(rela.r_info))
            findings->calls_for_thread_local_storage = true;
        if (symbol.st_shndx == SHN_UNDEF) {
            note(findings, symbol_name(object, &symbol));
        } else if (symbol.st_shndx < object->section_count && !object->reached[symbol.st_shndx]) {
            object->reached[symbol.st_shndx] = true;
            more = true;
        }
    }
    return more;
}

/* All that can be reached from the function `start`. */
static void walk(const char *start, struct findings *findings)
{
    struct object object = {0};
    bool more = true;
    object_open(&object);
    size_t first = section_of(&object, start);
    assert_true(first != 0);
    object.reached[first] = true;
    while (more) {
        Elf_Scn *section = NULL;
        more = false;
        while ((section = elf_nextscn(object.elf, section)) != NULL) {
            GElf_Shdr header;
            gelf_getshdr(section, &header);
            if (header.sh_type == SHT_RELA && object.reached[header.sh_info])
                more |= follow(&object, section, &header, findings);
        }
    }
    free(object.reached);
    elf_end(object.elf);
}

static bool found(const struct findings *findings, const char *name)
{
    for (size_t i = 0; i < findings->count; i++)
        if (strcmp(findings->names[i], name) == 0)
            return true;
    return false;
}

static void expect_allowed(const char *start)
{
    struct findings findings = {0};
    walk(start, &findings);
    for (size_t i = 0; i < findings.count; i++) {
        bool known = false;
        for (size_t k = 0; k < sizeof allowed / sizeof *allowed; k++)
            known |= strcmp(findings.names[i], allowed[k].name) == 0;
        if (!known)
            fail_msg("%s reaches %s", start, findings.names[i]);
    }
    assert_false(findings.calls_for_thread_local_storage);
    /* It really went all the way. */
    assert_true(found(&findings, "getauxval"));
}

static void handler_reaches_nothing_that_is_not_allowed(void **state)
{
    struct findings findings = {0};
    (void)state;
    expect_allowed("signal_entry");
    walk("signal_entry", &findings);
    assert_true(found(&findings, "ZydisDecoderDecodeInstruction"));
}

/* A thread may be suspended anywhere. */
static void suspension_reaches_nothing_that_is_not_allowed(void **state)
{
    (void)state;
    expect_allowed("suspend_entry");
}

/* platform/memory/executable.h: code is made where a fault is served. */
static void executable_memory_reaches_nothing_that_is_not_allowed(void **state)
{
    (void)state;
    expect_allowed("executable_memory_create");
    expect_allowed("executable_memory_own");
    expect_allowed("executable_copy");
}

/* Fortified calls and canaries end the process with a report; distributions build everything with them. */
static void library_has_no_fortified_calls_and_no_canaries(void **state)
{
    struct object object = {0};
    (void)state;
    object_open(&object);
    for (size_t i = 0; i < object.symbol_count; i++) {
        GElf_Sym symbol;
        gelf_getsym(object.symbols, (int)i, &symbol);
        const char *name = symbol_name(&object, &symbol);
        if (symbol.st_shndx == SHN_UNDEF && (strstr(name, "_chk")))
            fail_msg("the library calls %s", name);
    }
    free(object.reached);
    elf_end(object.elf);
}

/* The walk sees what it is there to see: a function that may lock is caught. */
static void walk_finds_a_lock_where_there_is_one(void **state)
{
    struct findings findings = {0};
    (void)state;
    walk("segue_region_add", &findings);
    assert_true(found(&findings, "pthread_mutex_lock"));
    assert_true(found(&findings, "mmap64") || found(&findings, "mmap"));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(handler_reaches_nothing_that_is_not_allowed),
        cmocka_unit_test(suspension_reaches_nothing_that_is_not_allowed),
        cmocka_unit_test(executable_memory_reaches_nothing_that_is_not_allowed),
        cmocka_unit_test(library_has_no_fortified_calls_and_no_canaries),
        cmocka_unit_test(walk_finds_a_lock_where_there_is_one),
    };
    if (argc != 2) {
        fprintf(stderr, "usage: %s libsegue.a\n", argv[0]);
        return 2;
    }
    object_path = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
