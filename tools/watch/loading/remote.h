/* remote.h: a child of this command that has executed a program, before the program's first instruction: this command
 * makes system calls in it, by ptrace. If this command is killed meanwhile, the child is, too. */
#ifndef SEGUE_TOOLS_WATCH_REMOTE_H
#define SEGUE_TOOLS_WATCH_REMOTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

struct remote {
    pid_t process;
    /* At the program's entry, and the code there. */
    struct user_regs_struct regs;
    long code;
};

/* In the child, before it executes the program: it will stop there, and no signal reaches it until then. False, with
 * errno, if the system does not let it be traced. */
bool remote_prepare(void);

/* False if it has ended. */
bool remote_begin(struct remote *remote, pid_t process);

/* The call's result, or a negative error number. */
#define REMOTE_ARGUMENTS 6
long remote_call(struct remote *remote, long number, const uint64_t *arguments);

bool remote_read(const struct remote *remote, uint64_t address, void *to, size_t size);
bool remote_write(const struct remote *remote, uint64_t address, const void *from, size_t size);

/* It goes on at that instruction, with that stack pointer, and is traced no longer. */
bool remote_end(const struct remote *remote, uint64_t instruction, uint64_t stack);

#endif
