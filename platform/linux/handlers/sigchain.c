/* sigchain.c: libsegue-sigchain.so. Preloaded, it interposes the C library's signal functions. For the signals that
 * Segue handles it answers as if Segue did not: a handler that a program sets for them is chained behind Segue's, and a
 * program's blocking of them changes only its virtual signal mask. Every other call, and every call while Segue is not
 * installed, goes to the C library.
 *
 * SOURCES: sigaction(2), pthread_sigmask(3), signal(2), sigset(3), sigvec(3), siginterrupt(3); glibc's setjmp.h
 * (__mask_was_saved). */
#if !defined(__linux__)
#error "platform/linux/handlers/sigchain.c is specific to Linux"
#endif

#include "platform/handlers/sigchain.h"
#include "platform/linux/alternate_stack.h"
#include "platform/linux/signal_bits.h"

#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))

static const struct sigchain_face *attached;
/* Segue's signals that were removed from the masks of other signals' handlers. */
static uint64_t left_out[_NSIG];

sigchain_attach segue_sigchain_attach EXPORTED;

void segue_sigchain_attach(const struct sigchain_face *face)
{
    __atomic_store_n(&attached, face, __ATOMIC_RELEASE);
}

static const struct sigchain_face *face_in_force(void)
{
    return __atomic_load_n(&attached, __ATOMIC_ACQUIRE);
}

/* ---- the C library's own --------------------------------------------------------------------------------------- */

static struct {
    int (*sigaction)(int, const struct sigaction *, struct sigaction *);
    int (*sigaltstack)(const stack_t *, stack_t *);
    int (*pthread_sigmask)(int, const sigset_t *, sigset_t *);
    int (*pthread_create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    int (*sigsuspend)(const sigset_t *);
    int (*sigpending)(sigset_t *);
    int (*ppoll)(struct pollfd *, nfds_t, const struct timespec *, const sigset_t *);
    int (*pselect)(int, fd_set *, fd_set *, fd_set *, const struct timespec *, const sigset_t *);
    int (*epoll_pwait)(int, struct epoll_event *, int, int, const sigset_t *);
    int (*posix_spawn)(pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *,
                       char *const[], char *const[]);
    int (*posix_spawnp)(pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *,
                        char *const[], char *const[]);
    void (*siglongjmp)(sigjmp_buf, int) __attribute__((noreturn));
    void (*longjmp_chk)(sigjmp_buf, int) __attribute__((noreturn));
    int (*setcontext)(const ucontext_t *);
    int (*swapcontext)(ucontext_t *, const ucontext_t *);
} libc;

static const struct {
    const char *name;
    void *to;
} functions[] = {
    {"sigaction", &libc.sigaction},
    {"sigaltstack", &libc.sigaltstack},
    {"pthread_sigmask", &libc.pthread_sigmask},
    {"pthread_create", &libc.pthread_create},
    {"sigsuspend", &libc.sigsuspend},
    {"sigpending", &libc.sigpending},
    {"ppoll", &libc.ppoll},
    {"pselect", &libc.pselect},
    {"epoll_pwait", &libc.epoll_pwait},
    {"posix_spawn", &libc.posix_spawn},
    {"posix_spawnp", &libc.posix_spawnp},
    {"siglongjmp", &libc.siglongjmp},
    {"__longjmp_chk", &libc.longjmp_chk},
    {"setcontext", &libc.setcontext},
    {"swapcontext", &libc.swapcontext},
};

/* Other libraries' constructors may run before this one: the first call that needs a function looks them all up,
 * which gives the same result in any thread. */
__attribute__((constructor)) static void find_functions(void)
{
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        void *found = dlsym(RTLD_NEXT, functions[i].name);
        memcpy(functions[i].to, &found, sizeof found);
    }
}

#define LIBC(name) (libc.name ? libc.name : (find_functions(), libc.name))

/* ---- masks ----------------------------------------------------------------------------------------------------- */

static uint64_t word_of(const sigset_t *set)
{
    uint64_t word;
    memcpy(&word, set, sizeof word);
    return word;
}

static void set_word(sigset_t *set, uint64_t word)
{
    memcpy(set, &word, sizeof word);
}

/* The part of a mask that may reach the kernel. */
static const sigset_t *for_kernel(const sigset_t *set, sigset_t *room)
{
    const struct sigchain_face *face = face_in_force();
    if (!face || !set || !(word_of(set) & face->signals))
        return set;
    *room = *set;
    set_word(room, word_of(set) & ~face->signals);
    return room;
}

static int change_mask(int how, const sigset_t *wanted, sigset_t *before)
{
    const struct sigchain_face *face = face_in_force();
    sigset_t room;
    if (!face)
        return LIBC(pthread_sigmask)(how, wanted, before);
    uint64_t believed = face->mask(), asked = wanted ? word_of(wanted) & face->signals : 0;
    int result = LIBC(pthread_sigmask)(how, for_kernel(wanted, &room), before);
    if (result != 0)
        return result;
    if (before)
        set_word(before, word_of(before) | believed);
    if (wanted)
        face->set_mask(how == SIG_BLOCK ? believed | asked : how == SIG_UNBLOCK ? believed & ~asked : asked);
    return 0;
}

EXPORTED int pthread_sigmask(int how, const sigset_t *wanted, sigset_t *before)
{
    return change_mask(how, wanted, before);
}

static int with_errno(int error)
{
    if (error == 0)
        return 0;
    errno = error;
    return -1;
}

EXPORTED int sigprocmask(int how, const sigset_t *wanted, sigset_t *before)
{
    return with_errno(change_mask(how, wanted, before));
}

/* The obsolete functions, with 32 signals or with one. */
static int change_word(int how, uint64_t word)
{
    sigset_t wanted, before;
    sigemptyset(&wanted);
    sigemptyset(&before);
    set_word(&wanted, word);
    return change_mask(how, &wanted, &before) == 0 ? (int)word_of(&before) : -1;
}

static int change_one(int how, int number)
{
    sigset_t one;
    sigemptyset(&one);
    if (sigaddset(&one, number) != 0)
        return -1;
    return with_errno(change_mask(how, &one, NULL));
}

EXPORTED int sigblock(int mask)
{
    return change_word(SIG_BLOCK, (uint32_t)mask);
}

EXPORTED int sigsetmask(int mask)
{
    return change_word(SIG_SETMASK, (uint32_t)mask);
}

EXPORTED int siggetmask(void)
{
    return change_word(SIG_BLOCK, 0);
}

EXPORTED int sighold(int number)
{
    return change_one(SIG_BLOCK, number);
}

EXPORTED int sigrelse(int number)
{
    return change_one(SIG_UNBLOCK, number);
}

EXPORTED int sigpending(sigset_t *set)
{
    const struct sigchain_face *face = face_in_force();
    int result = LIBC(sigpending)(set);
    if (result == 0 && face)
        set_word(set, word_of(set) | face->pending());
    return result;
}

/* For the duration of a call, the thread's virtual mask is the one it has passed. A held signal is delivered in the
 * call, and ends it: so it is really blocked until then. */
struct waiting {
    const struct sigchain_face *face;
    uint64_t believed;
    sigset_t room, before;
};

static const sigset_t *wait_begin(struct waiting *waiting, const sigset_t *set)
{
    waiting->face = set ? face_in_force() : NULL;
    if (!waiting->face)
        return set;
    const sigset_t *given = for_kernel(set, &waiting->room);
    waiting->believed = waiting->face->mask();
    sigemptyset(&waiting->before);
    set_word(&waiting->before, waiting->face->block(waiting->face->pending() & ~word_of(set)));
    waiting->face->set_mask(word_of(set) & waiting->face->signals);
    return given;
}

static int wait_end(const struct waiting *waiting, int result)
{
    int error = errno;
    if (waiting->face) {
        waiting->face->set_mask(waiting->believed);
        LIBC(pthread_sigmask)(SIG_SETMASK, &waiting->before, NULL);
    }
    errno = error;
    return result;
}

EXPORTED int sigsuspend(const sigset_t *set)
{
    struct waiting waiting;
    const sigset_t *given = wait_begin(&waiting, set);
    return wait_end(&waiting, LIBC(sigsuspend)(given));
}

EXPORTED int ppoll(struct pollfd *files, nfds_t count, const struct timespec *timeout, const sigset_t *set)
{
    struct waiting waiting;
    const sigset_t *given = wait_begin(&waiting, set);
    return wait_end(&waiting, LIBC(ppoll)(files, count, timeout, given));
}

EXPORTED int pselect(int count, fd_set *readable, fd_set *writable, fd_set *exceptional, const struct timespec *timeout,
                     const sigset_t *set)
{
    struct waiting waiting;
    const sigset_t *given = wait_begin(&waiting, set);
    return wait_end(&waiting, LIBC(pselect)(count, readable, writable, exceptional, timeout, given));
}

EXPORTED int epoll_pwait(int file, struct epoll_event *events, int count, int timeout, const sigset_t *set)
{
    struct waiting waiting;
    const sigset_t *given = wait_begin(&waiting, set);
    return wait_end(&waiting, LIBC(epoll_pwait)(file, events, count, timeout, given));
}

/* ---- actions --------------------------------------------------------------------------------------------------- */

static bool is_answered(const struct sigchain_face *face, int number)
{
    return face && number > 0 && number < _NSIG && (face->signals >> (number - 1) & 1);
}

/* Another signal's action: while its handler runs, Segue's signals are not blocked. */
static int change_other_action(const struct sigchain_face *face, int number, const struct sigaction *wanted,
                               struct sigaction *before)
{
    struct sigaction given;
    bool is_known = number > 0 && number < _NSIG;
    uint64_t was = is_known ? __atomic_load_n(&left_out[number], __ATOMIC_RELAXED) : 0;
    if (wanted && face) {
        given = *wanted;
        set_word(&given.sa_mask, word_of(&wanted->sa_mask) & ~face->signals);
    }
    int result = LIBC(sigaction)(number, wanted && face ? &given : wanted, before);
    if (result != 0 || !is_known)
        return result;
    if (before)
        set_word(&before->sa_mask, word_of(&before->sa_mask) | was);
    if (wanted)
        __atomic_store_n(&left_out[number], face ? word_of(&wanted->sa_mask) & face->signals : 0, __ATOMIC_RELAXED);
    return result;
}

static void change_answered_action(const struct sigchain_face *face, int number, const struct sigaction *wanted,
                                   struct sigaction *before)
{
    struct platform_action next, present;
    if (wanted)
        next = (struct platform_action){
            .handler = (uint64_t)(uintptr_t)wanted->sa_handler,
            .flags = (uint32_t)wanted->sa_flags,
            .restorer = (uint64_t)(uintptr_t)wanted->sa_restorer,
            .mask = word_of(&wanted->sa_mask),
        };
    face->action(number, wanted ? &next : NULL, &present);
    if (!before)
        return;
    memset(before, 0, sizeof *before);
    before->sa_handler = (void (*)(int))(uintptr_t)present.handler;
    before->sa_flags = (int)(uint32_t)present.flags;
    before->sa_restorer = (void (*)(void))(uintptr_t)present.restorer;
    set_word(&before->sa_mask, present.mask);
}

static int change_action(int number, const struct sigaction *wanted, struct sigaction *before)
{
    const struct sigchain_face *face = face_in_force();
    if (!is_answered(face, number))
        return change_other_action(face, number, wanted, before);
    change_answered_action(face, number, wanted, before);
    return 0;
}

EXPORTED int sigaction(int number, const struct sigaction *wanted, struct sigaction *before)
{
    return change_action(number, wanted, before);
}

int __sigaction(int number, const struct sigaction *wanted, struct sigaction *before) EXPORTED;
int __sigaction(int number, const struct sigaction *wanted, struct sigaction *before)
{
    return change_action(number, wanted, before);
}

/* The signals for which siginterrupt was called. */
static uint64_t interrupting;

typedef void (*handler_of_signal)(int);

static handler_of_signal set_handler(int number, handler_of_signal handler, unsigned flags, bool masks_itself)
{
    struct sigaction wanted = {.sa_handler = handler, .sa_flags = (int)flags}, before;
    if (handler == SIG_ERR || number < 1 || number >= _NSIG) {
        errno = EINVAL;
        return SIG_ERR;
    }
    if (masks_itself)
        sigaddset(&wanted.sa_mask, number);
    return change_action(number, &wanted, &before) == 0 ? before.sa_handler : SIG_ERR;
}

static handler_of_signal set_bsd(int number, handler_of_signal handler)
{
    bool interrupts =
        number > 0 && number < _NSIG && (__atomic_load_n(&interrupting, __ATOMIC_RELAXED) >> (number - 1) & 1);
    return set_handler(number, handler, interrupts ? 0 : SA_RESTART, true);
}

static handler_of_signal set_system_v(int number, handler_of_signal handler)
{
    return set_handler(number, handler, (unsigned)SA_RESETHAND | SA_NODEFER, false);
}

EXPORTED handler_of_signal signal(int number, handler_of_signal handler)
{
    return set_bsd(number, handler);
}

handler_of_signal bsd_signal(int number, handler_of_signal handler) EXPORTED;
handler_of_signal bsd_signal(int number, handler_of_signal handler)
{
    return set_bsd(number, handler);
}

EXPORTED handler_of_signal ssignal(int number, handler_of_signal handler)
{
    return set_bsd(number, handler);
}

EXPORTED handler_of_signal sysv_signal(int number, handler_of_signal handler)
{
    return set_system_v(number, handler);
}

EXPORTED handler_of_signal __sysv_signal(int number, handler_of_signal handler)
{
    return set_system_v(number, handler);
}

EXPORTED int sigignore(int number)
{
    return set_handler(number, SIG_IGN, 0, false) == SIG_ERR ? -1 : 0;
}

EXPORTED handler_of_signal sigset(int number, handler_of_signal handler)
{
    sigset_t before, one;
    sigemptyset(&one);
    if (sigaddset(&one, number) != 0)
        return SIG_ERR;
    struct sigaction action;
    handler_of_signal old;
    if (handler == SIG_HOLD) {
        if (change_action(number, NULL, &action) != 0 || change_mask(SIG_BLOCK, &one, &before) != 0)
            return SIG_ERR;
        old = action.sa_handler;
    } else {
        old = set_handler(number, handler, 0, false);
        if (old == SIG_ERR || change_mask(SIG_UNBLOCK, &one, &before) != 0)
            return SIG_ERR;
    }
    return sigismember(&before, number) ? SIG_HOLD : old;
}

EXPORTED int siginterrupt(int number, int interrupts)
{
    struct sigaction action;
    if (change_action(number, NULL, &action) != 0)
        return -1;
    uint64_t bit = SIGNAL_BIT(number);
    if (interrupts) {
        __atomic_fetch_or(&interrupting, bit, __ATOMIC_RELAXED);
        action.sa_flags &= ~SA_RESTART;
    } else {
        __atomic_fetch_and(&interrupting, ~bit, __ATOMIC_RELAXED);
        action.sa_flags |= SA_RESTART;
    }
    return change_action(number, &action, NULL);
}

/* ---- stacks and threads ---------------------------------------------------------------------------------------- */

EXPORTED int sigaltstack(const stack_t *wanted, stack_t *before)
{
    const struct sigchain_face *face = face_in_force();
    struct alternate_stack next, present;
    /* Asked first without pointers: the kernel refuses those that are not valid. */
    if (!face || face->stack(NULL, NULL) < 0)
        return LIBC(sigaltstack)(wanted, before);
    if (wanted)
        next = stack_from_system(wanted);
    int error = face->stack(wanted ? &next : NULL, &present);
    if (before && error == 0)
        *before = stack_to_system(&present);
    return with_errno(error);
}

struct beginning {
    void *(*function)(void *);
    void *argument;
    uint64_t believed;
};

static void *begin_thread(void *given)
{
    struct beginning beginning = *(struct beginning *)given;
    const struct sigchain_face *face = face_in_force();
    free(given);
    if (face)
        face->set_mask(beginning.believed);
    return beginning.function(beginning.argument);
}

/* A thread begins with the mask of the thread that creates it. */
EXPORTED int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*function)(void *),
                            void *argument)
{
    const struct sigchain_face *face = face_in_force();
    uint64_t believed = face ? face->mask() : 0;
    if (believed == 0)
        return LIBC(pthread_create)(thread, attributes, function, argument);
    struct beginning *beginning = malloc(sizeof *beginning);
    if (!beginning)
        return EAGAIN;
    *beginning = (struct beginning){function, argument, believed};
    int result = LIBC(pthread_create)(thread, attributes, begin_thread, beginning);
    if (result != 0)
        free(beginning);
    return result;
}

typedef int spawn_function(pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *,
                           char *const[], char *const[]);

/* A spawned program begins with the thread's virtual mask, unless the call passes a mask. */
static int spawn(spawn_function *function, pid_t *process, const char *file, const posix_spawn_file_actions_t *actions,
                 const posix_spawnattr_t *attributes, char *const arguments[], char *const environment[])
{
    const struct sigchain_face *face = face_in_force();
    posix_spawnattr_t given;
    sigset_t mask;
    short flags = 0;
    if (attributes)
        posix_spawnattr_getflags(attributes, &flags);
    if (!face || face->mask() == 0 || (flags & POSIX_SPAWN_SETSIGMASK))
        return function(process, file, actions, attributes, arguments, environment);
    if (attributes)
        given = *attributes;
    else
        posix_spawnattr_init(&given);
    change_mask(SIG_BLOCK, NULL, &mask);
    posix_spawnattr_setflags(&given, (short)(flags | POSIX_SPAWN_SETSIGMASK));
    posix_spawnattr_setsigmask(&given, &mask);
    return function(process, file, actions, &given, arguments, environment);
}

EXPORTED int posix_spawn(pid_t *process, const char *file, const posix_spawn_file_actions_t *actions,
                         const posix_spawnattr_t *attributes, char *const arguments[], char *const environment[])
{
    return spawn(LIBC(posix_spawn), process, file, actions, attributes, arguments, environment);
}

EXPORTED int posix_spawnp(pid_t *process, const char *file, const posix_spawn_file_actions_t *actions,
                          const posix_spawnattr_t *attributes, char *const arguments[], char *const environment[])
{
    return spawn(LIBC(posix_spawnp), process, file, actions, attributes, arguments, environment);
}

/* ---- jumps ----------------------------------------------------------------------------------------------------- */

/* sigsetjmp has saved the kernel's mask, which contains none of Segue's signals. */
static void forget_mask(const struct __jmp_buf_tag *buffer)
{
    const struct sigchain_face *face = face_in_force();
    if (face && buffer->__mask_was_saved)
        face->set_mask(0);
}

EXPORTED void siglongjmp(sigjmp_buf buffer, int value)
{
    forget_mask(buffer);
    LIBC(siglongjmp)(buffer, value);
}

EXPORTED void longjmp(jmp_buf buffer, int value)
{
    forget_mask(buffer);
    LIBC(siglongjmp)(buffer, value);
}

EXPORTED void _longjmp(jmp_buf buffer, int value)
{
    forget_mask(buffer);
    LIBC(siglongjmp)(buffer, value);
}

void __longjmp_chk(sigjmp_buf buffer, int value) EXPORTED __attribute__((noreturn));
void __longjmp_chk(sigjmp_buf buffer, int value)
{
    forget_mask(buffer);
    LIBC(longjmp_chk)(buffer, value);
}

static void believe_context(const struct sigchain_face *face, const ucontext_t *context, ucontext_t *given)
{
    *given = *context;
    face->set_mask(word_of(&context->uc_sigmask) & face->signals);
    set_word(&given->uc_sigmask, word_of(&context->uc_sigmask) & ~face->signals);
}

EXPORTED int setcontext(const ucontext_t *context)
{
    const struct sigchain_face *face = face_in_force();
    ucontext_t given;
    if (!face)
        return LIBC(setcontext)(context);
    believe_context(face, context, &given);
    return LIBC(setcontext)(&given);
}

EXPORTED int swapcontext(ucontext_t *before, const ucontext_t *context)
{
    const struct sigchain_face *face = face_in_force();
    ucontext_t given;
    if (!face)
        return LIBC(swapcontext)(before, context);
    uint64_t believed = face->mask();
    believe_context(face, context, &given);
    int result = LIBC(swapcontext)(before, &given);
    face->set_mask(believed);
    return result;
}
