/* supply.c: the memory that blocks come from, where the system gives none: wherever a pool fails, nothing of it stays.
 */
#include "tests/support/test.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "signals/watch/areas.h"
#include "signals/watch/blocks/pools.h"
#include "signals/watch/blocks/supply.h"
#include "tests/support/child.h"

/* Larger than the first pool. */
#define SIZE (UINT64_C(2) << 20)
#define STEP (UINT64_C(64) << 10)
#define STEPS_MOST 1024u
#define PAGE UINT64_C(4096)

static void need(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "%s\n", what);
    _exit(1);
}

/* In bytes. */
static uint64_t mapped(void)
{
    char text[64] = {0};
    int file = open("/proc/self/statm", O_RDONLY);
    need(file >= 0 && read(file, text, sizeof text - 1) > 0, "statm");
    close(file);
    return strtoull(text, NULL, 10) * PAGE;
}

static void *get(void)
{
    const struct block_order order = {.size = SIZE, .alignment = BLOCK_ALIGNMENT, .number = 1};
    return supply_block(&order);
}

/* With ever more memory, until it is enough. */
static int memory_is_short(void)
{
    unsigned failures = 0;
    need(supply_begin(), "supply_begin");
    const struct rlimit none = {RLIM_INFINITY, RLIM_INFINITY};
    const uint64_t before = mapped();
    const unsigned areas = areas_count();
    void *block = NULL;
    for (; !block && failures < STEPS_MOST; failures += !block) {
        const struct rlimit limit = {before + failures * STEP, RLIM_INFINITY};
        need(setrlimit(RLIMIT_AS, &limit) == 0, "setrlimit");
        block = get();
        need(setrlimit(RLIMIT_AS, &none) == 0, "setrlimit");
        need(block || mapped() == before, "something stays mapped");
        need(block || areas_count() == areas, "an area stays");
    }
    need(block && areas_count() == areas + 1, "no block with enough memory");
    need(failures > SIZE / STEP, "enough memory from the beginning");
    memset(blocks_view(block), 1, SIZE);
    need(blocks_take(block) && !blocks_take(block), "blocks_take");
    return 0;
}

/* mprotect fails where pages are closed. */
static bool forbid_closing(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mprotect, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PROT_NONE, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 12),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {sizeof code / sizeof *code, code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0;
}

static int pages_stay_open(void)
{
    need(supply_begin(), "supply_begin");
    if (!forbid_closing())
        return 77;
    const uint64_t before = mapped();
    const unsigned areas = areas_count();
    need(!get(), "a block");
    need(areas_count() == areas, "an area stays");
    need(mapped() == before, "something stays mapped");
    return 0;
}

/* Each larger than any pool that is there: it needs one of its own. */
#define LARGE_SIZE (UINT64_C(64) << 20)
/* All but the first pool, which is too small. */
#define LARGE_MOST (POOLS_MOST - 1)

static void *get_large(void)
{
    const struct block_order order = {.size = LARGE_SIZE, .alignment = BLOCK_ALIGNMENT, .number = 1};
    return supply_block(&order);
}

static int too_many_pools(void)
{
    static unsigned char *blocks[LARGE_MOST];
    need(supply_begin(), "supply_begin");
    for (unsigned i = 0; i < LARGE_MOST; i++) {
        need((blocks[i] = get_large()) != NULL, "there are fewer pools");
        *(unsigned char *)blocks_view(blocks[i]) = (unsigned char)i;
    }
    need(pool_count == POOLS_MOST, "not each block has a pool");
    const uint64_t before = mapped();
    need(!get_large() && mapped() == before, "a block without a pool");
    for (unsigned i = 0; i < LARGE_MOST; i++)
        need(*(unsigned char *)blocks_view(blocks[i]) == (unsigned char)i, "two blocks are one");
    /* What waits to be given out again is given out then. */
    need(blocks_take(blocks[7]) && get_large() == blocks[7], "no block in place of one that was taken back");
    need(!get_large(), "a block too many");
    return 0;
}

static const struct child_case cases[] = {
    {"too_many_pools", too_many_pools},
    {"memory_is_short", memory_is_short},
    {"pages_stay_open", pages_stay_open},
};

static void run(const char *name)
{
    const struct child_result result = child_run(name);
    if (result.status == 77)
        skip_if("there are no filters here (seccomp)");
    assert_string_equal(result.output, "");
    assert_int_equal(result.status, 0);
}

static void nothing_stays_where_memory_is_short(void **state)
{
    (void)state;
    run("memory_is_short");
}

static void nothing_stays_where_pages_cannot_be_closed(void **state)
{
    (void)state;
    run("pages_stay_open");
}

static void blocks_end_with_the_pools(void **state)
{
    (void)state;
    run("too_many_pools");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_stays_where_memory_is_short),
        cmocka_unit_test(nothing_stays_where_pages_cannot_be_closed),
        cmocka_unit_test(blocks_end_with_the_pools),
    };
    child_main(argc, argv, cases, sizeof cases / sizeof *cases);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
