/* library.c: exchanges a library for another one with other code at the same offsets. */
#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>

#include "torture.h"

/* Held for reading by who is in the library. */
pthread_rwlock_t library_lock = PTHREAD_RWLOCK_INITIALIZER;
struct replaced library;
static void *handle;

static void *find(const char *name)
{
    void *found = dlsym(handle, name);
    if (found)
        return found;
    fprintf(stderr, "torture: %s\n", dlerror());
    exit(1);
}

void library_exchange(struct random *random)
{
    pthread_rwlock_wrlock(&library_lock);
    void *before = (void *)(uintptr_t)library.fold;
    uint32_t number = library.number == 1 ? 2 : 1;
    if (handle) {
        /* As a careful program does, or not at all. */
        uint32_t choice = random_below(random, 3);
        if (choice == 0)
            segue_patches_undo_module(before, NULL);
        dlclose(handle);
        if (choice == 1)
            segue_patches_forget((uint64_t)(uintptr_t)before & ~UINT64_C(4095), 8192);
    }
    handle = dlopen(options.libraries[number - 1], RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        fprintf(stderr, "torture: %s\n", dlerror());
        exit(1);
    }
    *(void **)(void *)&library.fold = find("replaced_fold");
    *(void **)(void *)&library.branch = find("replaced_branch");
    library.number = *(const uint32_t *)find("replaced_number");
    if (library.number != number)
        fail("the library is number %u in place of %u\n", library.number, number);
    happens(&happened.exchanges, 1);
    happens(&happened.same_places, before == (void *)(uintptr_t)library.fold);
    applications_find();
    pthread_rwlock_unlock(&library_lock);
}
