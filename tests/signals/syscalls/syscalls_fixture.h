/* syscalls_fixture.h: what the tests of system calls share: memory with two views, a region in it whose policy counts,
 * and plain memory to compare with. */
#ifndef SEGUE_TESTS_SYSCALLS_FIXTURE_H
#define SEGUE_TESTS_SYSCALLS_FIXTURE_H

#include <segue/segue.h>
#include <stdbool.h>

#include "decode/x86/page.h"

/* The last events that the policy saw, and what it answers. */
struct notes {
    unsigned events;
    struct {
        uint64_t address, size;
        int32_t system_call;
        uint8_t direction;
    } event[64];
    enum segue_verdict verdict;
    long result;
    /* Called with each event of a call; may be NULL. */
    void (*look)(const struct segue_event *event);
};
extern struct notes notes;

/* Four pages; the two in the middle are a closed region. */
extern struct segue_mapping memory;
#define CLOSED ((char *)memory.memory + PAGE)
#define CLOSED_ALIAS ((char *)memory.alias + PAGE)

/* To be called in a test, since cmocka handles faults, too. Installs with system calls, and makes the region. `kind`:
 * an alias window, or a forced one on private memory. With CALL_SITES in the environment, call sites are replaced if
 * there is no dispatch. */
void calls_setup(enum segue_window_kind kind);

/* Opens and removes the region, and uninstalls; the same without the region. */
void calls_teardown(void);
void calls_teardown_memory(void);

/* A folder of the test's own, with so many names in it: no other process looks at it or changes it. For cmocka. */
#define CALLS_NAMES 12u
#define CALLS_PATH sizeof "/tmp/segue-calls-XXXXXX"
extern char calls_folder[CALLS_PATH];
int calls_make_folder(void **state);
int calls_remove_folder(void **state);

/* Whether the bytes hold SYSCALL and RET, or what stands in for SYSCALL: no jump. */
bool calls_has_call(const void *code, size_t size);

/* What is in the closed region. */
void closed_read(void *to, size_t offset, size_t size);
void closed_write(size_t offset, const void *from, size_t size);

#endif
