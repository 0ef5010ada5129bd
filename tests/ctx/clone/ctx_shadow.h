/* ctx_shadow.h: what the parts of ctx_shadow share: a check that ends the program, and tables of cases. */
#ifndef SEGUE_TESTS_CTX_SHADOW_H
#define SEGUE_TESTS_CTX_SHADOW_H

#include <errno.h>
#include <stdio.h>
#include <sys/types.h>
#include <unistd.h>

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            dprintf(2, "%s:%d: %s (errno %d)\n", __func__, __LINE__, #condition, errno);                               \
            _exit(1);                                                                                                  \
        }                                                                                                              \
    } while (0)

struct shadow_case {
    const char *name;
    void (*run)(void);
};
#define CASE(name)                                                                                                     \
    {                                                                                                                  \
#name, name                                                                                                    \
    }

/* Those of ctx_shadow_threads.c; the last has no name. */
extern const struct shadow_case thread_cases[];

/* How a child ended, once it has. */
int status_of(pid_t process);

/* A handler that notes which signal came last. */
extern volatile int received;
void receive(int number);

#endif
