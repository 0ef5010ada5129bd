/* patch_output.c: where segue patch writes and what stands there then: nothing outside of OUT, all or nothing, and
 * never without the way back. */
#include "tests/support/tool_run.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIBC "/lib/x86_64-linux-gnu/libc.so.6"
#define LIBM "/lib/x86_64-linux-gnu/libm.so.6"

static bool is_root(void)
{
    if (geteuid() == 0)
        return true;
    print_message("SKIP: only root can set this up\n");
    return false;
}

/* Mounts an empty file system on a folder of that name. */
static bool can_mount(const char *name, const char *kind_and_options)
{
    if (!is_root())
        return false;
    if (run("mkdir -p %s && mount -t %s none %s", name, kind_and_options, name) == 0)
        return true;
    print_message("SKIP: nothing can be mounted here\n");
    return false;
}

/* Nothing that has a name for now is left anywhere below the folder. */
static void expect_no_leftovers(void)
{
    assert_int_equal(run("find . -name '.segue-*'"), 0);
    assert_string_equal(said, "");
}

/* --- Nothing outside of OUT. --- */

static void link_that_stands_in_OUT_does_not_lead_out_of_it(void **state)
{
    (void)state;
    assert_int_equal(
        run("mkdir -p out1/in out1/etc && echo root > out1/etc/prog && ln -s ../etc out1/in/sub && cd out1 && "
            "%s patch in -o new --list lists",
            tool),
        0);
    assert_int_equal(run("cd out1 && test \"$(readlink new/sub)\" = ../etc && rm in/sub && mkdir in/sub && "
                         "cp " LIBM " in/sub/prog"),
                     0);
    assert_int_equal(run("cd out1 && %s patch in -o new --list lists", tool), 1);
    expect_said("new/sub");
    expect_said("no folder");
    assert_int_equal(run("cd out1 && test \"$(cat etc/prog)\" = root && ls etc | wc -l"), 0);
    assert_string_equal(said, "1\n");
}

static void link_among_the_lists_does_not_lead_out_of_them(void **state)
{
    (void)state;
    assert_int_equal(run("mkdir -p out2/in/sub out2/lists out2/etc && cp " LIBM " out2/in/sub/m.so && "
                         "ln -s ../etc out2/lists/sub"),
                     0);
    assert_int_equal(run("cd out2 && %s patch in -o new --list lists", tool), 1);
    assert_int_equal(run("ls out2/etc | wc -l"), 0);
    assert_string_equal(said, "0\n");
    /* Nor a link in a list's place. */
    assert_int_equal(
        run("cd out2 && rm lists/sub && mkdir lists/sub && echo root > etc/list && "
            "ln -s ../../etc/list lists/sub/m.so.json && rm -rf new && %s patch in -o new --list lists && "
            "test \"$(cat etc/list)\" = root && test -f lists/sub/m.so.json && test ! -L lists/sub/m.so.json",
            tool),
        0);
}

/* A link in a file's place is replaced; a folder, a pipe are not. */
static void what_stands_in_a_files_place_is_replaced_or_named(void **state)
{
    (void)state;
    assert_int_equal(
        run("mkdir -p out3/in out3/new && cp " LIBM " out3/in/m.so && echo text > out3/in/t && "
            "echo root > out3/root && ln -s ../root out3/new/m.so && ln -s ../root out3/new/t && cd out3 && "
            "%s patch in -o new && test \"$(cat root)\" = root && test ! -L new/m.so && test ! -L new/t",
            tool),
        0);
    assert_int_equal(run("cd out3 && rm new/* && mkdir new/m.so && mkfifo new/t && %s patch in -o new", tool), 1);
    expect_said("new/m.so: Is a directory");
    expect_said("new/t");
    assert_int_equal(run("cd out3 && test -d new/m.so && test -p new/t"), 0);
    expect_no_leftovers();
}

/* While another process turns a folder of OUT into a link and back, nothing is ever written through that. */
static void folder_that_becomes_a_link_meanwhile_does_not_lead_out(void **state)
{
    (void)state;
    assert_int_equal(run("mkdir -p out4/in/sub out4/new out4/etc && cp " LIBM " out4/in/sub/prog && "
                         "for i in $(seq 40); do echo $i > out4/in/sub/$i; done"),
                     0);
    run("cd out4; ( while test ! -e stop; do rm -rf new/sub; ln -sfn ../etc new/sub; rm -f new/sub; mkdir -p new/sub; "
        "done ) 2>/dev/null & for i in $(seq 30); do %s patch in -o new --jobs 2; done; touch stop; wait; true",
        tool);
    assert_int_equal(run("ls -A out4/etc | wc -l"), 0);
    assert_string_equal(said, "0\n");
}

static void tree_that_holds_its_own_input_is_refused(void **state)
{
    (void)state;
    assert_int_equal(run("mkdir -p out5/in/in && cp " LIBM " out5/in/in/m.so && cp " LIBM " out5/in/m.so && cd out5 && "
                         "sum in/m.so in/in/m.so > sums && %s patch in -o .",
                         tool),
                     1);
    expect_said("lies in");
    assert_int_equal(run("cd out5 && sum in/m.so in/in/m.so | cmp - sums"), 0);
    assert_int_equal(run("cd out5 && %s patch in -o new --list new/lists", tool), 1);
    expect_said("among the patched files");
    assert_int_equal(run("cd out5 && test ! -e new && %s patch in -o in/new", tool), 1);
    expect_said("lies in");
    assert_int_equal(run("test ! -e out5/in/new"), 0);
    assert_int_equal(
        run("cd out5 && %s patch in -o lists/new --list lists; mkdir -p lists; %s patch in -o lists/new --list lists",
            tool, tool),
        1);
    expect_said("among the lists");
}

/* --- All or nothing. --- */

static void list_that_cannot_be_written_leaves_the_file_as_it_was(void **state)
{
    (void)state;
    if (!can_mount("full", "tmpfs -o size=4k"))
        skip();
    int status = run("cp " LIBM " t && %s patch t -o t --list full/l.json", tool);
    bool unchanged = run("cmp t " LIBM " && test -z \"$(ls -A full)\"") == 0;
    /* The same where the list is what is printed. */
    int printed = run("%s patch t -o t --json > full/l.json", tool);
    bool still_unchanged = run("cmp t " LIBM) == 0;
    run("umount full");
    assert_int_equal(status, 1);
    assert_true(unchanged);
    assert_int_equal(printed, 1);
    assert_true(still_unchanged);
}

/* The other way round: the list had its place, and gives it back. */
static void file_that_cannot_be_written_leaves_the_list_as_it_was(void **state)
{
    (void)state;
    if (!can_mount("small", "tmpfs -o size=64k"))
        skip();
    int status = run("echo old > l.json && %s patch " LIBM " -o small/m.so --list l.json", tool);
    bool named = strstr(said, "No space left") != NULL;
    bool unchanged = run("test \"$(cat l.json)\" = old && test -z \"$(ls -A small)\"") == 0;
    run("umount small");
    assert_int_equal(status, 1);
    assert_true(named);
    assert_true(unchanged);
    /* A name that a file cannot get. */
    assert_int_equal(run("%s patch " LIBM " -o $(printf 'x%%.0s' $(seq 300)) --list l2.json; test ! -e l2.json && "
                         "cat l.json",
                         tool),
                     0);
    expect_no_leftovers();
}

/* The last step fails, once the new list stands: with a file system that exchanges names, and with one that does not.
 */
static void list_comes_back_when_the_file_cannot_get_its_name(void **state)
{
    (void)state;
    assert_int_equal(
        run("cat > fails.c <<'END'\n"
            "#define _GNU_SOURCE\n"
            "#include <errno.h>\n"
            "#include <stdlib.h>\n"
            "#include <string.h>\n"
            "#include <sys/syscall.h>\n"
            "#include <unistd.h>\n"
            "int renameat2(int a, const char *b, int c, const char *d, unsigned f)\n"
            "{ return f && getenv(\"NO_EXCHANGE\") ? (errno = EINVAL, -1) : (int)syscall(SYS_renameat2, a, b, c, d, "
            "f); }\n"
            "int renameat(int a, const char *b, int c, const char *d)\n"
            "{ return strcmp(d, \"fails.out\") ? (int)syscall(SYS_renameat2, a, b, c, d, 0) : (errno = EIO, -1); }\n"
            "END\n"
            "cc -shared -fPIC fails.c -o fails.so"),
        0);
    if (run("nm -D --undefined-only %s | grep -q asan", tool) == 0) {
        print_message("SKIP: the sanitizer wants to be loaded first\n");
        skip();
    }
    for (unsigned i = 0; i < 2; i++) {
        const char *set = i ? "NO_EXCHANGE=1" : "EXCHANGE=1";
        assert_int_equal(run("echo old > fails.json; %s LD_PRELOAD=$PWD/fails.so %s patch " LIBM
                             " -o fails.out --list fails.json; test $? = 1 && cat fails.json && test ! -e fails.out",
                             set, tool),
                         0);
        expect_said("Input/output error");
        expect_said("old\n");
        assert_int_equal(run("rm fails.json; %s LD_PRELOAD=$PWD/fails.so %s patch " LIBM
                             " -o fails.out --list fails.json; test $? = 1 && test ! -e fails.json",
                             set, tool),
                         0);
        /* And where it can, the list is replaced. */
        assert_int_equal(run("echo old > fails.json; %s LD_PRELOAD=$PWD/fails.so %s patch " LIBM
                             " -o fails.good --list fails.json && %s patch --verify fails.json fails.good",
                             set, tool, tool),
                         0);
    }
    expect_no_leftovers();
}

static void read_only_folder_is_named(void **state)
{
    (void)state;
    if (!can_mount("ro", "tmpfs -o ro"))
        skip();
    int status = run("%s patch " LIBM " -o ro/m.so", tool);
    bool named = strstr(said, "Read-only file system") != NULL;
    run("umount ro");
    assert_int_equal(status, 1);
    assert_true(named);
}

static void way_back_of_an_earlier_run_is_not_overwritten(void **state)
{
    (void)state;
    assert_int_equal(run("cp " LIBM " w && %s patch w -o w --list w.json && cp w.json w.copy", tool), 0);
    /* Again: nothing is changed, and the list is not replaced by an empty one. */
    assert_int_equal(run("%s patch w -o w --list w.json", tool), 0);
    expect_said("w.json is kept");
    assert_int_equal(run("cmp w.json w.copy && %s patch --revert w.json w -o w && cmp w " LIBM, tool), 0);
    /* Where something would be changed, the older changes would have no list any more. */
    assert_int_equal(
        run("%s patch w -o w --list w.json && cp w w.1 && %s patch w --from gs --to fs -o w --list w.json", tool, tool),
        1);
    expect_said("is the way back");
    assert_int_equal(run("cmp w w.1 && cmp w.json w.copy"), 0);
    /* A tree's lists, too; and a run on the originals may replace them. */
    assert_int_equal(run("mkdir -p wt && cp " LIBM " wt && %s patch wt -o wn --list wl && cp -r wl wc && "
                         "%s patch wt -o wn --list wl && diff -r wl wc && %s patch wn -o wm --list wl && diff -r wl wc",
                         tool, tool, tool),
                     0);
}

static void two_runs_at_once_leave_a_pair_that_fits(void **state)
{
    (void)state;
    assert_int_equal(
        run("cp " LIBM " p1 && cp " LIBC " p2 && for i in $(seq 12); do "
            "%s patch p1 -o p --list p.json >/dev/null & %s patch p2 -o p --list p.json >/dev/null & wait; "
            "%s patch --verify p.json p || exit 1; done",
            tool, tool, tool),
        0);
    expect_no_leftovers();
}

static void signals_leave_nothing_behind(void **state)
{
    (void)state;
    assert_int_equal(run("mkdir -p s && cp " LIBC " s/big && head -c 80000000 /dev/zero | tr '\\0' x >> s/big"), 0);
    /* Some end before, some after. */
    for (unsigned i = 0; i < 3; i++) {
        static const char *const names[] = {"INT", "TERM", "HUP"};
        assert_int_equal(
            run("for d in 1 2 3 4 5 6 7 8; do rm -rf sn sl; timeout -s %s 0.0$d %s patch s -o sn --list sl; "
                "timeout -s %s 0.0$d %s patch s/big -o s.out --list s.json; done; "
                "find . -name 'big.*' -o -name 's.out.*' -o -name 's.json.*'",
                names[i], tool, names[i], tool),
            0);
        assert_null(strstr(said, "/sn/"));
        assert_null(strstr(said, "s.out."));
        expect_no_leftovers();
    }
    /* What is ignored goes on being so. */
    assert_int_equal(run("trap '' HUP; %s patch " LIBM " -o s.hup & kill -HUP $!; wait $!", tool), 0);
}

/* --- What stands on the other side of OUT. --- */

static void pipe_as_OUT_is_named_as_what_it_is(void **state)
{
    (void)state;
    assert_int_equal(
        run("%s patch " LIBM " -o /dev/stdout 2>pipe.err | cat; cat pipe.err; ! grep -q 'No such file' pipe.err", tool),
        0);
    expect_said("cannot write /dev/stdout: it is not a regular file but a pipe");
    assert_int_equal(run("%s patch " LIBM " -o /dev/stdout > stdout.file 2> pipe.err; cat pipe.err", tool), 0);
    expect_said("standard output goes there already");
}

static void closed_descriptors_do_no_harm(void **state)
{
    (void)state;
    assert_int_equal(run("%s patch " LIBM
                         " -o d.whole && for c in '<&-' '>&-' '2>&-' '<&- >&- 2>&-' '>&- 2>&-'; do rm -f d.out; "
                         "eval \"%s patch " LIBM " -o d.out $c\"; cmp d.out d.whole || exit 9; done",
                         tool, tool),
                     0);
    /* That the words could not be written is a failure that is reported; the file is whole. */
    assert_int_equal(run("%s patch " LIBM " -o d.out >&-", tool), 1);
    expect_said("cannot write to standard output");
    assert_int_equal(run("%s patch " LIBM " -o d.out > /dev/full", tool), 1);
    expect_said("No space left");
}

/* --- What belongs to a file. --- */

static void extended_attributes_and_lists_are_kept(void **state)
{
    (void)state;
    if (!has_program("setfacl") || !has_program("setfattr"))
        skip();
    assert_int_equal(run("mkdir -p at && cd at && cp " LIBM " a && setfattr -n user.note -v kept a && "
                         "setfacl -m u:daemon:rx,g:daemon:- a && getfacl -c a > acl.1 && %s patch a -o b && "
                         "getfacl -c b | cmp - acl.1 && getfattr -d b",
                         tool),
                     0);
    expect_said("user.note=\"kept\"");
    /* In place, and back. */
    assert_int_equal(
        run("cd at && %s patch a -o a --list l && %s patch --revert l a -o a && getfacl -c a | cmp - acl.1 && "
            "cmp a " LIBM " && getfattr -d a",
            tool, tool),
        0);
    expect_said("user.note=\"kept\"");
    /* What the folder would give is not added. */
    assert_int_equal(run("cd at && mkdir given && setfacl -d -m u:daemon:rwx given && cp " LIBM " plain && "
                         "%s patch plain -o given/plain && getfacl -c given/plain",
                         tool),
                     0);
    assert_null(strstr(said, "daemon"));
    /* Of trees: folders have theirs as well. */
    assert_int_equal(run("cd at && mkdir -p tree/sub && cp -a a tree/sub && echo t > tree/sub/t && "
                         "setfacl -d -m u:daemon:r tree/sub && setfattr -n user.note -v folder tree/sub && "
                         "chmod 2751 tree/sub && touch -d '2001-02-03' tree/sub && %s patch tree -o tree.new && "
                         "getfattr -d tree.new/sub | grep folder && getfacl -c tree/sub > 1 && "
                         "getfacl -c tree.new/sub | cmp - 1 && stat -c '%%a %%Y' tree/sub > 1 && "
                         "stat -c '%%a %%Y' tree.new/sub | cmp - 1 && getfacl -c tree.new/sub/a | cmp - acl.1",
                         tool),
                     0);
}

static void capabilities_are_kept_or_refused_by_name(void **state)
{
    (void)state;
    if (!is_root() || !has_program("setcap") || !has_program("setpriv"))
        skip();
    assert_int_equal(run("chmod 755 . && mkdir -p cap && chmod 777 cap && cd cap && cp " LIBM " c && chmod 4755 c && "
                         "setcap cap_net_raw+ep c && %s patch c -o c --list c.json && getcap c && stat -c %%a c && "
                         "%s patch --revert c.json c -o d && getcap d && chmod 644 c.json",
                         tool, tool),
                     0);
    expect_said("c cap_net_raw=ep");
    expect_said("d cap_net_raw=ep");
    expect_said("4755");
    static const char as_nobody[] = "setpriv --reuid=65534 --regid=65534 --clear-groups";
    if (run("cd cap && %s %s --version", as_nobody, tool) != 0) {
        print_message("SKIP of a part: others may not run the tool where it is\n");
        return;
    }
    assert_int_equal(run("cd cap && %s %s patch c -o e --list e.json", as_nobody, tool), 1);
    expect_said("its capabilities (security.capability) cannot be kept");
    assert_int_equal(run("cd cap && test ! -e e && test ! -e e.json"), 0);
    /* Of what another owns, without capabilities: the owner is not kept, nor is what would lend their rights. */
    assert_int_equal(
        run("cd cap && cp " LIBM " s && chmod 4755 s && %s %s patch s -o f && stat -c '%%a %%u' f", as_nobody, tool),
        0);
    expect_said("755 65534");
}

static void attribute_that_cannot_be_kept_is_named(void **state)
{
    (void)state;
    if (!has_program("setfattr") || !can_mount("ramfs", "ramfs"))
        skip();
    run("cp " LIBM " x && setfattr -n user.note -v v x");
    int status = run("%s patch x -o ramfs/x", tool);
    bool named = strstr(said, "user.note") != NULL;
    bool absent = run("test -z \"$(ls -A ramfs)\"") == 0;
    run("umount ramfs");
    if (status == 0) {
        print_message("SKIP: this kernel's ramfs keeps attributes\n");
        skip();
    }
    assert_int_equal(status, 1);
    assert_true(named);
    assert_true(absent);
}

static void names_of_one_file_are_kept_or_told(void **state)
{
    (void)state;
    assert_int_equal(run("mkdir -p h/a h/b && cp " LIBM " h/a/m.so && ln h/a/m.so h/b/again.so && echo t > h/t && "
                         "ln h/t h/a/t && %s patch h -o hn --list hl && %s patch h -o hn --list hl && "
                         "stat -c %%h hn/a/m.so hn/t && stat -c %%i hn/a/m.so hn/b/again.so | uniq | wc -l",
                         tool, tool),
                     0);
    expect_said("2\n2\n1\n");
    assert_int_equal(run("%s patch --verify hl/b/again.so.json hn/b/again.so && %s patch --verify hl hn", tool, tool),
                     0);
    assert_int_equal(run("%s patch --revert hl hn -o hb && diff -r h hb && stat -c %%h hb/b/again.so", tool), 0);
    expect_said("2\n");
    expect_no_leftovers();
    assert_int_equal(run("cp " LIBM " one && ln one two && %s patch one -o one", tool), 0);
    expect_said("one has 2 names");
    assert_int_equal(run("cmp two " LIBM), 0);
}

static void folder_that_may_not_be_written_in_is_written_again(void **state)
{
    static const char as_nobody[] = "setpriv --reuid=65534 --regid=65534 --clear-groups";
    (void)state;
    if (!has_program("setpriv") || (geteuid() == 0 && run("%s %s --version", as_nobody, tool) != 0)) {
        print_message("SKIP: others may not run the tool where it is\n");
        skip();
    }
    const char *as = geteuid() == 0 ? as_nobody : "";
    assert_int_equal(
        run("chmod 755 . && mkdir -p closed && chmod 777 closed && cd closed && mkdir -p in/sub && cp " LIBM
            " in/sub && chmod 555 in/sub && %s %s patch in -o out && %s %s patch in -o out && "
            "stat -c %%a out/sub",
            as, tool, as, tool),
        0);
    expect_said("555\n");
    assert_int_equal(run("chmod -R u+w closed"), 0);
}

/* A pipe without a reader, from the start on: as where `| head -1` has read enough. Descriptor 4. */
#define UNREAD "rm -f unread && mkfifo unread && exec 3<>unread 4>unread 3<&- && "

/* The verb ends as explain does there, and each file stands first. */
static void reader_that_goes_away_is_met_as_by_the_other_verbs(void **state)
{
    static const char *const ways[] = {LIBM " --dry-run", LIBM " --dry-run --json", LIBM " -o whole", "piped -o whole",
                                       "piped --dry-run"};
    (void)state;
    if (run("env --default-signal=PIPE true") != 0)
        skip();
    assert_int_equal(run("mkdir piped && cp " LIBM " piped"), 0);
    assert_int_equal(run(UNREAD "exec env --default-signal=PIPE %s explain 90 >&4", tool), 128 + 13);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        assert_int_equal(run("rm -rf whole; " UNREAD "exec env --default-signal=PIPE %s patch %s >&4", tool, ways[i]),
                         128 + 13);
        assert_string_equal(said, "");
        assert_int_equal(run("test -e whole") == 0, strstr(ways[i], "-o") != NULL);
        assert_int_equal(run("rm -rf whole; " UNREAD "exec env --ignore-signal=PIPE %s patch %s >&4", tool, ways[i]),
                         1);
        expect_said("cannot write to standard output: Broken pipe");
    }
    /* The list is the way back: without it, no file is made, and that is said. */
    assert_int_equal(
        run("rm -rf whole; " UNREAD "exec env --default-signal=PIPE %s patch " LIBM " -o whole --json >&4", tool), 1);
    expect_said("cannot write the list to standard output: Broken pipe");
    assert_int_equal(run("test -e whole"), 1);
}

/* One is one. */
static void counts_of_one_are_in_the_singular(void **state)
{
    (void)state;
    assert_int_equal(
        run("rm -rf one && mkdir one && cp " LIBM " one/m.so && %s patch one -o one.new --list one.lists", tool), 0);
    expect_said("1 file patched, 0 copied, 0 left as they are");
    assert_int_equal(run("%s patch --verify one.lists one.new", tool), 0);
    expect_said("1 file as in its list, 0 without a list");
    assert_int_equal(run("%s patch --revert one.lists one.new -o one.old", tool), 0);
    expect_said("1 file taken back");
    /* mov rax, fs:[0x28] in a function of its own. */
    assert_int_equal(
        run("printf '.globl f\n.type f,@function\nf: mov %%%%fs:0x28,%%%%rax\nret\n.size f,.-f\n' > f.s && "
            "cc -shared -nostdlib -o f.so f.s && %s patch f.so -o f.new --list f.json",
            tool),
        0);
    expect_said("f.so: 1 fs: operand, 0 instructions for its base");
    assert_int_equal(run("%s patch --verify f.json f.new", tool), 0);
    expect_said("f.new: 1 site as in the list");
}

/* A copy without a list has no checksum to make: holes cost nothing. With one it would take minutes. */
static void holes_of_a_file_without_a_list_are_passed_over(void **state)
{
    (void)state;
    assert_int_equal(run("cp " LIBM " holes && truncate -s 1T holes && timeout 20 %s patch holes -o holes.new; s=$?; "
                         "stat -c %%s holes.new; rm -f holes holes.new; exit $s",
                         tool),
                     0);
    expect_said("1099511627776");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(link_that_stands_in_OUT_does_not_lead_out_of_it),
        cmocka_unit_test(link_among_the_lists_does_not_lead_out_of_them),
        cmocka_unit_test(what_stands_in_a_files_place_is_replaced_or_named),
        cmocka_unit_test(folder_that_becomes_a_link_meanwhile_does_not_lead_out),
        cmocka_unit_test(tree_that_holds_its_own_input_is_refused),
        cmocka_unit_test(list_that_cannot_be_written_leaves_the_file_as_it_was),
        cmocka_unit_test(file_that_cannot_be_written_leaves_the_list_as_it_was),
        cmocka_unit_test(list_comes_back_when_the_file_cannot_get_its_name),
        cmocka_unit_test(read_only_folder_is_named),
        cmocka_unit_test(way_back_of_an_earlier_run_is_not_overwritten),
        cmocka_unit_test(two_runs_at_once_leave_a_pair_that_fits),
        cmocka_unit_test(signals_leave_nothing_behind),
        cmocka_unit_test(pipe_as_OUT_is_named_as_what_it_is),
        cmocka_unit_test(closed_descriptors_do_no_harm),
        cmocka_unit_test(extended_attributes_and_lists_are_kept),
        cmocka_unit_test(capabilities_are_kept_or_refused_by_name),
        cmocka_unit_test(attribute_that_cannot_be_kept_is_named),
        cmocka_unit_test(names_of_one_file_are_kept_or_told),
        cmocka_unit_test(folder_that_may_not_be_written_in_is_written_again),
        cmocka_unit_test(reader_that_goes_away_is_met_as_by_the_other_verbs),
        cmocka_unit_test(counts_of_one_are_in_the_singular),
        cmocka_unit_test(holes_of_a_file_without_a_list_are_passed_over),
    };
    return cmocka_run_group_tests(tests, tool_prepare, tool_clean);
}
