/* syscalls_sites.c: call sites that are replaced, where the system cannot catch calls: which are found, when it is
 * refused, and that the signal by which they trap is never blocked. What their calls do, the other tests of system
 * calls show, which also run without dispatch (forbid.c). */
#include "tests/support/test.h"

#include <dirent.h>
#include <pthread.h>
#include <segue/segue.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "decode/x86/flags.h"
#include "decode/x86/page.h"
#include "patch/hot/hot.h"
#include "patch/scan/calls.h"
#include "patch/scan/functions.h"
#include "platform/code.h"
#include "signals/hot/begin.h"

/* ---- which are found ---- */

#define MOST 4096u

struct found {
    size_t count;
    uint64_t sites[MOST];
};
static struct found found;

static void note(uint64_t site, void *context)
{
    struct found *to = context;
    assert_true(to->count < MOST);
    to->sites[to->count++] = site;
}

/* Code at address 4096, of two functions: 0 to 32, and 32 to the end. */
static void scan(const uint8_t *bytes, size_t size)
{
    static const struct segue_extent functions[] = {{4096, 4096 + 16}, {4096 + 32, 4096 + 48}};
    const struct segue_segment_code code = {
        .bytes = bytes, .size = size, .address = 4096, .functions = functions, .function_count = 2};
    found.count = 0;
    assert_true(calls_scan(&code, note, &found));
}

static void sites_are_instructions(void **state)
{
    (void)state;
    /* mov eax, 0x050f; syscall; ret; and bytes like SYSCALL in a gap behind RET. */
    static const uint8_t plain[48] = {0xb8, 0x0f, 0x05, 0, 0, 0x0f, 0x05, [7 ... 15] = 0xc3, [20] = 0x0f, 0x05};
    scan(plain, sizeof plain);
    assert_int_equal(found.count, 1);
    assert_int_equal(found.sites[0], 4096 + 5);
}

static void sites_behind_a_functions_table(void **state)
{
    (void)state;
    /* Fifteen NOPs and PUSH: the function goes on to SYSCALL, and RET. */
    uint8_t open[48];
    memset(open, 0x90, sizeof open);
    open[16] = 0x0f;
    open[17] = 0x05;
    open[18] = 0xc3;
    open[20] = 0x0f;
    open[21] = 0x05;
    scan(open, sizeof open);
    assert_int_equal(found.count, 1);
    assert_int_equal(found.sites[0], 4096 + 16);
}

static void sites_that_are_entered_are_not_used(void **state)
{
    (void)state;
    /* In the first function SYSCALL; in the second a jump to its second byte, short and long. */
    static const uint8_t near[48] = {0x0f, 0x05, 0xc3, [32] = 0xeb, 0xdf};
    static const uint8_t far[48] = {0x0f, 0x05, 0xc3, [32] = 0xe9, 0xdc, 0xff, 0xff, 0xff};
    static const uint8_t beside[48] = {0x0f, 0x05, 0xc3, [32] = 0xe9, 0xdb, 0xff, 0xff, 0xff};
    scan(near, sizeof near);
    assert_int_equal(found.count, 0);
    scan(far, sizeof far);
    assert_int_equal(found.count, 0);
    scan(beside, sizeof beside);
    assert_int_equal(found.count, 1);
}

/* ---- when it is refused ---- */

static const struct segue_options by_sites = {.flags = SEGUE_INSTALL_CALL_SITES};

static unsigned count_threads(void)
{
    unsigned count = 0;
    DIR *tasks = opendir("/proc/self/task");
    assert_non_null(tasks);
    for (const struct dirent *entry; (entry = readdir(tasks)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(tasks);
    return count;
}

static void *wait_for_end(void *descriptor)
{
    char byte;
    assert_int_equal(read(*(const int *)descriptor, &byte, 1), 0);
    return NULL;
}

/* The kernel may list a thread for a moment that was joined. */
static void refused_beside_threads(void **state)
{
    (void)state;
    int ends[2];
    pthread_t thread;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(pthread_create(&thread, NULL, wait_for_end, &ends[0]), 0);
    assert_int_equal(segue_feature_check(SEGUE_FEATURE_CALL_SITES), SEGUE_UNSUPPORTED);
    assert_int_equal(segue_install(&by_sites), SEGUE_UNSUPPORTED);
    assert_string_equal(segue_reason(),
                        "call sites are replaced before the process has a second thread, and with /proc");
    close(ends[1]);
    pthread_join(thread, NULL);
    close(ends[0]);
    while (count_threads() > 1)
        usleep(100);
    assert_int_equal(segue_feature_check(SEGUE_FEATURE_CALL_SITES), SEGUE_OK);
}

static void install_now(void *status)
{
    *(enum segue_status *)status = segue_install(&by_sites);
}

/* Another change of code is under way: no site becomes another, and nothing is installed. */
static void refused_while_code_changes(void **state)
{
    (void)state;
    enum segue_status status = SEGUE_OK;
    struct sigaction before, after;
    assert_int_equal(sigaction(SIGSEGV, NULL, &before), 0);
    assert_int_equal(hot_begin(), SEGUE_OK);
    assert_true(hot_alone(install_now, &status));
    assert_int_equal(status, SEGUE_SYSTEM);
    assert_int_equal(sigaction(SIGSEGV, NULL, &after), 0);
    assert_ptr_equal(after.sa_handler, before.sa_handler);
    assert_int_equal(segue_uninstall(NULL), SEGUE_NOT_FOUND);
    assert_int_equal(segue_feature_check(SEGUE_FEATURE_CALL_SITES), SEGUE_OK);
}

/* ---- what traps ---- */

static bool keep_library(const struct platform_module *module, void *address)
{
    struct segue_segment_code code;
    size_t count = 0;
    if ((uint64_t)(uintptr_t)address - module->start >= module->end - module->start)
        return true;
    struct segue_extent *functions = functions_of(module, &count);
    for (unsigned i = 0; functions_segment(module, i, functions, count, &code); i++)
        assert_true(calls_scan(&code, note, &found));
    free(functions);
    return false;
}

static enum segue_verdict step(void *context, const struct segue_event *event)
{
    if (event->system_call != SEGUE_NO_SYSTEM_CALL)
        *(int32_t *)context = event->system_call;
    return SEGUE_STEP;
}

/* Each SYSCALL of the C library has become CLTS, or the beginning of a jump. */
static void each_site_of_the_library_traps(void **state)
{
    (void)state;
    unsigned changed = 0;
    int32_t seen = 0;
    struct segue_mapping memory;
    found.count = 0;
    assert_false(platform_modules_visit(keep_library, platform_symbol_find("read")));
    assert_true(found.count > 300);
    assert_int_equal(segue_install(&by_sites), SEGUE_OK);
    for (size_t i = 0; i < found.count; i++)
        changed += memcmp((const void *)(uintptr_t)found.sites[i], "\x0f\x05", 2) != 0;
    assert_int_equal(changed, found.count);
    assert_int_equal(segue_mapping_create(NULL, PAGE, &memory), SEGUE_OK);
    const struct segue_region region = {
        .window = segue_window_alias(memory.memory, PAGE, memory.alias), .policy = step, .context = &seen};
    assert_int_equal(segue_region_add(&region), SEGUE_OK);
    assert_int_equal(mprotect(memory.memory, PAGE, PROT_NONE), 0);
    assert_non_null(getcwd(memory.memory, PAGE));
    assert_int_equal(seen, SYS_getcwd);
    assert_int_equal(((const char *)memory.alias)[0], '/');
    assert_int_equal(mprotect(memory.memory, PAGE, PROT_READ | PROT_WRITE), 0);
    assert_int_equal(segue_region_remove(memory.memory), SEGUE_OK);
    assert_int_equal(segue_mapping_destroy(&memory), SEGUE_OK);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
}

/* R11 has the flags, without RF, which the fault sets. */
static void flags_are_those_of_a_call(void **state)
{
    (void)state;
    const uint8_t *site;
    uint64_t flags;
    long result = SYS_getppid;
    __asm__ volatile("leaq 1f(%%rip), %1\n1:\tsyscall\n\tmovq %%r11, %2"
                     : "+a"(result), "=&r"(site), "=&r"(flags)
                     :
                     : "rcx", "r11", "memory");
    assert_true(result > 0);
    assert_memory_equal(site, "\x0f\x06", 2);
    assert_int_equal(flags & FLAG_RESUME, 0);
    assert_true(flags & FLAG_INTERRUPT);
}

static volatile sig_atomic_t came;

static void count_signal(int number)
{
    (void)number;
    came = came + 1;
}

/* The program's handler and mask are kept aside; calls go on trapping after segue_uninstall. */
static void masks_and_actions_are_kept_aside(void **state)
{
    (void)state;
    sigset_t all, before;
    struct sigaction action = {.sa_handler = count_signal}, read_back;
    sigfillset(&all);
    sigfillset(&action.sa_mask);
    assert_int_equal(sigaction(SIGSEGV, &action, &read_back), 0);
    assert_int_equal(sigaction(SIGSEGV, NULL, &action), 0);
    assert_ptr_equal(action.sa_handler, count_signal);
    assert_int_equal(sigprocmask(SIG_SETMASK, &all, &before), 0);
    assert_true(getppid() > 0);
    assert_int_equal(raise(SIGSEGV), 0);
    assert_int_equal(came, 1);
    assert_int_equal(sigprocmask(SIG_SETMASK, &before, NULL), 0);
    assert_int_equal(system("exit 3"), 3 << 8);
    assert_int_equal(sigaction(SIGSEGV, &read_back, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sites_are_instructions),
        cmocka_unit_test(sites_behind_a_functions_table),
        cmocka_unit_test(sites_that_are_entered_are_not_used),
        cmocka_unit_test(refused_beside_threads),
        cmocka_unit_test(refused_while_code_changes),
        cmocka_unit_test(each_site_of_the_library_traps),
        cmocka_unit_test(flags_are_those_of_a_call),
        cmocka_unit_test(masks_and_actions_are_kept_aside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
