/* patch_pitfalls.c: the pitfalls that others fell into, by name (docs/patch.md), as far as Linux can show them. Those
 * of writing code are in patch_poke.c, those of one fault in patch_segment.c, data-in-text in patch_scan.c and
 * patch_counts.sh.
 *
 * A library that goes through GS stands for code of the program: a copy of libsqlite3 that the command has rewritten.
 * GS's base is 0 in a Linux program, so the library's handler turns it back to FS site by site. The
 * environment names the command (SEGUE_TOOL); each case that may die runs in a child. */
#include "tests/support/test.h"

#include <asm/prctl.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <segue/handler.h>
#include <segue/patch.h>
#include <segue/segment.h>

#include "tests/support/child.h"

#define PAGE 4096u
#define ORIGINAL "/usr/lib/x86_64-linux-gnu/libsqlite3.so.0"
/* Where the parent leaves the rewritten copy, for its children. */
#define COPY "SEGUE_PITFALLS_COPY"

static const struct segue_rewrite gs_to_fs = {SEGUE_SEGMENT_GS, SEGUE_SEGMENT_FS};

static void must(bool is_so, const char *what)
{
    if (is_so)
        return;
    printf("not so: %s (errno %d)\n", what, errno);
    fflush(stdout);
    _exit(99);
}

#define MUST(condition) must(condition, #condition)

/* --- The program's code. --- */

static void *library;
static int (*open_database)(const char *, void **);
static int (*close_database)(void *);
static int (*execute)(void *, const char *, void *, void *, char **);

static void begin(uint32_t flags)
{
    struct segue_segment_options options = {.rewrite = gs_to_fs, .flags = flags};
    MUST(segue_install(NULL) == SEGUE_OK);
    MUST(segue_segment_enable(&options) == SEGUE_OK);
}

static void load(void)
{
    library = dlopen(getenv(COPY), RTLD_NOW);
    MUST(library != NULL);
    open_database = (int (*)(const char *, void **))dlsym(library, "sqlite3_open");
    close_database = (int (*)(void *))dlsym(library, "sqlite3_close");
    execute = (int (*)(void *, const char *, void *, void *, char **))dlsym(library, "sqlite3_exec");
    MUST(open_database && close_database && execute);
}

static void use(void)
{
    void *database;
    MUST(open_database(":memory:", &database) == 0);
    MUST(execute(database,
                 "create table t(a, b); insert into t values(1, 'x'), (2, 'y'); create index i on t(b);"
                 "select sum(a), group_concat(b) from t where b like '%x%' order by a",
                 NULL, NULL, NULL) == 0);
    MUST(close_database(database) == 0);
}

static uint64_t faults(void)
{
    struct segue_counters counters;
    segue_counters_read(&counters);
    return counters.faults;
}

/* How many patches there are, and the last of them. */
static struct segue_patch last_patch;

static enum segue_status count_patch(void *count, const struct segue_patch *patch)
{
    ++*(size_t *)count;
    last_patch = *patch;
    return SEGUE_OK;
}

static size_t records(void)
{
    size_t count = 0;
    MUST(segue_patches_list(0, SIZE_MAX, count_patch, &count) == SEGUE_OK);
    return count;
}

/* The sites of the copy, as its own file has them. */
static size_t sites_in_file(void)
{
    char command[1024], line[512];
    unsigned long sites = 0;
    snprintf(command, sizeof command, "'%s' patch --from gs --to fs --dry-run '%s'", getenv("SEGUE_TOOL"),
             getenv(COPY));
    FILE *pipe = popen(command, "r");
    MUST(pipe != NULL && fgets(line, sizeof line, pipe) != NULL);
    MUST(sscanf(strrchr(line, '/'), "%*[^ ] %lu gs: operands", &sites) == 1);
    pclose(pipe);
    return sites;
}

/* --- blocked-SIGSEGV kill. --- */

static void *use_with_all_blocked(void *unused)
{
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    use();
    return unused;
}

static int use_in_thread_that_blocks(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, use_with_all_blocked, NULL);
    pthread_join(thread, NULL);
    return 0;
}

static int child_blocked_lazy(void)
{
    begin(0);
    load();
    return use_in_thread_that_blocks();
}

static int child_blocked_whole_module(void)
{
    begin(SEGUE_SEGMENT_WHOLE_MODULES);
    load();
    MUST(segue_segment_modules() == SEGUE_OK);
    void *database;
    open_database(":memory:", &database);
    close_database(database);
    return use_in_thread_that_blocks();
}

static int child_blocked_eager(void)
{
    begin(0);
    load();
    MUST(segue_segment_rewrite_module((void *)(uintptr_t)open_database, NULL) == SEGUE_OK);
    return use_in_thread_that_blocks();
}

static void blocked_SIGSEGV_kills_at_the_first_site_unless_it_was_rewritten_before(void **state)
{
    (void)state;
    assert_int_equal(child_run("blocked_lazy").signal, SIGSEGV);
    assert_int_equal(child_run("blocked_whole_module").status, 0);
    assert_int_equal(child_run("blocked_eager").status, 0);
}

/* --- stolen-handler. --- */

static void on_stolen(int number)
{
    (void)number;
    _exit(42);
}

static int child_stolen_lazy(void)
{
    begin(0);
    load();
    signal(SIGSEGV, on_stolen);
    use();
    return 0;
}

static int child_stolen_eager(void)
{
    begin(0);
    load();
    MUST(segue_segment_rewrite_module((void *)(uintptr_t)open_database, NULL) == SEGUE_OK);
    signal(SIGSEGV, on_stolen);
    use();
    return 0;
}

static void stolen_handler_meets_the_faults_unless_all_was_rewritten_before(void **state)
{
    (void)state;
    assert_int_equal(child_run("stolen_lazy").status, 42);
    assert_int_equal(child_run("stolen_eager").status, 0);
}

/* --- Whole programs' worth of sites: lazily, at the first fault, eagerly; and back. --- */

static int child_lazy(void)
{
    begin(0);
    load();
    uint64_t before = faults();
    use();
    uint64_t first = faults() - before;
    /* One fault a site, and none for the second round. */
    MUST(first > 50 && records() == first);
    use();
    MUST(faults() - before == first);
    return 0;
}

static int child_whole_module(void)
{
    begin(SEGUE_SEGMENT_WHOLE_MODULES);
    load();
    MUST(segue_segment_modules() == SEGUE_OK);
    uint64_t before = faults();
    use();
    MUST(faults() - before == 1);
    MUST(records() == sites_in_file());
    return 0;
}

static uint64_t checksum_of_code(void)
{
    const struct link_map *map;
    uint64_t sum = 0;
    dlinfo(library, RTLD_DI_LINKMAP, &map);
    const ElfW(Ehdr) *header = (const void *)map->l_addr;
    const ElfW(Phdr) *segment = (const void *)(map->l_addr + header->e_phoff);
    for (int i = 0; i < header->e_phnum; i++)
        if (segment[i].p_type == PT_LOAD && (segment[i].p_flags & PF_X))
            for (size_t at = 0; at < segment[i].p_filesz; at++)
                sum = sum * 31 + ((const uint8_t *)map->l_addr + segment[i].p_vaddr)[at];
    return sum;
}

static int child_eager_and_undo(void)
{
    struct segue_rewrite_counts counts;
    size_t undone;
    begin(0);
    load();
    uint64_t before = checksum_of_code(), faults_before = faults();
    MUST(segue_segment_rewrite_module((void *)(uintptr_t)open_database, &counts) == SEGUE_OK);
    MUST(counts.rewritten == sites_in_file() && counts.failed == 0);
    MUST(checksum_of_code() != before);
    use();
    MUST(faults() == faults_before);
    MUST(records() == counts.rewritten && last_patch.faults == 0 && strcmp(last_patch.object, getenv(COPY)) == 0);
    MUST(segue_patches_undo_module((void *)(uintptr_t)open_database, &undone) == SEGUE_OK);
    MUST(undone == counts.rewritten && checksum_of_code() == before);
    /* And at the fault again. */
    use();
    MUST(faults() > faults_before);
    return 0;
}

static void module_is_rewritten_lazily_at_once_or_eagerly_and_back(void **state)
{
    static const char *const names[] = {"lazy", "whole_module", "eager_and_undo"};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct child_result result = child_run(names[i]);
        if (result.status != 0)
            fail_msg("%s: status %d, signal %d: %s", names[i], result.status, result.signal, result.output);
    }
}

/* --- dlopen after the scan: such a module is not known, and its sites are rewritten one by one until it is. --- */

static int child_dlopen_after_scan(void)
{
    begin(SEGUE_SEGMENT_WHOLE_MODULES);
    load();
    uint64_t before = faults();
    void *database;
    MUST(open_database(":memory:", &database) == 0);
    MUST(faults() - before > 1 && records() == faults() - before);
    MUST(segue_segment_modules() == SEGUE_OK);
    before = faults();
    use();
    MUST(faults() - before == 1 && records() == sites_in_file());
    return 0;
}

static void dlopen_after_the_scan_is_served_site_by_site(void **state)
{
    (void)state;
    struct child_result result = child_run("dlopen_after_scan");
    if (result.status != 0)
        fail_msg("status %d, signal %d: %s", result.status, result.signal, result.output);
}

/* --- clone-GS: a new thread gets an FS base of its own, and the GS base of its parent. --- */

static void *read_bases(void *bases)
{
    syscall(SYS_arch_prctl, ARCH_GET_FS, (uint64_t *)bases);
    syscall(SYS_arch_prctl, ARCH_GET_GS, (uint64_t *)bases + 1);
    return NULL;
}

static void clone_GS_is_the_parents_until_the_thread_sets_it(void **state)
{
    pthread_t thread;
    uint64_t own[2], its[2];
    (void)state;
    read_bases(own);
    syscall(SYS_arch_prctl, ARCH_SET_GS, own[0]);
    pthread_create(&thread, NULL, read_bases, its);
    pthread_join(thread, NULL);
    syscall(SYS_arch_prctl, ARCH_SET_GS, own[1]);
    assert_true(its[0] != own[0]);
    assert_int_equal(its[1], own[0]);
}

/* --- canary-in-decoder: what runs in a handler may be built without a stack guard, ours is. --- */

static enum segue_status count_site(void *count, const struct segue_site *site)
{
    *(size_t *)count += site->trust == SEGUE_TRUST_FORM && site->bytes[5] == 0x28;
    return SEGUE_OK;
}

static int count_guards(struct dl_phdr_info *info, size_t size, void *count)
{
    (void)size;
    if (!strstr(info->dlpi_name, "libsegue"))
        return 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        const uint8_t *bytes = (const uint8_t *)info->dlpi_addr + segment->p_vaddr;
        struct segue_segment_code code = {bytes, segment->p_filesz, (uint64_t)(uintptr_t)bytes, NULL, 0, {0}};
        if (segment->p_type == PT_LOAD && (segment->p_flags & PF_X))
            segue_segment_scan(&code, (struct segue_rewrite){SEGUE_SEGMENT_FS, SEGUE_SEGMENT_GS}, count_site, count);
    }
    return 1;
}

static void canary_in_decoder_is_not_in_our_library(void **state)
{
    size_t count = 0;
    (void)state;
    assert_int_equal(dl_iterate_phdr(count_guards, &count), 1);
    assert_int_equal(count, 0);
}

/* --- vm.max_map_count: rewriting splits no mapping for good. --- */

/* Of the copy. */
static unsigned count_mappings(void)
{
    char line[8192];
    unsigned count = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (fgets(line, sizeof line, maps))
        count += strstr(line, getenv(COPY)) != NULL;
    fclose(maps);
    return count;
}

static int child_mappings(void)
{
    begin(0);
    load();
    unsigned before = count_mappings();
    struct segue_rewrite_counts counts;
    MUST(segue_segment_rewrite_module((void *)(uintptr_t)open_database, &counts) == SEGUE_OK &&
         counts.rewritten > 1000);
    MUST(before > 0 && count_mappings() == before);
    return 0;
}

static void vm_max_map_count_is_not_used_up(void **state)
{
    (void)state;
    struct child_result result = child_run("mappings");
    if (result.status != 0)
        fail_msg("status %d, signal %d: %s", result.status, result.signal, result.output);
}

/* --- The copy. --- */

static char copy[] = "/tmp/segue-pitfalls-XXXXXX";

static int prepare(void **state)
{
    char command[1024];
    int file = mkstemp(copy);
    (void)state;
    if (file < 0)
        return -1;
    close(file);
    setenv(COPY, copy, 1);
    snprintf(command, sizeof command, "'%s' patch " ORIGINAL " -o '%s' >/dev/null", getenv("SEGUE_TOOL"), copy);
    return system(command);
}

static int clean(void **state)
{
    (void)state;
    return unlink(copy);
}

int main(int argc, char **argv)
{
    static const struct child_case cases[] = {
        {"blocked_lazy", child_blocked_lazy},           {"blocked_whole_module", child_blocked_whole_module},
        {"blocked_eager", child_blocked_eager},         {"stolen_lazy", child_stolen_lazy},
        {"stolen_eager", child_stolen_eager},           {"lazy", child_lazy},
        {"whole_module", child_whole_module},           {"eager_and_undo", child_eager_and_undo},
        {"dlopen_after_scan", child_dlopen_after_scan}, {"mappings", child_mappings},
    };
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocked_SIGSEGV_kills_at_the_first_site_unless_it_was_rewritten_before),
        cmocka_unit_test(stolen_handler_meets_the_faults_unless_all_was_rewritten_before),
        cmocka_unit_test(module_is_rewritten_lazily_at_once_or_eagerly_and_back),
        cmocka_unit_test(dlopen_after_the_scan_is_served_site_by_site),
        cmocka_unit_test(clone_GS_is_the_parents_until_the_thread_sets_it),
        cmocka_unit_test(canary_in_decoder_is_not_in_our_library),
        cmocka_unit_test(vm_max_map_count_is_not_used_up),
    };
    child_main(argc, argv, cases, sizeof cases / sizeof *cases);
    return cmocka_run_group_tests(tests, prepare, clean);
}
