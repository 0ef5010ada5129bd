/* patch_sources.c: what shows segue patch where functions are, beside .eh_frame: Go's table, in all its layouts, and
 * symbols; and what is said where nothing does.
 *
 * The programs with Go's table are written here byte by byte, so that they need no Go; where Go is installed, one of
 * its own programs is patched too. */
#include "tests/support/tool_run.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- Programs with Go's table. --- */

enum go_version {
    GO_1_2,
    GO_1_16,
    GO_1_18,
    GO_1_20,
};

/* What is done to a table before it is written. */
enum go_damage {
    GO_WHOLE,
    /* The addresses are left to be filled in by relocations, as in a program that is loaded anywhere. */
    GO_RELOCATED,
    /* Newer linkers leave out where the code begins; before it stands the text of the build's identity. */
    GO_NO_TEXT_START,
    /* The linker has put the table among other data; Go's mark stands elsewhere, or is missing. */
    GO_AMONG_DATA,
    GO_AMONG_DATA_WITHOUT_MARK,
    GO_NO_TEXT_START_NOR_BUILD_ID,
    GO_WRONG_MAGIC,
    GO_RECORD_OF_ANOTHER_FUNCTION,
    GO_ENTRIES_OUT_OF_ORDER,
    GO_COUNT_TOO_LARGE,
    GO_FUNCTION_OUTSIDE_CODE,
    GO_CUT_SHORT,
};

#define TEXT_ADDRESS 0x401000
#define TEXT_OFFSET 0x1000
#define TABLE_ADDRESS 0x500000
#define TABLE_OFFSET 0x2000
#define RELOCATIONS_OFFSET 0x3000
#define HEADERS_OFFSET 0x4000
#define FILE_SIZE 0x5000
#define FUNCTIONS 3

/* Behind the text of the build's identity, in which d is the prefix's byte: two functions with two accesses each, in
 * forms that are not strict, between bytes that only look like one. */
static const unsigned char text[] =
    "\xff Go build ID: \"d\x8b\0d\x8b\0\"\n \xff\0\0\0\0\0\0"
    "\x64\x4c\x8b\x34\x25\xf8\xff\xff\xff\x64\x48\x39\x34\x25\xf8\xff\xff\xff\xc3\xcc\xcc\xcc"
    "\x64\x8b\x0b\x48\xb8\x64\x8b\x0b\0\0\0\0\0\x64\x48\x89\x0c\x25\xf8\xff\xff\xff\xc3\xcc";
static const unsigned starts[FUNCTIONS + 1] = {0, 32, 54, sizeof text - 1};

struct program {
    unsigned char bytes[FILE_SIZE];
    enum go_version version;
    enum go_damage damage;
    unsigned relocation_count;
};

static void put(struct program *program, size_t offset, uint64_t value, size_t size)
{
    memcpy(program->bytes + offset, &value, size);
}

/* An address in the table, or a relocation in its place. */
static void put_address(struct program *program, size_t within, uint64_t address)
{
    if (program->damage != GO_RELOCATED) {
        put(program, TABLE_OFFSET + within, address, 8);
        return;
    }
    Elf64_Rela relocation = {.r_offset = TABLE_ADDRESS + within,
                             .r_info = ELF64_R_INFO(0, R_X86_64_RELATIVE),
                             .r_addend = (Elf64_Sxword)address};
    memcpy(program->bytes + RELOCATIONS_OFFSET + program->relocation_count++ * sizeof relocation, &relocation,
           sizeof relocation);
}

/* Where the entries begin in the table, and their records. */
#define ENTRIES 0x80
#define RECORDS 0x200
#define RECORD_SIZE 48

static size_t write_table(struct program *program)
{
    static const uint32_t magics[] = {0xfffffffb, 0xfffffffa, 0xfffffff0, 0xfffffff1};
    bool is_first = program->version == GO_1_2, counts = program->version >= GO_1_18;
    enum go_damage damage = program->damage;
    size_t entries = is_first ? 16 : ENTRIES, number = counts ? 4 : 8, origin = is_first ? 0 : entries;
    put(program, TABLE_OFFSET, damage == GO_WRONG_MAGIC ? 0xfffffff2 : magics[program->version], 4);
    put(program, TABLE_OFFSET + 4, 0x08010000, 4);
    put(program, TABLE_OFFSET + 8, damage == GO_COUNT_TOO_LARGE ? UINT64_C(1) << 61 : FUNCTIONS, 8);
    if (counts && damage != GO_NO_TEXT_START && damage != GO_NO_TEXT_START_NOR_BUILD_ID)
        put_address(program, 8 + 8 * 2, TEXT_ADDRESS);
    if (!is_first)
        put(program, TABLE_OFFSET + 8 + 8 * (counts ? 7 : 6), entries, 8);
    for (unsigned i = 0; i <= FUNCTIONS; i++) {
        size_t at = entries + 2 * number * i, record = RECORDS + RECORD_SIZE * i;
        unsigned start = starts[damage == GO_ENTRIES_OUT_OF_ORDER && i == 1 ? 3 : i], again = starts[i];
        if (damage == GO_ENTRIES_OUT_OF_ORDER)
            again = start;
        if (damage == GO_RECORD_OF_ANOTHER_FUNCTION && i == 2)
            again++;
        if (damage == GO_FUNCTION_OUTSIDE_CODE && i == FUNCTIONS - 1)
            start = again = 0x8000;
        if (damage == GO_FUNCTION_OUTSIDE_CODE && i == FUNCTIONS)
            start = again = 0x9000;
        if (counts) {
            put(program, TABLE_OFFSET + at, start, 4);
            put(program, TABLE_OFFSET + record, again, 4);
        } else {
            put_address(program, at, TEXT_ADDRESS + start);
            if (i < FUNCTIONS)
                put_address(program, record, TEXT_ADDRESS + again);
        }
        if (i < FUNCTIONS)
            put(program, TABLE_OFFSET + at + number, record - origin, number);
    }
    return RECORDS + RECORD_SIZE * FUNCTIONS;
}

static void write_headers(struct program *program, size_t table_size)
{
    static const char names[] =
        "\0.text\0.gopclntab\0.rela\0.shstrtab\0.data.rel.ro.gopclntab\0.data.rel.ro\0.go.buildinfo";
    bool is_among = program->damage == GO_AMONG_DATA || program->damage == GO_AMONG_DATA_WITHOUT_MARK;
    const char *table = program->damage == GO_RELOCATED ? ".data.rel.ro.gopclntab"
                        : is_among                      ? ".data.rel.ro"
                                                        : ".gopclntab";
    size_t name = 0, before = is_among ? 0x40 : 0;
    Elf64_Word mark = program->damage == GO_AMONG_DATA ? sizeof names - sizeof ".go.buildinfo" : 0;
    while (strcmp(names + name, table) != 0)
        name++;
    Elf64_Ehdr header = {.e_type = program->damage == GO_RELOCATED ? ET_DYN : ET_EXEC,
                         .e_machine = EM_X86_64,
                         .e_version = 1,
                         .e_shoff = HEADERS_OFFSET,
                         .e_ehsize = sizeof header,
                         .e_shentsize = sizeof(Elf64_Shdr),
                         .e_shnum = 6,
                         .e_shstrndx = 4};
    Elf64_Shdr sections[6] = {
        {0},
        {1, SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, TEXT_ADDRESS, TEXT_OFFSET, sizeof text - 1, 0, 0, 16, 0},
        {(Elf64_Word)name, SHT_PROGBITS, SHF_ALLOC, TABLE_ADDRESS - before, TABLE_OFFSET - before, table_size + before,
         0, 0, 32, 0},
        {18, SHT_RELA, SHF_ALLOC, 0x600000, RELOCATIONS_OFFSET, program->relocation_count * sizeof(Elf64_Rela), 0, 0, 8,
         sizeof(Elf64_Rela)},
        {24, SHT_STRTAB, 0, 0, HEADERS_OFFSET + sizeof sections, sizeof names, 0, 0, 1, 0},
        {mark, SHT_PROGBITS, SHF_ALLOC, 0x700000, FILE_SIZE - 16, 16, 0, 0, 16, 0},
    };
    memcpy(header.e_ident, "\177ELF\2\1\1", 7);
    memcpy(program->bytes, &header, sizeof header);
    memcpy(program->bytes + HEADERS_OFFSET, sections, sizeof sections);
    memcpy(program->bytes + HEADERS_OFFSET + sizeof sections, names, sizeof names);
}

static void write_program(const char *name, enum go_version version, enum go_damage damage)
{
    static struct program program;
    char path[512];
    program = (struct program){.version = version, .damage = damage};
    memcpy(program.bytes + TEXT_OFFSET, text, sizeof text - 1);
    if (damage == GO_NO_TEXT_START_NOR_BUILD_ID)
        program.bytes[TEXT_OFFSET] = 0xfe;
    size_t size = write_table(&program);
    write_headers(&program, damage == GO_CUT_SHORT ? 0x90 : size);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(program.bytes, sizeof program.bytes, 1, file), 1);
    assert_int_equal(fclose(file), 0);
}

/* The four accesses, and nothing else: not what stands in the identity, nor in the constant. */
static void expect_patched(const char *name)
{
    static const unsigned changed[] = {32, 41, 54, 67};
    assert_int_equal(
        run("%s patch %s -o %s.new --list %s.json && cmp -l %s %s.new | awk '{ printf \"%%d \", $1 - 1 - %d }'", tool,
            name, name, name, name, name, TEXT_OFFSET),
        0);
    char expected[64];
    snprintf(expected, sizeof expected, "%u %u %u %u ", changed[0], changed[1], changed[2], changed[3]);
    expect_said(expected);
    expect_said(": 4 fs: operands");
    assert_int_equal(
        run("%s patch --revert %s.json %s.new -o %s.old && cmp %s %s.old", tool, name, name, name, name, name), 0);
}

static void go_functions_are_known_in_every_layout(void **state)
{
    (void)state;
    for (enum go_version version = GO_1_2; version <= GO_1_20; version++) {
        write_program("go", version, GO_WHOLE);
        expect_patched("go");
        write_program("go.pie", version, GO_RELOCATED);
        expect_patched("go.pie");
    }
    write_program("go.new", GO_1_20, GO_NO_TEXT_START);
    expect_patched("go.new");
    write_program("go.among", GO_1_20, GO_AMONG_DATA);
    expect_patched("go.among");
}

static void go_table_that_does_not_fit_is_not_believed(void **state)
{
    (void)state;
    for (enum go_damage damage = GO_AMONG_DATA_WITHOUT_MARK; damage <= GO_CUT_SHORT; damage++)
        for (enum go_version version = GO_1_2; version <= GO_1_20; version++) {
            if (damage == GO_NO_TEXT_START_NOR_BUILD_ID && version < GO_1_18)
                continue;
            write_program("odd", version, damage);
            if (run("%s patch odd -o odd.new && cmp odd odd.new", tool) != 0)
                fail_msg("damage %d, version %d: %s", (int)damage, (int)version, said);
            expect_said("odd: 0 fs: operands");
        }
}

static void go_program_has_no_access_left(void **state)
{
    (void)state;
    if (!has_program("go"))
        skip();
    assert_int_equal(
        run("mkdir -p g && cd g && printf 'package main\\nimport \"fmt\"\\nfunc main() { c := make(chan int); "
            "go func() { c <- 42 }(); fmt.Println(<-c) }\\n' > p.go && export GOCACHE=$PWD/cache GO111MODULE=off "
            "CGO_ENABLED=0 HOME=$PWD && go build -o exec p.go && go build -ldflags '-s -w' -o bare p.go && "
            "go build -buildmode=pie -o pie p.go"),
        0);
    /* objdump reads Go's text without a mistake: no data stands in it. */
    static const char *const names[] = {"exec", "bare", "pie"};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(
            run("cd g && %s patch --strict %s -o new --list new.json && objdump -d --no-show-raw-insn %s | "
                "awk '/%%fs:/ && !/nop/ { sub(\":\", \"\", $1); print $1 }' | sort > 1 && "
                "python3 -c 'import json; print(*sorted(\"%%x\" %% s[\"address\"] for s in "
                "json.load(open(\"new.json\"))[\"sites\"]), sep=\"\\n\")' | sort > 2 && cmp 1 2 && wc -l < 1",
                tool, names[i], names[i]),
            0);
        expect_said("not trusted 0");
        assert_int_equal(run("cd g && test $(wc -l < 1) -gt 300 && ! objdump -d new | grep %%fs: && "
                             "%s patch --revert new.json new -o old && cmp old %s",
                             tool, names[i]),
                         0);
    }
}

/* --- Symbols. --- */

static const char assembly[] =
    ".text\n"
    ".globl f,g,table\n"
    ".type f,@function\n f: mov %fs:-8,%rax\n movl $1,%fs:(%rax)\n ret\n .size f,.-f\n"
    /* A table that looks like code, between; and one within, that has a symbol of its own. */
    ".byte 0x64,0x8b,0x00\n"
    ".type g,@function\n g: mov %fs:(%rdx),%ecx\n ret\n"
    ".type table,@object\n table: .byte 0x64,0x8b,0x00\n .size table,.-table\n .size g,.-g\n"
    /* No size; no function. */
    ".type h,@function\n h: mov %fs:(%rsi),%ecx\n ret\n"
    "i: mov %fs:(%rdi),%ecx\n ret\n .size i,.-i\n";

static void symbols_tell_of_functions_that_no_table_knows(void **state)
{
    (void)state;
    assert_int_equal(run("cat > s.s <<'END'\n%s\nEND\ncc -c s.s -o s.o && cc -shared -nostdlib s.o -o s.so && "
                         "cc -shared -nostdlib s.o -s -o s.bare",
                         assembly),
                     0);
    static const char *const names[] = {"s.o", "s.so"};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(run("%s patch %s -o s.new --list s.json && objdump -d s.new | grep -c %%gs:", tool, names[i]),
                         0);
        expect_said(": 3 fs: operands");
        expect_said("not trusted 4");
        expect_said("\n3\n");
        assert_int_equal(run("%s patch --revert s.json s.new -o s.old && cmp s.old %s", tool, names[i]), 0);
    }
    /* Without a table of symbols, the dynamic one has those that are not local. */
    assert_int_equal(run("%s patch s.bare --dry-run", tool), 0);
    expect_said(": 3 fs: operands");
}

static void static_program_without_eh_frame_has_no_access_left(void **state)
{
    (void)state;
    if (run("printf '#include <errno.h>\\n#include <stdio.h>\\n__thread int v = 3;\\nint main(int c, char **a) { v += "
            "c; errno = "
            "c; return printf(\"%%%%d %%%%s\\\\n\", v, *a) < 0; }\\n' > st.c && cc -O1 -static st.c -o st") != 0) {
        print_message("SKIP: there is no static C library\n");
        skip();
    }
    assert_int_equal(
        run("objcopy -R .eh_frame -R .eh_frame_hdr st st.none && strip st.none -o st.bare && "
            "%s patch st --dry-run --json > st.json && %s patch st.none --dry-run --json > st.none.json && "
            "%s patch st.none -o st.new --strict",
            tool, tool, tool),
        0);
    json_t *with = load("st.json"), *without = load("st.none.json");
    json_t *sites = json_object_get(with, "sites"), *others = json_object_get(without, "sites");
    assert_true(json_array_size(sites) > 500);
    assert_int_equal(json_array_size(sites), json_array_size(others));
    for (size_t i = 0; i < json_array_size(sites); i++)
        assert_int_equal(json_integer_value(json_object_get(json_array_get(sites, i), "address")),
                         json_integer_value(json_object_get(json_array_get(others, i), "address")));
    json_decref(with);
    json_decref(without);
    /* Without either: what is left alone is reported, and shows in the status if that is asked for. The file is
     * written. */
    assert_int_equal(run("%s patch st.bare -o st.new", tool), 0);
    expect_said(" look real)");
    assert_int_equal(run("rm st.new; %s patch st.bare -o st.new --strict", tool), 3);
    expect_said("looks like a compiler's access");
    assert_int_equal(run("test -e st.new && mkdir -p sd && cp st.bare sd && %s patch sd -o sn --strict", tool), 3);
    expect_said("sd/st.bare: ");
    expect_said("1 file patched");
}

/* Tables of constants are left alone, and are no reason for another status. */
static void table_that_looks_like_code_is_no_access(void **state)
{
    (void)state;
    assert_int_equal(run("%s patch /usr/lib/x86_64-linux-gnu/libcrypto.so.3 --dry-run --strict", tool), 0);
    expect_said("in no strict form");
    assert_null(strstr(said, "look real"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(go_functions_are_known_in_every_layout),
        cmocka_unit_test(go_table_that_does_not_fit_is_not_believed),
        cmocka_unit_test(go_program_has_no_access_left),
        cmocka_unit_test(symbols_tell_of_functions_that_no_table_knows),
        cmocka_unit_test(static_program_without_eh_frame_has_no_access_left),
        cmocka_unit_test(table_that_looks_like_code_is_no_access),
    };
    return cmocka_run_group_tests(tests, tool_prepare, tool_clean);
}
