/* ctx_clone_fixture.h: a program that clones by an instruction, and the handler that does it for it. Children that
 * share the parent's thread-local storage keep to bare system calls. */
#ifndef SEGUE_TESTS_CTX_CLONE_FIXTURE_H
#define SEGUE_TESTS_CTX_CLONE_FIXTURE_H

#include <sched.h>
#include <segue/linux.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>

#define FIXTURE_THREAD_FLAGS (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM)

typedef long child_function(void *argument);
/* Assembly. The child calls the function, and ends with its result as its status. */
long trap_clone(const struct segue_clone *request, child_function *function, void *argument);

/* Handles SIGILL by segue_clone, on the thread's own stack or on its alternate one, which the second arms. */
void fixture_handle(bool on_alternate_stack);
void fixture_arm_alternate_stack(void);
extern char fixture_alternate_stack[65536];

/* Called by the handler before and after, if set, with its frame. */
extern void (*fixture_before)(void *ucontext), (*fixture_after)(void *ucontext);

/* A thread's request on that stack pointer; it clears the word when it has ended, which the second waits for. */
struct segue_clone fixture_thread(uint64_t stack_pointer, int *word);
void fixture_wait(int *word);

/* The status of a process of any kind. */
int fixture_wait_for_process(long number);

size_t fixture_count_mappings(void);

#endif
