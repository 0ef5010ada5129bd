/* patch_lists.c: lists that segue patch wrote, read back: what is believed of them, names of any bytes, and trees. */
#include "tests/support/tool_run.h"

#include <stdlib.h>
#include <string.h>

#define LIBC "/lib/x86_64-linux-gnu/libc.so.6"
#define LIBM "/lib/x86_64-linux-gnu/libm.so.6"

static void prepare_list(void)
{
    assert_int_equal(run("test -e m.new || %s patch " LIBM " -o m.new --list m.json", tool), 0);
}

/* --verify and --revert of a list that sed made of the right one. */
static void expect_refused(const char *script)
{
    assert_int_equal(
        run("sed -e '%s' m.json > bad.json && ! cmp -s bad.json m.json && { %s patch --verify bad.json m.new; "
            "test $? = 1; } && { %s patch --revert bad.json m.new -o never; test $? = 1; } && "
            "test ! -e never",
            script, tool, tool),
        0);
    expect_said("no list that segue patch wrote");
}

static void numbers_are_checked_in_full_width(void **state)
{
    /* 2^62, 2^40, 2^32 and 2^8 with nothing in their low bits; what fits no number; fractions; negative ones. */
    static const char *const scripts[] = {
        "0,/\"index\": 0/s//\"index\": 4611686018427387904/",
        "0,/\"index\": 0/s//\"index\": 4294967296/",
        "0,/\"index\": 0/s//\"index\": 256/",
        "0,/\"index\": 0/s//\"index\": 15/",
        "0,/\"index\": 0/s//\"index\": -1/",
        "0,/\"index\": 0/s//\"index\": 0.5/",
        "0,/\"index\": 0/s//\"index\": \"0\"/",
        "0,/\"old\": 100/s//\"old\": 1099511627876/",
        "0,/\"new\": 101/s//\"new\": 1099511627877/",
        "0,/\"new\": 101/s//\"new\": 100/",
        "0,/\"offset\": /s//\"offset\": 99999999999999999999/",
        "0,/\"offset\": /s//\"offset\": 4611686018427387904 , \"x\": /",
        "s/^ \"size\": /&18446744073709551616, \"was\": /",
        "s/^ \"version\": 1/ \"version\": 4294967297/",
        "s/^ \"version\": 1/ \"version\": 1, \"version\": 1/",
        "s/^ \"checksum\": \"/&0/",
        "s/^ \"checksum\": \"../ \"checksum\": \"zz/",
        "s/^ \"from\": \"fs\"/ \"from\": \"cs\"/",
        "0,/\"kind\": \"access\"/s//\"kind\": \"load\"/",
        "s/^ \"sites\": /&[], &/",
    };
    (void)state;
    prepare_list();
    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++)
        expect_refused(scripts[i]);
}

static void site_that_stands_twice_is_refused(void **state)
{
    (void)state;
    prepare_list();
    assert_int_equal(
        run("awk '/^  \\{/ { site = \"\"; n++ } { site = site $0 \"\\n\"; print } "
            "/^  \\},?$/ && !done && seen { sub(/},?\\n$/, \"},\\n\", site); printf \"%%s\", site; done = 1 } "
            "/^ \"sites\"/ { seen = 1 }' m.json > twice.json; ! cmp -s twice.json m.json"),
        0);
    json_t *list = load("twice.json"), *right = load("m.json");
    assert_int_equal(json_array_size(json_object_get(list, "sites")),
                     json_array_size(json_object_get(right, "sites")) + 1);
    json_decref(list);
    json_decref(right);
    assert_int_equal(run("%s patch --verify twice.json m.new", tool), 1);
    expect_said("no list that segue patch wrote");
    assert_int_equal(run("%s patch --revert twice.json m.new -o never", tool), 1);
    /* The same byte by another offset and index. */
    assert_int_equal(run("python3 - <<'END'\n"
                         "import json\n"
                         "l = json.load(open('m.json')); s = dict(l['sites'][0]); s['offset'] -= 3; s['index'] += 3\n"
                         "l['sites'].append(s); json.dump(l, open('again.json', 'w'))\n"
                         "END\n"
                         "%s patch --verify again.json m.new",
                         tool),
                     1);
}

/* As other programs write it: in one line, with the members in another order. */
static void list_in_another_layout_is_the_same_list(void **state)
{
    (void)state;
    prepare_list();
    assert_int_equal(
        run("python3 - <<'END'\n"
            "import json\n"
            "l = json.load(open('m.json')); l['note'] = {'x': [1, 2.5e3, None, 'a\\\\u00e9\\\\n'], 'y': True}\n"
            "l['sites'].reverse()\n"
            "json.dump(dict(sorted(l.items(), reverse=True)), open('other.json', 'w'))\n"
            "END\n"
            "%s patch --verify other.json m.new && %s patch --revert other.json m.new -o m.old && cmp m.old " LIBM,
            tool, tool),
        0);
    assert_int_equal(run("cat m.json | %s patch --verify /dev/stdin m.new", tool), 0);
}

static void what_is_no_json_is_named_by_its_line(void **state)
{
    static const char *const wrong[] = {
        "printf '{\\n'",
        "printf '{\"version\":\\n'",
        "printf '{\"version\": 01}'",
        "printf '{\"version\": 1,}'",
        "printf '{\"a\": \"\\\\q\"}'",
        "printf '{\"a\": \"x'",
        "printf '{\"a\": [1 2]}'",
        "printf '{\"a\": [1}'",
        "printf '[]]'",
        "printf '{} x'",
        "printf 'nul'",
        "head -c 1000000 /dev/zero | tr '\\0' '['",
        "head -c 1000000 /dev/zero",
        "{ printf '{\"a\": '; head -c 1000000 /dev/zero | tr '\\0' '['; }",
        "head -n 20 m.json",
        "head -c 4000 /dev/urandom",
    };
    (void)state;
    prepare_list();
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(run("%s > wrong.json; timeout 20 %s patch --verify wrong.json m.new", wrong[i], tool), 1);
        if (!strstr(said, "cannot read the list wrong.json: line ") && !strstr(said, "no list that segue patch wrote"))
            fail_msg("%s: %s", wrong[i], said);
    }
    assert_int_equal(run("%s patch --verify nowhere.json m.new", tool), 1);
    expect_said("cannot read the list nowhere.json: No such file");
    assert_int_equal(run("%s patch --verify . m.new", tool), 1);
}

/* Lists that were damaged at random: refused, or right. */
static void damaged_list_never_takes_anything_wrong_back(void **state)
{
    (void)state;
    prepare_list();
    assert_int_equal(run("python3 - <<'END'\n"
                         "import random, subprocess, os\n"
                         "r = random.Random(7); whole = open('m.json', 'rb').read(); right = open('" LIBM
                         "', 'rb').read()\n"
                         "for i in range(150):\n"
                         "    d = bytearray(whole)\n"
                         "    for j in range(r.choice((1, 2, 20))):\n"
                         "        at = r.randrange(len(d)); k = r.randrange(4)\n"
                         "        if k == 0: d[at] = r.randrange(256)\n"
                         "        elif k == 1: del d[at:at + r.randrange(1, 300)]\n"
                         "        elif k == 2: d[at:at] = d[at:at + r.randrange(1, 300)]\n"
                         "        else: d[at:at + 1] = b'0123456789,:{}[]\"'[r.randrange(17):][:1]\n"
                         "    open('d.json', 'wb').write(d)\n"
                         "    if os.path.exists('d.old'): os.remove('d.old')\n"
                         "    c = subprocess.run(['%s', 'patch', '--revert', 'd.json', 'm.new', '-o', 'd.old'],\n"
                         "                       capture_output=True, timeout=60).returncode\n"
                         "    ok = os.path.exists('d.old') and open('d.old', 'rb').read() == right\n"
                         "    assert c in (0, 1) and ok == (c == 0), (i, c, ok)\n"
                         "END\n:",
                         tool),
                     0);
}

static void list_written_before_is_still_one(void **state)
{
    (void)state;
    /* As the command wrote it before there were `likely` and `object`: those are not needed. */
    prepare_list();
    assert_int_equal(
        run("sed -e '/\"likely\"/d' -e '/\"object\"/d' m.json > older.json && %s patch --verify older.json m.new",
            tool),
        0);
}

/* --- Names. --- */

static void names_of_any_bytes_are_kept(void **state)
{
    (void)state;
    assert_int_equal(
        run("mkdir -p n && cd n && n=$(printf 'caf\\351 \"\\\\\\001.o') && cp %s plain.o && cp %s \"$n\" && "
            "cp %s $(printf 'gr\\303\\274n.o') && ar rc a.a *.o && %s patch a.a -o b.a --list l.json && "
            "%s patch --verify l.json b.a && %s patch --revert l.json b.a -o c.a && cmp c.a a.a",
            object, object, object, tool, tool, tool),
        0);
    json_t *list = load("n/l.json"), *objects = json_object_get(list, "objects");
    bool found = false, found_utf8 = false;
    assert_int_equal(json_array_size(objects), 3);
    for (size_t i = 0; i < 3; i++) {
        json_t *member = json_array_get(objects, i);
        const char *hex = json_string_value(json_object_get(member, "member_hex"));
        const char *name = json_string_value(json_object_get(member, "member"));
        found |= hex && strcmp(hex, "636166e920225c012e6f") == 0 && strcmp(name, "caf\\xe9 \"\\\001.o") == 0;
        found_utf8 |= !hex && strcmp(name, "gr\xc3\xbcn.o") == 0;
    }
    json_decref(list);
    assert_true(found);
    assert_true(found_utf8);
    /* Of files, alone and in a tree. */
    assert_int_equal(
        run("cd n && n=$(printf 'x\\377\\n.so') && mkdir t && cp " LIBM " \"t/$n\" && "
            "%s patch \"t/$n\" -o \"$n\" --list \"$n.json\" && cp \"$n.json\" copy.json && "
            "%s patch --verify \"$n.json\" \"$n\" && %s patch --revert \"$n.json\" \"$n\" -o back && cmp back " LIBM
            " && "
            "%s patch t -o tn --list tl --json > lines && %s patch --verify tl tn && "
            "%s patch --revert tl tn -o tb && diff -r t tb",
            tool, tool, tool, tool, tool, tool),
        0);
    list = load("n/copy.json");
    assert_string_equal(json_string_value(json_object_get(list, "file_hex")), "742f78ff0a2e736f");
    json_decref(list);
    list = load("n/lines");
    assert_string_equal(json_string_value(json_object_get(list, "file_hex")), "742f78ff0a2e736f");
    json_decref(list);
}

/* --- Trees. --- */

static void trees_are_verified_and_taken_back(void **state)
{
    (void)state;
    assert_int_equal(
        run("mkdir -p t/a/b && cp " LIBM " t/a/m.so && cp " LIBC " t/a/b/c.so && echo text > t/a/t && "
            "ln -s m.so t/a/link && chmod 640 t/a/m.so && chmod 750 t/a && touch -d 2002-02-02 t/a/b/c.so t/a/b && "
            "%s patch t -o tn --list tl && %s patch --verify tl tn",
            tool, tool),
        0);
    expect_said("2 files as in their lists, 1 without a list, 0 wrong");
    assert_int_equal(
        run("%s patch --revert tl tn -o tb && diff -r t tb && test \"$(readlink tb/a/link)\" = m.so && "
            "( cd t && find . -printf '%%p %%m %%T@ %%y %%s\\n' | grep -v ' d ' | sort ) > 1 && "
            "( cd tb && find . -printf '%%p %%m %%T@ %%y %%s\\n' | grep -v ' d ' | sort ) | grep -v '/link' > 2; "
            "grep -v /link 1 | cmp - 2",
            tool),
        0);
    /* One wrong byte, a file that is gone, bytes that are not a list: each is named, and all the rest is looked at. */
    assert_int_equal(run("printf x | dd of=tn/a/b/c.so bs=1 seek=300000 conv=notrunc 2>/dev/null; "
                         "%s patch --verify tl tn",
                         tool),
                     1);
    expect_said("tn/a/b/c.so differs");
    expect_said("1 file as in its list, 1 without a list, 1 wrong");
    assert_int_equal(
        run("%s patch --revert tl tn -o tw; test $? = 1 && test ! -e tw/a/b/c.so && cmp tw/a/m.so t/a/m.so", tool), 0);
    assert_int_equal(run("rm tn/a/m.so && %s patch --verify tl tn", tool), 1);
    expect_said("tn/a/m.so is not there");
    assert_int_equal(run("echo '{' > tl/a/t.json; %s patch --verify tl tn", tool), 1);
    expect_said("tl/a/t.json");
    assert_int_equal(run("%s patch --verify m.json tn", tool), 1);
    expect_said("cannot open the folder m.json");
    assert_int_equal(run("%s patch --verify tl tn -o x", tool), 2);
}

/* What is said of a tree fits on a screen, unless more is asked for. */
static void tree_is_told_in_a_line_unless_details_are_asked_for(void **state)
{
    (void)state;
    assert_int_equal(run("mkdir -p q && cp " LIBC
                         " q && cp /usr/lib/x86_64-linux-gnu/libcrypto.so.3 q && %s patch q --dry-run",
                         tool),
                     0);
    assert_ptr_equal(strchr(said, '\n'), said + strlen(said) - 1);
    expect_said("2 files patched");
    assert_int_equal(run("%s patch q --dry-run --details", tool), 0);
    expect_said("q/libc.so.6: 4548 fs: operands");
    expect_said("and in no strict form");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_checked_in_full_width),
        cmocka_unit_test(site_that_stands_twice_is_refused),
        cmocka_unit_test(list_in_another_layout_is_the_same_list),
        cmocka_unit_test(what_is_no_json_is_named_by_its_line),
        cmocka_unit_test(damaged_list_never_takes_anything_wrong_back),
        cmocka_unit_test(list_written_before_is_still_one),
        cmocka_unit_test(names_of_any_bytes_are_kept),
        cmocka_unit_test(trees_are_verified_and_taken_back),
        cmocka_unit_test(tree_is_told_in_a_line_unless_details_are_asked_for),
    };
    return cmocka_run_group_tests(tests, tool_prepare, tool_clean);
}
