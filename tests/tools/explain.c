/* explain.c: `segue explain`, run as a user runs it. The environment names the command (SEGUE_TOOL) and the small ELF
 * files that tool_code_*.S become (SEGUE_CODE_64, SEGUE_CODE_32, SEGUE_OBJECT). */
#include "tool_outputs.h"

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* "FILE:PLACE", where the environment names the file. Overwritten by the next call. */
static const char *place(const char *file, const char *where)
{
    static char text[4096];
    snprintf(text, sizeof text, "%s:%s", variable(file), where);
    return text;
}

static void explain_hex_tells_each_instruction(void **state)
{
    (void)state;
    struct run run;
    RUN(&run, "explain", "64 48 8b 44 cb 10", "0xc7,0x05,0x34,0x12,0x00,0x00,0x01,0x00,0x00,0x00", "\\x0f\\xb6\\x07");
    assert_int_equal(run.code, 0);
    assert_string_equal(run.err, "");
    assert_string_equal(run.out, "        +0x0  64 48 8b 44 cb 10              mov rax, fs:[rbx+rcx*8+0x10]\n"
                                 "              reads 8 bytes at fs:[rbx + rcx*8 + 0x10]\n"
                                 "              can be stepped by the move engine\n"
                                 "        +0x6  c7 05 34 12 00 00 01 00 00 00  mov dword ptr [rip+0x1234], 0x01\n"
                                 "              writes 4 bytes at [rip + 0x1234]\n"
                                 "              can be stepped by the move engine\n"
                                 "       +0x10  0f b6 07                       movzx eax, byte ptr [rdi]\n"
                                 "              reads 1 byte at [rdi]\n"
                                 "              can be stepped by the move engine\n");
}

static void explain_hex_joins_arguments(void **state)
{
    (void)state;
    struct run run;
    RUN(&run, "explain", "48", "8B", "0X45", "f8");
    assert_int_equal(run.code, 0);
    expect(run.out, "reads 8 bytes at [rbp - 0x8]\n");
    /* Not taken for an access that wraps around: no register of a real program holds 0 there. */
    expect(run.out, "can be stepped by the move engine");
}

static void explain_tells_cut_addresses(void **state)
{
    (void)state;
    struct run run;
    RUN(&run, "explain", "678a08", "--mode", "64");
    expect(run.out, "reads 1 byte at [eax], the address cut to 32 bits\n");
    RUN(&run, "explain", "67 8b 07", "--mode", "32");
    expect(run.out, "reads 4 bytes at [bx], the address cut to 16 bits\n");
    RUN(&run, "explain", "8b 07", "--mode", "32");
    expect(run.out, "reads 4 bytes at [edi]\n");
}

/* Zydis 4.0.0 has a base register R13D here; neither the text nor the access may. */
static void explain_text_is_mended_as_the_decoder_is(void **state)
{
    (void)state;
    struct run run;
    RUN(&run, "explain", "67 43 8b 04 85 44 33 22 11");
    assert_int_equal(run.code, 0);
    expect(run.out, "mov eax, [r8d*4+0x11223344]\n");
    expect(run.out, "reads 4 bytes at [r8d*4 + 0x11223344]");
    assert_null(strstr(run.out, "r13d"));
}

static void explain_tells_why_not(void **state)
{
    (void)state;
    struct run run;
    RUN(&run, "explain", "90");
    assert_int_equal(run.code, 0);
    expect(run.out, "cannot be stepped: it accesses no memory\n");
    RUN(&run, "explain", "f0 48 0f c1 08");
    expect(run.out, "lock xadd [rax], rcx\n");
    expect(run.out, "reads and writes 8 bytes at [rax], in one locked operation\n");
}

/* mov eax, [rdi+10h] in front of mov [rsp+8], rax: the pun's last byte is 48, so it can reach 16 MiB. */
static void explain_hot_tells_tactics(void **state)
{
    struct run run;
    (void)state;
    RUN(&run, "explain", "--hot", "--count", "1", "8b 47 10 48 89 44 24 08 90 90 90 90");
    assert_int_equal(run.code, 0);
    expect(run.out, "not by B1: it has fewer than five bytes\n");
    expect(run.out,
           "can become a hot site by B2, a jump that ends in bytes of its successor: 65536 places for its body\n");
    expect(run.out, "can become a hot site by T1, the same behind prefixes: 256 places for its body\n");
    expect(run.out, "by T2, the same, and its successor becomes a jump, too: 16777216 places for its body\n");
    RUN(&run, "explain", "--hot", "48 8b 05 00 10 00 00");
    expect(run.out, "can become a hot site by B1, a jump in place: 4294967296 places for its body\n");
    expect(run.out,
           "can become a hot site without a jump, where no policy is asked and nothing is counted: its constant "
           "address becomes the alias's\n");
    RUN(&run, "explain", "--hot", "8b 07");
    assert_null(strstr(run.out, "constant"));
    expect(run.out, "not by B2: the bytes behind it are not known\n");
    expect(run.out, "not by T2: the bytes behind it are not known\n");
}

static void explain_hot_tells_why_not(void **state)
{
    struct run run;
    (void)state;
    RUN(&run, "explain", "--hot", "f3 a4");
    expect(run.out, "goes on faulting in a hot region: its accesses are not those of one operand");
    RUN(&run, "explain", "--hot", "64 8b 07");
    expect(run.out, "goes on faulting in a hot region: its accesses are not those of one operand");
    RUN(&run, "explain", "--hot", "90");
    expect(run.out, "goes on faulting in a hot region: it accesses no memory\n");
    RUN(&run, "explain", "--hot", "--mode", "32", "8b 07");
    expect(run.out, "goes on faulting in a hot region: only 64-bit code becomes hot\n");
    RUN(&run, "explain", "8b 07");
    assert_null(strstr(run.out, "hot"));
}

static void explain_hot_is_in_json(void **state)
{
    struct run run;
    (void)state;
    RUN(&run, "explain", "--hot", "--json", "--count", "1", "48 8b 47 10 90 90 90 90 90 90 90");
    expect(run.out, "\"name\": \"B2\"");
    expect(run.out, "\"places\": 16777216");
    expect(run.out, "\"constant\": false");
    RUN(&run, "explain", "--hot", "--json", "90");
    expect(run.out, "\"refusal\": \"it accesses no memory\"");
    expect(run.out, "\"tactics\": []");
}

static void explain_bad_hex_is_misuse(void **state)
{
    (void)state;
    struct run run;
    RUN(&run, "explain", "48", "8b zz");
    assert_int_equal(run.code, 2);
    assert_string_equal(run.out, "");
    expect(run.err, "'8b zz' is no pair of hex digits from character 4 on");
    RUN(&run, "explain", "488");
    assert_int_equal(run.code, 2);
    expect(run.err, "'488' is no pair of hex digits from character 3 on");
    RUN(&run, "explain", "0x");
    assert_int_equal(run.code, 2);
    RUN(&run, "explain", " , ");
    assert_int_equal(run.code, 2);
    expect(run.err, "not one byte");
    RUN(&run, "explain");
    assert_int_equal(run.code, 2);
}

static void explain_undecodable_hex_stops(void **state)
{
    (void)state;
    struct run run;
    RUN(&run, "explain", "90 06 90");
    assert_int_equal(run.code, 1);
    expect(run.err, "no instruction in 64-bit mode at byte 1 (06 90)");
    expect(run.out, "+0x0  90");
    assert_null(strstr(run.out, "+0x2"));
    RUN(&run, "explain", "--mode=32", "90 06 90");
    assert_int_equal(run.code, 0);
    expect(run.out, "push es");
}

static void explain_truncated_hex_is_told_as_such(void **state)
{
    (void)state;
    struct run run;
    RUN(&run, "explain", "90 48 8b");
    assert_int_equal(run.code, 1);
    expect(run.err, "end before the instruction does, at byte 1 (48 8b)");
}

static void explain_symbol_is_whole(void **state)
{
    (void)state;
    struct run run;
    RUN(&run, "explain", place("SEGUE_CODE_64", "sample"));
    expect(run.out, "0x500000  64 48 8b 44 cb 10 ");
    expect(run.out, "writes 4 bytes at [rip + 0xffff0] = 0x600000\n");
    expect(run.out, "0x500011  67 8a 08 ");
    expect(run.out, "0x500014  c3 ");
    assert_null(strstr(run.out, "0x500015"));
    /* One byte in it is not an instruction: skipped, and reported. */
    expect(run.out, "0x500010  06                             (no instruction in 64-bit mode)\n");
    assert_int_equal(run.code, 1);
}

static void explain_place_in_symbol_is_one_instruction(void **state)
{
    (void)state;
    struct run run;
    RUN(&run, "explain", place("SEGUE_CODE_64", "sample+6"));
    assert_int_equal(run.code, 0);
    expect(run.out, "0x500006");
    assert_null(strstr(run.out, "0x500010"));
    RUN(&run, "explain", place("SEGUE_CODE_64", "sample+0x11"), "--count", "2");
    assert_int_equal(run.code, 0);
    expect(run.out, "0x500011");
    expect(run.out, "0x500014");
    assert_null(strstr(run.out, "0x500015"));
    RUN(&run, "explain", place("SEGUE_CODE_64", "sample+21"));
    assert_int_equal(run.code, 1);
    expect(run.err, "outside the symbol, which is 21 bytes long");
}

static void explain_symbol_name_may_hold_a_plus(void **state)
{
    (void)state;
    struct run run;
    RUN(&run, "explain", place("SEGUE_CODE_64", "odd+1"));
    assert_int_equal(run.code, 0);
    expect(run.out, "writes 2 bytes at [rbp - 0x2]\n");
    expect(run.err, "does not say how long 'odd+1' is");
    RUN(&run, "explain", place("SEGUE_CODE_64", "odd+1+4"));
    assert_int_equal(run.code, 0);
    expect(run.out, "0x500019  c3 ");
}

static void explain_address_is_one_instruction(void **state)
{
    (void)state;
    struct run run;
    RUN(&run, "explain", place("SEGUE_CODE_64", "0x500011"));
    assert_int_equal(run.code, 0);
    expect(run.out, "0x500011  67 8a 08 ");
    assert_null(strstr(run.out, "0x500014"));
    RUN(&run, "explain", place("SEGUE_CODE_64", "5242897"));
    expect(run.out, "0x500011  67 8a 08 ");
    RUN(&run, "explain", place("SEGUE_CODE_64", "0x1000"));
    assert_int_equal(run.code, 1);
    expect(run.err, "address 0x1000 is not in ");
    RUN(&run, "explain", place("SEGUE_CODE_64", "99999999999999999999999"));
    assert_int_equal(run.code, 1);
    expect(run.err, "is no address");
}

static void explain_unusable_symbols_say_why(void **state)
{
    static const struct {
        const char *symbol, *message;
    } cases[] = {
        {"nosuch", "has no symbol 'nosuch'"},
        {"nosuch+4", "has no symbol 'nosuch+4'"},
        {"twin", "has several symbols 'twin', two of them at 0x"},
        {"counter", "'counter' in "},
        {"zeroed", "it is zeroed memory"},
    };
    (void)state;
    struct run run;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        RUN(&run, "explain", place("SEGUE_CODE_64", cases[i].symbol));
        assert_int_equal(run.code, 1);
        assert_string_equal(run.out, "");
        expect(run.err, cases[i].message);
    }
    RUN(&run, "explain", place("SEGUE_TOOL", "memfd_create"));
    assert_int_equal(run.code, 1);
    expect(run.err, "'memfd_create' is only used by ");
}

static void explain_32_bit_file_is_read_as_such(void **state)
{
    (void)state;
    struct run run;
    RUN(&run, "explain", place("SEGUE_CODE_32", "sample"));
    assert_int_equal(run.code, 0);
    expect(run.out, "reads 4 bytes at [ebp + 0x8]\n");
    expect(run.out, "push es\n");
    expect(run.out, "perhaps writes 2 bytes at [esp - 0x2]\n");
    expect(run.out, "reads 4 bytes at gs:[0x14]\n");
    RUN(&run, "explain", "--mode", "64", place("SEGUE_CODE_32", "sample+3"));
    assert_int_equal(run.code, 1);
    expect(run.out, "(no instruction in 64-bit mode)");
}

static void explain_stripped_shared_object_by_dynamic_symbol(void **state)
{
    static const char libc[] = "/lib/x86_64-linux-gnu/libc.so.6";
    (void)state;
    struct run run;
    if (access(libc, R_OK) != 0) {
        print_message("SKIP: there is no %s\n", libc);
        skip();
    }
    RUN(&run, "explain", "/lib/x86_64-linux-gnu/libc.so.6:getpid");
    assert_int_equal(run.code, 0);
    expect(run.out, "syscall\n");
    expect(run.out, "ret\n");
    /* Defined in two versions; today's is the one that is meant, and it is chosen at run time. */
    RUN(&run, "explain", "/lib/x86_64-linux-gnu/libc.so.6:memcpy");
    assert_int_equal(run.code, 0);
    expect(run.err, "'memcpy' is chosen when the program starts");
}

static void explain_files_that_are_not_for_it_say_why(void **state)
{
    (void)state;
    struct run run;
    RUN(&run, "explain", "/proc/self/status:main");
    assert_int_equal(run.code, 1);
    expect(run.err, "/proc/self/status is not an ELF file");
    RUN(&run, "explain", "/nonexistent/file:main");
    assert_int_equal(run.code, 1);
    expect(run.err, "cannot open /nonexistent/file: No such file or directory");
    RUN(&run, "explain", "/:main");
    assert_int_equal(run.code, 1);
    expect(run.err, "/ is not a regular file");
    RUN(&run, "explain", place("SEGUE_OBJECT", "0x10"));
    assert_int_equal(run.code, 1);
    expect(run.err, "is a relocatable object");
}

/* Writes a changed copy of the 64-bit file to `path`, a template for mkstemp. */
static void write_variant(char *path, uint16_t machine, size_t size)
{
    struct stat status;
    int from = open(variable("SEGUE_CODE_64"), O_RDONLY);
    assert_true(from >= 0 && fstat(from, &status) == 0);
    size_t whole = (size_t)status.st_size;
    char *bytes = malloc(whole);
    assert_non_null(bytes);
    assert_int_equal(read(from, bytes, whole), whole);
    close(from);
    memcpy(bytes + offsetof(Elf64_Ehdr, e_machine), &machine, sizeof machine);
    int to = mkstemp(path);
    size_t kept = size < whole ? size : whole;
    assert_true(to >= 0);
    assert_int_equal(write(to, bytes, kept), kept);
    close(to);
    free(bytes);
}

static void explain_damaged_and_foreign_files_say_why(void **state)
{
    static const struct {
        uint16_t machine;
        size_t size;
        const char *message;
    } cases[] = {
        {EM_AARCH64, SIZE_MAX, "is for another processor (ELF machine 183)"},
        {EM_X86_64, 0x1005, "is cut short: its section header table"},
        {EM_X86_64, 8, "is cut short: its ELF header (64 bytes"},
        {EM_X86_64, 0, " is not an ELF file"},
    };
    (void)state;
    struct run run;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[] = "/tmp/segue-tool-XXXXXX";
        char argument[64];
        write_variant(path, cases[i].machine, cases[i].size);
        snprintf(argument, sizeof argument, "%s:sample", path);
        RUN(&run, "explain", argument);
        unlink(path);
        assert_int_equal(run.code, 1);
        expect(run.err, cases[i].message);
    }
}

/* The file ends within the first instruction of .text. */
static void explain_file_that_is_cut_short_says_so(void **state)
{
    (void)state;
    struct run run;
    char path[] = "/tmp/segue-tool-XXXXXX";
    char argument[64];
    write_variant(path, EM_X86_64, 0x1005);
    snprintf(argument, sizeof argument, "%s:0x500000", path);
    RUN(&run, "explain", argument);
    assert_int_equal(run.code, 1);
    expect(run.out, "64 48 8b 44 cb                 (the bytes end before the instruction does)\n");
    snprintf(argument, sizeof argument, "%s:0x500011", path);
    RUN(&run, "explain", argument);
    unlink(path);
    assert_int_equal(run.code, 1);
    expect(run.err, "is cut short: the bytes of address 0x500011 are at offset 0x1011, and the file ends at 0x1005");
}

static void explain_json_is_complete(void **state)
{
    (void)state;
    struct run run;
    RUN(&run, "explain", "--json", place("SEGUE_CODE_64", "sample"));
    assert_int_equal(run.code, 1);
    json_t *list = parse(run.out);
    assert_int_equal(json_array_size(list), 5);

    const json_t *load = json_array_get(list, 0);
    assert_string_equal(text_of(load, "address"), "0x500000");
    assert_string_equal(text_of(load, "bytes"), "64 48 8b 44 cb 10");
    assert_int_equal(json_integer_value(json_object_get(load, "length")), 6);
    assert_string_equal(text_of(load, "mnemonic"), "mov");
    assert_string_equal(text_of(load, "class"), "move");
    assert_string_equal(text_of(load, "text"), "mov rax, fs:[rbx+rcx*8+0x10]");
    assert_string_equal(text_of(load, "engine"), "move");
    assert_true(json_is_null(json_object_get(load, "refusal")));
    const json_t *access = json_array_get(json_object_get(load, "accesses"), 0);
    assert_string_equal(text_of(access, "direction"), "read");
    assert_string_equal(text_of(access, "segment"), "fs");
    assert_string_equal(text_of(access, "base"), "rbx");
    assert_string_equal(text_of(access, "index"), "rcx");
    assert_int_equal(json_integer_value(json_object_get(access, "size")), 8);
    assert_int_equal(json_integer_value(json_object_get(access, "scale")), 8);
    assert_int_equal(json_integer_value(json_object_get(access, "displacement")), 16);
    assert_true(json_is_null(json_object_get(access, "address")));

    const json_t *store = json_array_get(json_object_get(json_array_get(list, 1), "accesses"), 0);
    assert_string_equal(text_of(store, "direction"), "write");
    assert_string_equal(text_of(store, "base"), "rip");
    assert_true(json_is_null(json_object_get(store, "index")));
    assert_string_equal(text_of(store, "address"), "0x600000");

    assert_string_equal(text_of(json_array_get(list, 2), "error"), "no instruction in 64-bit mode");
    assert_string_equal(text_of(json_array_get(list, 4), "mnemonic"), "ret");
    json_decref(list);
}

static void explain_json_of_hex_gives_offsets_and_refusals(void **state)
{
    (void)state;
    struct run run;
    RUN(&run, "explain", "--json", "90 90 48 8b");
    assert_int_equal(run.code, 1);
    json_t *list = parse(run.out);
    assert_int_equal(json_array_size(list), 3);
    const json_t *second = json_array_get(list, 1);
    assert_int_equal(json_integer_value(json_object_get(second, "offset")), 1);
    assert_string_equal(text_of(second, "refusal"), "it accesses no memory");
    assert_true(json_is_null(json_object_get(second, "engine")));
    assert_string_equal(text_of(json_array_get(list, 2), "error"), "the bytes end before the instruction does");
    json_decref(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(explain_hex_tells_each_instruction),
        cmocka_unit_test(explain_hex_joins_arguments),
        cmocka_unit_test(explain_tells_cut_addresses),
        cmocka_unit_test(explain_text_is_mended_as_the_decoder_is),
        cmocka_unit_test(explain_tells_why_not),
        cmocka_unit_test(explain_hot_tells_tactics),
        cmocka_unit_test(explain_hot_tells_why_not),
        cmocka_unit_test(explain_hot_is_in_json),
        cmocka_unit_test(explain_bad_hex_is_misuse),
        cmocka_unit_test(explain_undecodable_hex_stops),
        cmocka_unit_test(explain_truncated_hex_is_told_as_such),
        cmocka_unit_test(explain_symbol_is_whole),
        cmocka_unit_test(explain_place_in_symbol_is_one_instruction),
        cmocka_unit_test(explain_symbol_name_may_hold_a_plus),
        cmocka_unit_test(explain_address_is_one_instruction),
        cmocka_unit_test(explain_unusable_symbols_say_why),
        cmocka_unit_test(explain_32_bit_file_is_read_as_such),
        cmocka_unit_test(explain_stripped_shared_object_by_dynamic_symbol),
        cmocka_unit_test(explain_files_that_are_not_for_it_say_why),
        cmocka_unit_test(explain_damaged_and_foreign_files_say_why),
        cmocka_unit_test(explain_file_that_is_cut_short_says_so),
        cmocka_unit_test(explain_json_is_complete),
        cmocka_unit_test(explain_json_of_hex_gives_offsets_and_refusals),
    };
    return cmocka_run_group_tests_name("explain", tests, NULL, NULL);
}
