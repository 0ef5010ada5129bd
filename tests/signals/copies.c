/* copies.c LIBSEGUE: three copies of the shared library in one process, as plugins bring them, and a program that has a
 * function by one of their names. Each has its own handler, regions and engine, and none comes between another's own
 * calls. The first is linked and stands in the global scope; the others are copies of its file. */
#include "tests/support/test.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <segue/segue.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096u
#define COPIES 3
#define ROUNDS 3000u

/* The library's own calls of this name must not come here. */
size_t segue_peek(void *to, uint64_t address, size_t size)
{
    (void)to;
    (void)address;
    (void)size;
    abort();
}

struct copy {
    void *handle;
    enum segue_status (*install)(const struct segue_options *);
    enum segue_status (*create)(void *, size_t, struct segue_mapping *);
    enum segue_status (*add)(const struct segue_region *);
    enum segue_status (*remove)(const void *);
    enum segue_status (*uninstall)(struct segue_owner *);
    enum segue_status (*counters)(struct segue_counters *);
    enum segue_status (*attach)(void);
    enum segue_status (*list)(uint64_t, uint64_t, segue_patch_visit *, void *);
    struct segue_mapping mapping;
    unsigned long asked;
};

static const char *library;
static struct copy copies[COPIES];

static enum segue_verdict count(void *context, const struct segue_event *event)
{
    struct copy *copy = context;
    __atomic_fetch_add(&copy->asked, 1, __ATOMIC_RELAXED);
    return event->can_step == SEGUE_OK ? SEGUE_STEP : SEGUE_PASS;
}

static void *copy_of_file(void)
{
    char name[] = "/tmp/segue-copy-XXXXXX";
    struct stat status;
    int from = open(library, O_RDONLY), to = mkstemp(name);
    assert_true(from >= 0 && to >= 0);
    assert_int_equal(fstat(from, &status), 0);
    assert_int_equal(sendfile(to, from, NULL, (size_t)status.st_size), status.st_size);
    close(from);
    close(to);
    void *handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    unlink(name);
    if (!handle)
        print_message("%s\n", dlerror());
    return handle;
}

static void find(void *handle, const char *name, void *function)
{
    void *found = dlsym(handle, name);
    assert_non_null(found);
    *(void **)function = found;
}

static void load_copy(struct copy *copy, void *handle)
{
    assert_non_null(handle);
    copy->handle = handle;
    find(handle, "segue_install", &copy->install);
    find(handle, "segue_mapping_create", &copy->create);
    find(handle, "segue_region_add", &copy->add);
    find(handle, "segue_region_remove", &copy->remove);
    find(handle, "segue_uninstall", &copy->uninstall);
    find(handle, "segue_counters_read", &copy->counters);
    find(handle, "segue_thread_attach", &copy->attach);
    find(handle, "segue_patches_list", &copy->list);
}

static void begin_with(struct copy *copy, struct segue_region region)
{
    assert_int_equal(copy->install(NULL), SEGUE_OK);
    assert_int_equal(copy->create(NULL, PAGE, &copy->mapping), SEGUE_OK);
    region.window = (struct segue_window){
        .base = (uint64_t)copy->mapping.memory, .size = PAGE, .kind = SEGUE_WINDOW_ALIAS, .alias = copy->mapping.alias};
    assert_int_equal(copy->add(&region), SEGUE_OK);
    assert_int_equal(mprotect(copy->mapping.memory, PAGE, PROT_NONE), 0);
}

static void begin(struct copy *copy)
{
    begin_with(copy, (struct segue_region){.policy = count, .context = copy});
}

/* Four accesses, by each of the engines. */
static void touch(volatile uint64_t *word)
{
    volatile char *to = (volatile char *)(word + 1);
    const char *from = "eight by";
    size_t size = 8;
    *word += 1;
    __asm__ volatile("lock incq %0" : "+m"(*word) : : "cc");
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
    __asm__ volatile("pushq %0\n\taddq $8, %%rsp" : : "m"(*word) : "cc", "memory");
}

static void touched(const struct copy *copy, size_t offset, unsigned rounds)
{
    const uint64_t *word = (const uint64_t *)(const void *)((const char *)copy->mapping.alias + offset);
    assert_int_equal(word[0], 2ul * rounds);
    assert_memory_equal(word + 1, "eight by", 8);
}

static void *touch_all(void *offset)
{
    for (unsigned i = 0; i < ROUNDS; i++)
        for (int k = 0; k < COPIES; k++)
            touch((volatile uint64_t *)(volatile void *)((char *)copies[k].mapping.memory + (size_t)offset));
    return NULL;
}

static void three_copies_step_each_in_its_own_regions(void **state)
{
    pthread_t threads[2];
    (void)state;
    assert_int_equal(segue_install_check(NULL), SEGUE_NOT_FOUND);
    load_copy(&copies[0], dlopen(library, RTLD_NOW | RTLD_NOLOAD));
    for (int i = 1; i < COPIES; i++)
        load_copy(&copies[i], copy_of_file());
    for (int i = 0; i < COPIES; i++)
        begin(&copies[i]);
    touch_all((void *)0);
    for (size_t i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, touch_all, (void *)(1024 * (i + 1)));
    for (size_t i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    for (int k = 0; k < COPIES; k++) {
        struct segue_counters counters;
        for (size_t i = 0; i < 3; i++)
            touched(&copies[k], 1024 * i, ROUNDS);
        copies[k].counters(&counters);
        assert_int_equal(counters.refused, 0);
        assert_int_equal(counters.stepped, copies[k].asked);
    }
    /* The last that came is the first that may go. */
    assert_int_equal(copies[0].remove(copies[0].mapping.memory), SEGUE_OK);
    assert_int_equal(copies[0].uninstall(NULL), SEGUE_NOT_LAST);
    for (int k = COPIES - 1; k >= 0; k--) {
        if (k)
            assert_int_equal(copies[k].remove(copies[k].mapping.memory), SEGUE_OK);
        assert_int_equal(copies[k].uninstall(NULL), SEGUE_OK);
    }
}

/* ---- hot sites ---- */

static __attribute__((noinline)) uint64_t load(const volatile uint64_t *words)
{
    return words[3];
}

static __attribute__((noinline)) uint64_t load_and_add(const volatile uint64_t *words)
{
    return words[4] + 1;
}

static enum segue_status keep(void *context, const struct segue_patch *patch)
{
    *(struct segue_patch *)context = *patch;
    return SEGUE_OK;
}

/* The copies would take each other's jumps for the program's code. */
static void one_copy_makes_sites_hot(void **state)
{
    struct segue_patch patch = {0};
    (void)state;
    begin_with(&copies[1], (struct segue_region){.flags = SEGUE_REGION_HOT});
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(load(copies[1].mapping.memory), 0);
    assert_int_equal(copies[1].list(0, SIZE_MAX, keep, &patch), SEGUE_OK);
    assert_int_equal(patch.kind, SEGUE_PATCH_HOT);
    begin_with(&copies[2], (struct segue_region){.flags = SEGUE_REGION_HOT});
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(load(copies[2].mapping.memory), 0);
        assert_int_equal(load_and_add(copies[2].mapping.memory), 1);
        assert_int_equal(load(copies[1].mapping.memory), 0);
        assert_int_equal(load_and_add(copies[1].mapping.memory), 1);
    }
    assert_int_equal(copies[2].list(0, SIZE_MAX, keep, &patch), SEGUE_OK);
    assert_int_equal(patch.kind, SEGUE_PATCH_NONE);
    assert_string_equal(patch.reason, "another copy of the library changes code in this process");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(three_copies_step_each_in_its_own_regions),
                                       cmocka_unit_test(one_copy_makes_sites_hot)};
    if (argc != 2) {
        fprintf(stderr, "usage: %s libsegue.so\n", argv[0]);
        return 2;
    }
    library = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
