/* adopt.c: memory that exists gets a second view, in place. */
#include "tests/support/test.h"

#include <segue/segue.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/cases.h"

#define PAGE 4096u
#define PAGES 8u

static void prepare(void)
{
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(segue_suspend_install(NULL), SEGUE_OK);
}

/* Pages of different protections and contents; page 5 was never touched. */
static char *make(void)
{
    char *memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (unsigned i = 0; i < PAGES; i++)
        if (i != 5)
            memset(memory + i * PAGE, (int)i + 1, PAGE);
    mprotect(memory + 2 * PAGE, PAGE, PROT_READ);
    mprotect(memory + 3 * PAGE, PAGE, PROT_NONE);
    return memory;
}

/* Each line of the process's maps that is in the memory, by its protection. */
static void protections(const char *memory, char found[PAGES + 1])
{
    static char text[1 << 16];
    memset(found, 0, PAGES + 1);
    FILE *maps = fopen("/proc/self/maps", "r");
    while (fgets(text, sizeof text, maps)) {
        unsigned long start, end;
        char allowed[5];
        if (sscanf(text, "%lx-%lx %4s", &start, &end, allowed) != 3)
            continue;
        for (unsigned i = 0; i < PAGES; i++) {
            unsigned long at = (unsigned long)memory + i * PAGE;
            if (at >= start && at < end)
                found[i] = allowed[1] == 'w' ? 'w' : allowed[0];
        }
    }
    fclose(maps);
}

static void check_contents(char *memory)
{
    char found[PAGES + 1];
    protections(memory, found);
    assert_string_equal(found, "wwr-wwww");
    for (unsigned i = 0; i < PAGES; i++)
        if (i != 3)
            assert_int_equal(memory[i * PAGE + 7], i == 5 ? 0 : (int)i + 1);
}

static int adopted_memory_has_two_views(void)
{
    prepare();
    char *memory = make();
    struct segue_mapping mapping;
    assert_int_equal(segue_mapping_adopt(memory, PAGES * PAGE, &mapping), SEGUE_OK);
    assert_ptr_equal(mapping.memory, memory);
    check_contents(memory);
    memory[8] = 99;
    assert_int_equal(((char *)mapping.alias)[8], 99);
    ((char *)mapping.alias)[9] = 98;
    assert_int_equal(memory[9], 98);
    char found[PAGES + 1];
    protections(mapping.alias, found);
    assert_string_equal(found, "wwr-wwww");
    assert_int_equal(segue_mapping_destroy(&mapping), SEGUE_INVALID);
    /* What the caller has protected meanwhile is as it was before. */
    assert_int_equal(segue_mapping_protect(&mapping, 0, PAGE, 0), SEGUE_OK);
    assert_int_equal(segue_mapping_release(&mapping), SEGUE_OK);
    check_contents(memory);
    assert_int_equal(memory[8], 99);
    assert_int_equal(memory[9], 98);
    assert_int_equal(segue_mapping_release(&mapping), SEGUE_INVALID);
    munmap(memory, PAGES * PAGE);
    return 0;
}

static int adopted_memory_is_a_copy_in_a_child(void)
{
    prepare();
    char *memory = make();
    struct segue_mapping mapping;
    assert_int_equal(segue_mapping_adopt(memory, PAGES * PAGE, &mapping), SEGUE_OK);
    pid_t child = fork();
    if (child == 0) {
        char *alias = mapping.alias;
        memory[1] = 50;
        bool is_one_memory = alias[1] == 50;
        alias[2] = 51;
        _exit(is_one_memory && memory[2] == 51 && memory[3] == 1 ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(memory[1], 1);
    assert_int_equal(memory[2], 1);
    check_contents(memory);
    assert_int_equal(segue_mapping_release(&mapping), SEGUE_OK);
    munmap(memory, PAGES * PAGE);
    return 0;
}

static int adopting_refuses_by_name(void)
{
    prepare();
    struct segue_mapping mapping;
    char *memory = make();
    assert_int_equal(segue_mapping_adopt(memory + 1, PAGE, &mapping), SEGUE_INVALID);
    assert_int_equal(segue_mapping_adopt(memory, PAGE + 1, &mapping), SEGUE_INVALID);
    assert_int_equal(segue_mapping_adopt(NULL, PAGE, &mapping), SEGUE_INVALID);
    uintptr_t stack = (uintptr_t)&mapping / PAGE * PAGE;
    assert_int_equal(segue_mapping_adopt((void *)stack, PAGE, &mapping), SEGUE_BUSY);
    assert_non_null(strstr(segue_reason(), "stack pointer"));
    munmap(memory + PAGE, PAGE);
    assert_int_equal(segue_mapping_adopt(memory, 3 * PAGE, &mapping), SEGUE_UNSUPPORTED);
    assert_non_null(strstr(segue_reason(), "no memory is mapped"));
    assert_int_equal(memory[0], 1);
    munmap(memory, PAGES * PAGE);
    return 0;
}

#define EACH_CASE(X)                                                                                                   \
    X(adopted_memory_has_two_views)                                                                                    \
    X(adopted_memory_is_a_copy_in_a_child)                                                                             \
    X(adopting_refuses_by_name)
CASES_MAIN(EACH_CASE)
