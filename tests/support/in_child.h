/* in_child.h: runs a case in a child made by fork, for modules whose state is the process's. */
#ifndef SEGUE_TESTS_IN_CHILD_H
#define SEGUE_TESTS_IN_CHILD_H

#include "tests/support/test.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

/* Ends the process with a message if the condition does not hold. */
#define EXPECT(condition)                                                                                              \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                            \
            _exit(1);                                                                                                  \
        }                                                                                                              \
    } while (0)

static inline void in_child(void (*run)(void))
{
    pid_t child = fork();
    int status;
    if (child == 0) {
        run();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* A test of cmocka, in a list of them: runs the case `name` in a child. */
#define IN_CHILD(name) ((struct CMUnitTest){#name, in_child_test, NULL, NULL, (void *)(uintptr_t)(name)})

static inline void in_child_test(void **state)
{
    in_child((void (*)(void))(uintptr_t)*state);
}

#endif
