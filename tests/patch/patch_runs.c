/* patch_runs.c: libraries that were patched ahead of time compute what they computed before. Each runs in a child whose
 * GS base was set to its FS base; and, so that it is known that they do go through GS, in one whose GS base was not.
 * The first argument is the command; with more, this is such a child. */
#include "tests/support/test.h"

#include <asm/prctl.h>
#include <dlfcn.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define FOLDER "/usr/lib/x86_64-linux-gnu/"

static const char *self, *tool;
static char folder[] = "/tmp/segue-runs-XXXXXX";

/* --- The child. --- */

static void *library;

static void *function(const char *name)
{
    void *found = dlsym(library, name);
    if (!found)
        exit(3);
    return found;
}

static int print_row(void *unused, int count, char **values, char **names)
{
    (void)unused, (void)names;
    for (int i = 0; i < count; i++)
        printf("%s|", values[i] ? values[i] : "NULL");
    putchar('\n');
    return 0;
}

static int run_sqlite(void)
{
    static const char statements[] =
        "create table t(id integer primary key, name text, score real);"
        "with recursive n(i) as (select 1 union all select i + 1 from n where i < 20000) "
        "insert into t select i, printf('row %08x', i * 2654435761 % 4294967296), i * 0.25 from n;"
        "create index by_name on t(name); update t set score = score + 1 where name like '%a%';"
        "select count(*), sum(score), min(name), max(name) from t;"
        "select hex(group_concat(name, ',')) from (select name from t order by name limit 200);"
        "select json_group_array(id) from (select id from t where score > 4900 order by score desc limit 50);";
    int (*open)(const char *, void **) = function("sqlite3_open");
    int (*execute)(void *, const char *, int (*)(void *, int, char **, char **), void *, char **) =
        function("sqlite3_exec");
    int (*close)(void *) = function("sqlite3_close");
    void *database;
    return open(":memory:", &database) || execute(database, statements, print_row, NULL, NULL) || close(database);
}

static void print_hex(const unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        printf("%02x", bytes[i]);
    putchar('\n');
}

static int run_crypto(void)
{
    unsigned char *(*sha512)(const unsigned char *, size_t, unsigned char *) = function("SHA512");
    int (*derive)(const char *, int, const unsigned char *, int, int, int, unsigned char *) =
        function("PKCS5_PBKDF2_HMAC_SHA1");
    void *(*number)(void) = function("BN_new");
    void *(*context)(void) = function("BN_CTX_new");
    int (*parse)(void **, const char *) = function("BN_dec2bn");
    int (*power)(void *, const void *, const void *, const void *, void *) = function("BN_mod_exp");
    char *(*text)(const void *) = function("BN_bn2dec");
    unsigned char data[100000], digest[64];
    void *base = NULL, *exponent = NULL, *modulus = NULL, *result = number();
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (unsigned char)(i * i >> 3);
    print_hex(sha512(data, sizeof data, digest), 64);
    if (!derive("segue", 5, data, 64, 5000, 64, digest))
        return 1;
    print_hex(digest, 64);
    parse(&base, "123456789012345678901234567890123456789");
    parse(&exponent, "170141183460469231731687303715884105727");
    parse(&modulus, "115792089237316195423570985008687907853269984665640564039457584007913129639747");
    if (!power(result, base, exponent, modulus, context()))
        return 1;
    puts(text(result));
    return 0;
}

static int child(const char *path, const char *what, bool gives_gs)
{
    uint64_t fs_base;
    syscall(SYS_arch_prctl, ARCH_GET_FS, &fs_base);
    if (gives_gs)
        syscall(SYS_arch_prctl, ARCH_SET_GS, fs_base);
    library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return 2;
    return strcmp(what, "sqlite") == 0 ? run_sqlite() : run_crypto();
}

/* --- The test. --- */

/* Returns the wait status, and what was printed. */
static int run(const char *path, const char *what, const char *gs, char *output, size_t size)
{
    char command[1024];
    snprintf(command, sizeof command, "exec '%s' '%s' '%s' %s %s 2>/dev/null", self, tool, path, what, gs);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    output[fread(output, 1, size - 1, pipe)] = 0;
    return pclose(pipe);
}

static void computes_the_same(const char *name, const char *what)
{
    static char before[1 << 16], after[1 << 16];
    char command[1024], original[256], patched[256];
    snprintf(original, sizeof original, FOLDER "%s", name);
    snprintf(patched, sizeof patched, "%s/%s", folder, name);
    snprintf(command, sizeof command, "'%s' patch '%s' -o '%s' >/dev/null", tool, original, patched);
    assert_int_equal(system(command), 0);
    assert_int_equal(run(original, what, "no", before, sizeof before), 0);
    assert_true(strlen(before) > 100);
    assert_int_equal(run(patched, what, "gs", after, sizeof after), 0);
    assert_string_equal(before, after);
    /* Without GS it dies at its first stack guard: it does go through GS. */
    int status = run(patched, what, "no", after, sizeof after);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    unlink(patched);
}

static void patched_sqlite_computes_the_same(void **state)
{
    (void)state;
    computes_the_same("libsqlite3.so.0", "sqlite");
}

static void patched_crypto_computes_the_same(void **state)
{
    (void)state;
    computes_the_same("libcrypto.so.3", "crypto");
}

static int prepare(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int clean(void **state)
{
    (void)state;
    return rmdir(folder);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patched_sqlite_computes_the_same),
        cmocka_unit_test(patched_crypto_computes_the_same),
    };
    if (argc == 5)
        return child(argv[2], argv[3], strcmp(argv[4], "gs") == 0);
    if (argc != 2) {
        fprintf(stderr, "usage: %s SEGUE\n", argv[0]);
        return 2;
    }
    self = argv[0];
    tool = argv[1];
    return cmocka_run_group_tests(tests, prepare, clean);
}
