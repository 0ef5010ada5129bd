/* patch_tool.c: segue patch, run as a user runs it, on copies of the system's own libraries. The environment names the
 * command (SEGUE_TOOL) and a relocatable object (SEGUE_OBJECT). */
#include "tests/support/tool_run.h"

#include <stdlib.h>
#include <string.h>

#define LIBC "/lib/x86_64-linux-gnu/libc.so.6"
#define LIBM "/lib/x86_64-linux-gnu/libm.so.6"

static json_int_t count_of(json_t *list, const char *name)
{
    return json_integer_value(json_object_get(json_object_get(list, "counts"), name));
}

/* --- What is written. --- */

static void patched_file_differs_in_the_listed_bytes_alone(void **state)
{
    (void)state;
    assert_int_equal(run("%s patch " LIBC " -o libc.new --list libc.json", tool), 0);
    json_t *list = load("libc.json");
    size_t changed = json_array_size(json_object_get(list, "sites"));
    assert_int_equal(changed, count_of(list, "accesses") + count_of(list, "bases"));
    assert_true(changed > 4000);
    assert_int_equal(count_of(list, "untrusted"), 0);
    assert_int_equal(count_of(list, "clones"), 1);
    json_decref(list);
    /* cmp -l: one line for each byte that differs, in octal: 144 is 64h, 145 is 65h. */
    assert_int_equal(run("cmp -l " LIBC " libc.new | awk '$2 == 144 && $3 == 145' | wc -l"), 0);
    assert_int_equal(atoi(said), changed);
    assert_int_equal(run("cmp -l " LIBC " libc.new | wc -l"), 0);
    assert_int_equal(atoi(said), changed);
}

static void verify_and_revert_bring_the_original_back(void **state)
{
    (void)state;
    assert_int_equal(run("%s patch " LIBM " -o m.new --list m.json", tool), 0);
    assert_int_equal(run("%s patch --verify m.json m.new", tool), 0);
    expect_said("as in the list");
    assert_int_equal(run("%s patch --verify m.json " LIBM, tool), 1);
    expect_said("64, and 65 in the list");
    assert_int_equal(run("%s patch --revert m.json m.new -o m.old && cmp m.old " LIBM, tool), 0);
    /* What --json prints is a list, too. */
    assert_int_equal(run("%s patch " LIBM " --dry-run --json > m.printed.json", tool), 0);
    assert_int_equal(run("%s patch --verify m.printed.json m.new", tool), 0);
}

static void second_patch_changes_nothing(void **state)
{
    (void)state;
    assert_int_equal(run("%s patch " LIBM " -o m.1 && %s patch m.1 -o m.2 && cmp m.1 m.2", tool, tool), 0);
    expect_said("m.1: 0 fs: operands");
    /* And the other direction leads back. */
    assert_int_equal(run("%s patch m.1 --from gs --to fs -o m.3 && cmp m.3 " LIBM, tool), 0);
}

static void permissions_and_times_are_kept_and_the_input_is_not_touched(void **state)
{
    (void)state;
    assert_int_equal(
        run("cp " LIBM " m.in && chmod 640 m.in && touch -d '2001-02-03 04:05:06.789' m.in && sum m.in > sum.1 && "
            "%s patch m.in -o m.out && stat -c '%%a %%y' m.in > 1 && stat -c '%%a %%y' m.out > 2 && cmp 1 2",
            tool),
        0);
    assert_int_equal(run("sum m.in > sum.2 && cmp sum.1 sum.2"), 0);
    /* In place. */
    assert_int_equal(run("%s patch m.in -o m.in && cmp m.in m.out && stat -c '%%a %%y' m.in > 1 && cmp 1 2", tool), 0);
    assert_int_equal(run("ls m.out.* m.in.* 2>/dev/null | wc -l"), 0);
    assert_int_equal(atoi(said), 0);
}

/* --- What is refused. --- */

static void another_build_is_refused(void **state)
{
    (void)state;
    assert_int_equal(run("%s patch " LIBM " -o m.new --list m.json", tool), 0);
    assert_int_equal(run("%s patch --verify m.json " LIBC, tool), 1);
    expect_said("the list is for a file of");
    /* Another build-id: the note's last byte. */
    assert_int_equal(run("sed 's/\"build_id\": \"../\"build_id\": \"zz/' m.json > m.other.json && "
                         "%s patch --revert m.other.json m.new -o m.never",
                         tool),
                     1);
    expect_said("has the build-id");
    /* A byte that is in no list. */
    assert_int_equal(run("cp m.new m.bad && printf x | dd of=m.bad bs=1 seek=300000 conv=notrunc 2>/dev/null && "
                         "%s patch --revert m.json m.bad -o m.never",
                         tool),
                     1);
    expect_said("at other places");
    assert_int_equal(run("ls m.never 2>/dev/null"), 2);
    assert_int_equal(run("echo '{}' > none.json; %s patch --verify none.json m.new", tool), 1);
    expect_said("no list that segue patch wrote");
}

static void what_holds_no_such_code_is_refused_by_name(void **state)
{
    (void)state;
    assert_int_equal(run("objcopy --only-keep-debug " LIBM " m.debug && %s patch m.debug -o out", tool), 1);
    expect_said("separate debug file");
    assert_int_equal(run("echo text > text && %s patch text -o out", tool), 1);
    expect_said("neither an ELF file nor an archive");
    assert_int_equal(run(": > empty && %s patch empty -o out", tool), 1);
    expect_said("neither an ELF file nor an archive");
    assert_int_equal(run("cp " LIBM " bare && objcopy --strip-section-headers bare 2>/dev/null || "
                         "{ printf '\\0\\0' | dd of=bare bs=1 seek=60 conv=notrunc 2>/dev/null; "
                         "printf '\\0\\0\\0\\0\\0\\0\\0\\0' | dd of=bare bs=1 seek=40 conv=notrunc 2>/dev/null; }; "
                         "%s patch bare -o out",
                         tool),
                     1);
    expect_said("no section headers");
    assert_int_equal(run("cp %s thin.o && ar rcT thin.a thin.o && %s patch thin.a -o out", object, tool), 1);
    expect_said("thin archive");
    assert_int_equal(
        run("printf '\\3' | dd of=thin.o bs=1 seek=18 conv=notrunc 2>/dev/null; %s patch thin.o -o out", tool), 1);
    expect_said("32-bit");
    assert_int_equal(run("%s patch nowhere -o out", tool), 1);
    expect_said("cannot read nowhere");
    assert_int_equal(run("mkfifo silent && timeout 20 %s patch silent --dry-run", tool), 1);
    expect_said("cannot read silent: it is not a regular file");
    assert_int_equal(run("timeout 20 %s explain silent:main", tool), 1);
    expect_said("silent is not a regular file");
    assert_int_equal(run("%s patch " LIBM " -o nowhere/out", tool), 1);
    expect_said("cannot write nowhere/out");
    assert_int_equal(run("ls out 2>/dev/null"), 2);
}

static void what_is_no_file_is_not_replaced_by_one(void **state)
{
    (void)state;
    assert_int_equal(run("mkfifo pipe && %s patch " LIBM " -o pipe", tool), 1);
    expect_said("cannot write pipe: it is not a regular file");
    assert_int_equal(run("%s patch " LIBM " -o m.never --list pipe", tool), 1);
    expect_said("cannot write pipe: it is not a regular file");
    assert_int_equal(run("test -p pipe && test ! -e m.never && mkdir -p folder"), 0);
    assert_int_equal(run("%s patch " LIBM " -o folder", tool), 1);
    expect_said("Is a directory");
    assert_int_equal(run("ln -sf nothing dangling && %s patch " LIBM " -o dangling", tool), 1);
    expect_said("cannot write dangling: No such file");
    assert_int_equal(run("%s patch " LIBM " -o -", tool), 1);
    expect_said("./-");
    /* What a link leads to is replaced; the link stays. */
    assert_int_equal(run("echo old > real && ln -sf real link && %s patch " LIBM " -o link && test -L link && "
                         "%s patch " LIBM " -o m.new && cmp real m.new",
                         tool, tool),
                     0);
}

static void nothing_that_is_read_or_written_is_overwritten(void **state)
{
    static const char *const lines[] = {
        "patch m.in --dry-run --list m.in", "patch m.in --dry-run --list ./m.in",   "patch m.in -o m.one --list m.in",
        "patch m.in -o m.one --list m.one", "patch --revert m.list m.in -o m.list",
    };
    (void)state;
    assert_int_equal(run("cp " LIBM " m.in && %s patch m.in --dry-run --list m.list && sum m.in m.list > sums", tool),
                     0);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        assert_int_equal(run("%s %s", tool, lines[i]), 2);
    assert_int_equal(run("sum m.in m.list | cmp - sums && test ! -e m.one"), 0);
    assert_int_equal(run("mkdir -p t && cp " LIBM " t && %s patch t -o t.new --list t.new", tool), 1);
    expect_said("among the patched files");
    assert_int_equal(run("%s patch t -o t.new --list t", tool), 1);
    expect_said("lies in");
}

static void command_lines_that_make_no_sense_are_refused(void **state)
{
    static const char *const lines[] = {
        "patch",
        "patch " LIBM,
        "patch " LIBM " " LIBC " -o out",
        "patch " LIBM " --dry-run -o out",
        "patch " LIBM " --from cs -o out",
        "patch " LIBM " --from gs -o out",
        "patch --verify a --revert b " LIBM " -o out",
        "patch --verify a " LIBM " -o out",
        "patch " LIBM " --jobs 0 -o out",
    };
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        assert_int_equal(run("%s %s", tool, lines[i]), 2);
        expect_said("Try: segue help patch");
    }
}

/* --- Archives and trees. --- */

static void members_of_an_archive_are_patched_in_place(void **state)
{
    (void)state;
    assert_int_equal(run("cat > guard.c <<'END'\n"
                         "#include <string.h>\n"
                         "void use(char *);\n"
                         "static int cold(int x) { char a[99]; use(a); return x + a[3]; }\n"
                         "int guarded(int x) { char a[64]; use(a); return cold(x) + a[2]; }\n"
                         "END\n"
                         "cc -c -O1 -fno-inline -fstack-protector-all -ffunction-sections guard.c -o guard.o && "
                         "cc -c -O1 -fno-inline -fstack-protector-all guard.c -o a_member_with_a_long_name.o && "
                         "echo text > note.txt && ar rc g.a guard.o note.txt a_member_with_a_long_name.o && "
                         "%s patch g.a -o g.new --list g.json",
                         tool),
                     0);
    expect_said("note.txt is left as it is: it is not an ELF object");
    json_t *list = load("g.json");
    assert_int_equal(json_array_size(json_object_get(list, "sites")), 8);
    assert_int_equal(json_array_size(json_object_get(list, "objects")), 3);
    json_decref(list);
    assert_int_equal(run("mkdir -p x && cd x && ar x ../g.new && objdump -d guard.o a_member_with_a_long_name.o | grep "
                         "-c %%gs:0x28"),
                     0);
    assert_int_equal(atoi(said), 8);
    assert_int_equal(run("objdump -d x/*.o | grep -c %%fs:"), 1);
    assert_int_equal(
        run("%s patch --verify g.json g.new && %s patch --revert g.json g.new -o g.old && cmp g.old g.a", tool, tool),
        0);
}

static void tree_is_patched_into_one_of_the_same_shape(void **state)
{
    (void)state;
    assert_int_equal(
        run("mkdir -p tree/a/b && cp " LIBM " tree/a/m.so && cp " LIBC " tree/a/b/c.so && echo text > tree/a/t && "
            "ln -s m.so tree/a/link && chmod 750 tree/a/m.so && objcopy --only-keep-debug " LIBM " tree/a/m.debug && "
            "%s patch tree -o new --list lists --jobs 3",
            tool),
        0);
    expect_said("2 files patched, 1 copied, 1 left as it is");
    assert_int_equal(run("%s patch --verify lists/a/m.so.json new/a/m.so && "
                         "%s patch --verify lists/a/b/c.so.json new/a/b/c.so && cmp tree/a/t new/a/t && "
                         "cmp tree/a/m.debug new/a/m.debug && test \"$(readlink new/a/link)\" = m.so && "
                         "test \"$(stat -c %%a new/a/m.so)\" = 750",
                         tool, tool),
                     0);
    assert_int_equal(run("%s patch tree -o tree/a/new", tool), 1);
    expect_said("lies in");
    assert_int_equal(run("%s patch tree --dry-run --json | wc -l", tool), 0);
}

/* On a terminal, which `script` gives it: from nothing to all of the files, each bar wiped before a line is written. */
static void progress_is_shown_on_a_terminal_alone(void **state)
{
    (void)state;
    if (run("command -v script >/dev/null") != 0) {
        print_message("SKIP: script is not installed\n");
        skip();
    }
    assert_int_equal(run("mkdir -p bar && cp " LIBM " bar/one.so && cp " LIBM " bar/two.so && echo text > bar/three"),
                     0);
    assert_int_equal(run("script -qec '%s patch bar -o bar.new --jobs 1' bar.log </dev/null", tool), 0);
    expect_said("\r[                                        ] 0 of 3 files");
    expect_said("#] 3 of 3 files\r\033[K");
    expect_said("2 files patched, 1 copied");
    /* A line never begins behind a bar. */
    assert_null(strstr(said, " filesbar"));
    assert_int_equal(run("%s patch bar -o bar.new2 --jobs 1", tool), 0);
    assert_null(strstr(said, "of 3 files"));
    assert_null(strchr(said, '\r'));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patched_file_differs_in_the_listed_bytes_alone),
        cmocka_unit_test(verify_and_revert_bring_the_original_back),
        cmocka_unit_test(second_patch_changes_nothing),
        cmocka_unit_test(permissions_and_times_are_kept_and_the_input_is_not_touched),
        cmocka_unit_test(another_build_is_refused),
        cmocka_unit_test(what_holds_no_such_code_is_refused_by_name),
        cmocka_unit_test(what_is_no_file_is_not_replaced_by_one),
        cmocka_unit_test(nothing_that_is_read_or_written_is_overwritten),
        cmocka_unit_test(command_lines_that_make_no_sense_are_refused),
        cmocka_unit_test(members_of_an_archive_are_patched_in_place),
        cmocka_unit_test(tree_is_patched_into_one_of_the_same_shape),
        cmocka_unit_test(progress_is_shown_on_a_terminal_alone),
    };
    return cmocka_run_group_tests(tests, tool_prepare, tool_clean);
}
