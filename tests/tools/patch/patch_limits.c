/* patch_limits.c: segue patch on files that are large, damaged on purpose, or change while they are read: it ends, it
 * needs little memory, and it says why. */
#include "tests/support/tool_run.h"

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIBC "/lib/x86_64-linux-gnu/libc.so.6"
#define LIBM "/lib/x86_64-linux-gnu/libm.so.6"
#define KIB_OF_100_MIB (100 * 1024)

/* Runs the tool itself, its words going nowhere, and returns its exit code; stores the most memory that it had, in KiB:
 * what wait4 reports, which counts all pages that were in the process at once. */
static int run_measured(long *most, const char *const *arguments)
{
    pid_t child = fork();
    int status;
    struct rusage usage;
    assert_true(child >= 0);
    if (child == 0) {
        int nowhere = open("/dev/null", O_WRONLY);
        if (nowhere < 0 || dup2(nowhere, STDOUT_FILENO) < 0 || dup2(nowhere, STDERR_FILENO) < 0 || chdir(folder) != 0)
            _exit(120);
        execv(tool, (char *const *)(uintptr_t)arguments);
        _exit(121);
    }
    assert_int_equal(wait4(child, &status, 0, &usage), child);
    assert_true(WIFEXITED(status));
    *most = usage.ru_maxrss;
    return WEXITSTATUS(status);
}

#define RUN_MEASURED(most, ...) run_measured(most, (const char *const[]){"segue", "patch", __VA_ARGS__, NULL})

/* A file with `count` headers of one section of code, each over the same bytes, which are all strict forms. */
static void write_overlapping(const char *name, unsigned count, uint32_t type, uint64_t flags)
{
    static const unsigned char form[] = {0x64, 0x48, 0x8b, 0x04, 0x25, 0x28, 0, 0, 0};
    size_t size = 1u << 20;
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    Elf64_Ehdr header = {.e_type = ET_EXEC,
                         .e_machine = EM_X86_64,
                         .e_version = 1,
                         .e_shoff = sizeof header + size,
                         .e_ehsize = sizeof header,
                         .e_shentsize = sizeof(Elf64_Shdr),
                         .e_shnum = (Elf64_Half)(count + 1)};
    memcpy(header.e_ident, "\177ELF\2\1\1", 7);
    fwrite(&header, sizeof header, 1, file);
    for (size_t i = 0; i < size; i++)
        fputc(form[i % sizeof form], file);
    Elf64_Shdr section = {0};
    fwrite(&section, sizeof section, 1, file);
    section = (Elf64_Shdr){
        .sh_type = type, .sh_flags = flags, .sh_offset = sizeof header, .sh_size = size, .sh_addr = 0x1000};
    for (unsigned i = 0; i < count; i++)
        fwrite(&section, sizeof section, 1, file);
    assert_int_equal(fclose(file), 0);
}

static void sections_that_overlap_are_refused_before_anything_is_scanned(void **state)
{
    long most;
    (void)state;
    write_overlapping("overlap", 2000, SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR);
    assert_int_equal(run("timeout 20 %s patch overlap --dry-run", tool), 1);
    expect_said("overlap");
    assert_int_equal(RUN_MEASURED(&most, "overlap", "--dry-run"), 1);
    assert_true(most < 32 * 1024);
    /* One of them is no fault. */
    write_overlapping("single", 1, SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR);
    assert_int_equal(run("%s patch single --dry-run", tool), 0);
    expect_said("116508 fs: operands");
    /* What describes code is read, too: symbols. */
    write_overlapping("symbols", 2000, SHT_SYMTAB, 0);
    assert_int_equal(run("timeout 20 %s patch symbols --dry-run", tool), 1);
}

static void sparse_file_stays_sparse_and_takes_little_memory(void **state)
{
    long most;
    (void)state;
    assert_int_equal(run("cp " LIBC " sparse && truncate -s 3G sparse"), 0);
    assert_int_equal(RUN_MEASURED(&most, "sparse", "-o", "sparse.new", "--list", "sparse.json"), 0);
    assert_true(most < KIB_OF_100_MIB);
    assert_int_equal(RUN_MEASURED(&most, "--verify", "sparse.json", "sparse.new"), 0);
    assert_true(most < KIB_OF_100_MIB);
    assert_int_equal(RUN_MEASURED(&most, "--revert", "sparse.json", "sparse.new", "-o", "sparse.old"), 0);
    assert_true(most < KIB_OF_100_MIB);
    assert_int_equal(
        run("test $(stat -c %%s sparse.new) = 3221225472 && test $(du -k sparse.new | cut -f1) -lt 8192 && "
            "test $(du -k sparse.old | cut -f1) -lt 8192 && head -c 4000000 sparse.old > 1 && "
            "head -c 4000000 sparse | cmp - 1"),
        0);
    /* Of a tree, what is only copied. */
    assert_int_equal(
        run("mkdir -p st && truncate -s 3G st/empty && %s patch st -o st.new && "
            "test $(du -k st.new/empty | cut -f1) -lt 1024 && test $(stat -c %%s st.new/empty) = 3221225472 && "
            "rm -rf sparse* st st.new",
            tool),
        0);
}

/* More sites than are kept in memory: 932,064 in one section of 8 MiB. */
static void many_sites_take_little_memory(void **state)
{
    long most;
    (void)state;
    assert_int_equal(run("printf '.text\\n.globl f\\n.type f,@function\\nf:\\n.cfi_startproc\\n.rept 932064\\n"
                         "mov %%%%fs:0x28,%%%%rax\\n.endr\\nret\\n.cfi_endproc\\n.size f,.-f\\n' > many.s && "
                         "cc -shared -nostdlib -x assembler many.s -o many"),
                     0);
    assert_int_equal(RUN_MEASURED(&most, "many", "-o", "many.new", "--list", "many.json"), 0);
    assert_true(most < KIB_OF_100_MIB);
    assert_int_equal(RUN_MEASURED(&most, "many", "--dry-run", "--json"), 0);
    assert_true(most < KIB_OF_100_MIB);
    assert_int_equal(RUN_MEASURED(&most, "--verify", "many.json", "many.new"), 0);
    assert_true(most < KIB_OF_100_MIB);
    assert_int_equal(run("grep -c '\"old\": 100' many.json"), 0);
    assert_int_equal(atoi(said), 932064);
    assert_int_equal(run("%s patch --revert many.json many.new -o many.old && cmp many many.old && rm many*", tool), 0);
}

/* Code that would take minutes if each system call, relocation or symbol were looked for from the start. */
static void damaged_tables_take_no_time(void **state)
{
    (void)state;
    /* 60,000 functions in an object, their relocations in an order that no assembler makes. */
    assert_int_equal(
        run("printf '.text\\n.rept 60000\\n.cfi_startproc\\nmov %%%%fs:8,%%%%rax\\n.cfi_endproc\\n.endr\\n' > fde.s && "
            "cc -c -x assembler fde.s -o fde.o && timeout 60 %s patch fde.o --dry-run",
            tool),
        0);
    expect_said("fde.o: 60000 fs: operands");
    assert_int_equal(run("python3 - <<'END'\n"
                         "import struct\n"
                         "d = bytearray(open('fde.o', 'rb').read())\n"
                         "shoff = struct.unpack_from('<Q', d, 40)[0]; n = struct.unpack_from('<H', d, 60)[0]\n"
                         "for i in range(n):\n"
                         "    h = struct.unpack_from('<IIQQQQIIQQ', d, shoff + 64 * i)\n"
                         "    if h[1] == 4:\n"
                         "        e = [bytes(d[h[4] + 24 * j:h[4] + 24 * j + 24]) for j in range(h[5] // 24)]\n"
                         "        d[h[4]:h[4] + h[5]] = b''.join(reversed(e))\n"
                         "open('reversed.o', 'wb').write(d)\n"
                         "END\n"
                         "timeout 60 %s patch reversed.o --dry-run",
                         tool),
                     0);
    expect_said("reversed.o: 60000 fs: operands");
}

/* Cut short again and again while it is read: an error each time, or a result that fits, but no signal. */
static void file_that_shrinks_meanwhile_is_an_error(void **state)
{
    (void)state;
    assert_int_equal(run("cp " LIBC " shrinks.whole; for i in 1 2 3 4 5 6 7 8 9 10; do cp shrinks.whole shrinks; "
                         "( for j in 1 2 3 4 5 6; do truncate -s 100000 shrinks; truncate -s 1900000 shrinks; done ) & "
                         "%s patch shrinks -o shrinks.new --list shrinks.json; c=$?; wait; "
                         "[ $c = 1 ] || { [ $c = 0 ] && %s patch --verify shrinks.json shrinks.new; } || exit 9; done",
                         tool, tool),
                     0);
}

static void long_work_on_one_file_shows_how_far_it_is(void **state)
{
    (void)state;
    if (!has_program("script"))
        skip();
    /* Holes take time to sum up, and nothing else. */
    assert_int_equal(run("cp " LIBM
                         " slow && truncate -s 24G slow && script -qec 'timeout -s INT 4 %s patch slow --dry-run "
                         "--json >/dev/null' slow.log </dev/null >/dev/null; grep -c '%% ' slow.log; rm slow*",
                         tool),
                     0);
    assert_true(atoi(said) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sections_that_overlap_are_refused_before_anything_is_scanned),
        cmocka_unit_test(sparse_file_stays_sparse_and_takes_little_memory),
        cmocka_unit_test(many_sites_take_little_memory),
        cmocka_unit_test(damaged_tables_take_no_time),
        cmocka_unit_test(file_that_shrinks_meanwhile_is_an_error),
        cmocka_unit_test(long_work_on_one_file_shows_how_far_it_is),
    };
    return cmocka_run_group_tests(tests, tool_prepare, tool_clean);
}
