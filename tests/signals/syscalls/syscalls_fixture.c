/* syscalls_fixture.c: see syscalls_fixture.h. */
#include "tests/support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "platform/memory/forced.h"
#include "syscalls_fixture.h"

struct notes notes;
struct segue_mapping memory;
static enum segue_window_kind kind_in_force;

static enum segue_verdict note(void *context, const struct segue_event *event)
{
    struct notes *to = context;
    unsigned at = __atomic_fetch_add(&to->events, 1, __ATOMIC_RELAXED);
    if (at < sizeof to->event / sizeof *to->event) {
        to->event[at].address = event->address;
        to->event[at].size = event->size;
        to->event[at].system_call = event->system_call;
        to->event[at].direction = event->direction;
    }
    if (to->look && event->system_call != SEGUE_NO_SYSTEM_CALL)
        to->look(event);
    if (to->verdict == SEGUE_DONE)
        event->regs->rax = (uint64_t)to->result;
    return event->system_call == SEGUE_NO_SYSTEM_CALL ? SEGUE_STEP : to->verdict;
}

void calls_setup(enum segue_window_kind kind)
{
    const struct segue_options options = {.flags = SEGUE_INSTALL_SYSTEM_CALLS |
                                                   (getenv("CALL_SITES") ? SEGUE_INSTALL_CALL_SITES : 0)};
    assert_int_equal(segue_install(&options), SEGUE_OK);
    kind_in_force = kind;
    notes = (struct notes){.verdict = SEGUE_STEP};
    if (kind == SEGUE_WINDOW_ALIAS) {
        assert_int_equal(segue_mapping_create(NULL, 4 * PAGE, &memory), SEGUE_OK);
    } else {
        memory.memory = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        memory.size = 4 * PAGE;
        memset(memory.memory, 0, 4 * PAGE);
    }
    const struct segue_region region = {
        .window = kind == SEGUE_WINDOW_ALIAS ? segue_window_alias(CLOSED, 2 * PAGE, CLOSED_ALIAS)
                                             : segue_window_forced(CLOSED, 2 * PAGE),
        .policy = note,
        .context = &notes,
    };
    assert_int_equal(segue_region_add(&region), SEGUE_OK);
    assert_int_equal(mprotect(CLOSED, 2 * PAGE, PROT_NONE), 0);
}

void calls_teardown(void)
{
    assert_int_equal(mprotect(CLOSED, 2 * PAGE, PROT_READ | PROT_WRITE), 0);
    assert_int_equal(segue_region_remove(CLOSED), SEGUE_OK);
    calls_teardown_memory();
}

void calls_teardown_memory(void)
{
    if (kind_in_force == SEGUE_WINDOW_ALIAS)
        assert_int_equal(segue_mapping_destroy(&memory), SEGUE_OK);
    else
        munmap(memory.memory, memory.size);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
}

char calls_folder[CALLS_PATH] = "/tmp/segue-calls-XXXXXX";

static void name_of(unsigned number, char *path, size_t size)
{
    snprintf(path, size, "%s/link-%u", calls_folder, number);
}

int calls_make_folder(void **state)
{
    char path[64];
    (void)state;
    if (!mkdtemp(calls_folder))
        return -1;
    for (unsigned i = 0; i < CALLS_NAMES; i++) {
        name_of(i, path, sizeof path);
        if (symlink("nowhere", path) != 0)
            return -1;
    }
    return 0;
}

int calls_remove_folder(void **state)
{
    char path[64];
    (void)state;
    for (unsigned i = 0; i < CALLS_NAMES; i++) {
        name_of(i, path, sizeof path);
        unlink(path);
    }
    return rmdir(calls_folder);
}

bool calls_has_call(const void *code, size_t size)
{
    return memmem(code, size, "\x0f\x05\xc3", 3) || memmem(code, size, "\x0f\x06\xc3", 3);
}

void closed_read(void *to, size_t offset, size_t size)
{
    if (kind_in_force == SEGUE_WINDOW_ALIAS)
        memcpy(to, CLOSED_ALIAS + offset, size);
    else
        assert_true(forced_read((uint64_t)(uintptr_t)CLOSED + offset, to, size));
}

void closed_write(size_t offset, const void *from, size_t size)
{
    if (kind_in_force == SEGUE_WINDOW_ALIAS)
        memcpy(CLOSED_ALIAS + offset, from, size);
    else
        assert_true(forced_write((uint64_t)(uintptr_t)CLOSED + offset, from, size));
}
