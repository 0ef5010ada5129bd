/* room.c: see room.h. The limit itself stays: the programs that the command runs have it. */
#include "room.h"

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <ucontext.h>

/* From this limit on there is no need. */
#define ENOUGH ((size_t)2 << 20)
#define ROOM ((size_t)8 << 20)

static struct {
    int (*verb)(int argument_count, char **arguments);
    int argument_count;
    char **arguments;
    int result;
} call;

static void enter(void)
{
    call.result = call.verb(call.argument_count, call.arguments);
}

static void give_threads_room(void)
{
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes) != 0)
        return;
    pthread_attr_setstacksize(&attributes, ROOM);
    pthread_setattr_default_np(&attributes);
    pthread_attr_destroy(&attributes);
}

int with_room(int (*verb)(int argument_count, char **arguments), int argument_count, char **arguments)
{
    ucontext_t here, there;
    struct rlimit limit;
    if (getrlimit(RLIMIT_STACK, &limit) != 0 || limit.rlim_cur >= ENOUGH)
        return verb(argument_count, arguments);
    void *stack = mmap(NULL, ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stack == MAP_FAILED || getcontext(&there) != 0)
        return verb(argument_count, arguments);
    give_threads_room();
    call.verb = verb;
    call.argument_count = argument_count;
    call.arguments = arguments;
    there.uc_link = &here;
    there.uc_stack = (stack_t){.ss_sp = stack, .ss_size = ROOM};
    makecontext(&there, enter, 0);
    return swapcontext(&here, &there) == 0 ? call.result : verb(argument_count, arguments);
}
