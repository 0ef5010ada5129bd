/* stub_unwind.cpp: a signal comes while a replayed instruction runs in its stub, and whoever takes it unwinds from
 * there: a backtrace, libunwind, a cancellation that runs destructors, an exception. They get past the stub, our
 * handler and the kernel's frame to the program's function, as they do where a plain access waits.
 *
 * The instruction waits for certain: its memory is a page that userfaultfd keeps back. Each case runs in a process of
 * its own, on a thread of its own. libunwind has a program of its own, whose unwinder it would take the place of. */
#include <csetjmp>
#include <csignal>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

extern "C" {
#include <cmocka.h>
}
#include <execinfo.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <segue/segue.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(WITH_LIBUNWIND)
#define UNW_LOCAL_ONLY
#include <libunwind.h>
#endif

#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif

/* The function that must be found: its code, from its beginning to that of the next. */
extern "C" void access_page(char *at);
extern "C" void access_page_end();

namespace
{

constexpr size_t page = 4096;
int page_faults;
segue_mapping mapping;
bool found, destroyed;

bool is_in_function(const void *address)
{
    auto at = reinterpret_cast<uintptr_t>(address);
    return at >= reinterpret_cast<uintptr_t>(&access_page) && at < reinterpret_cast<uintptr_t>(&access_page_end);
}

asm(".text\n.globl access_page, access_page_end\n.type access_page, @function\n"
    "access_page:\n.cfi_startproc\n"
    "lock incl (%rdi)\n"
    "ret\n.cfi_endproc\n.size access_page, . - access_page\n"
    "access_page_end: nop\n");

#if !defined(WITH_LIBUNWIND)
void look_by_backtrace(int)
{
    void *addresses[64];
    int count = backtrace(addresses, 64);
    for (int i = 0; i < count; i++)
        found |= is_in_function(addresses[i]);
    _exit(found ? 0 : 1);
}

#else
void look_by_libunwind(int)
{
    unw_context_t context;
    unw_cursor_t cursor;
    unw_word_t address;
    unw_getcontext(&context);
    unw_init_local(&cursor, &context);
    while (unw_step(&cursor) > 0) {
        unw_get_reg(&cursor, UNW_REG_IP, &address);
        found |= is_in_function(reinterpret_cast<const void *>(address));
    }
    _exit(found ? 0 : 1);
}

#endif

#if !defined(WITH_LIBUNWIND)
void throw_number(int)
{
    throw 7;
}
#endif

struct noted {
    ~noted()
    {
        destroyed = true;
    }
};

void access_with_destructor()
{
    noted local;
    access_page(static_cast<char *>(mapping.memory));
}

void *access_cancellable(void *)
{
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, nullptr);
    access_with_destructor();
    return nullptr;
}

#if !defined(WITH_LIBUNWIND)
void *access_catching(void *)
{
    try {
        access_with_destructor();
    } catch (int number) {
        found = number == 7;
    }
    return nullptr;
}
#endif

bool prepare(bool closed)
{
    uffdio_api api = {};
    segue_options options = {};
    options.flags = SEGUE_INSTALL_OPEN_SIGNALS;
    api.api = UFFD_API;
    page_faults = static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY));
    if (page_faults < 0 || ioctl(page_faults, UFFDIO_API, &api) != 0)
        return false;
    if (segue_install(&options) != SEGUE_OK || segue_mapping_create(nullptr, page, &mapping) != SEGUE_OK)
        return false;
    uffdio_register range = {};
    range.range.start = reinterpret_cast<uint64_t>(closed ? mapping.alias : mapping.memory);
    range.range.len = page;
    range.mode = UFFDIO_REGISTER_MODE_MISSING;
    if (ioctl(page_faults, UFFDIO_REGISTER, &range) != 0)
        return false;
    if (!closed)
        return true;
    segue_region region = {};
    region.window.base = reinterpret_cast<uint64_t>(mapping.memory);
    region.window.size = page;
    region.window.kind = SEGUE_WINDOW_ALIAS;
    region.window.alias = mapping.alias;
    return segue_region_add(&region) == SEGUE_OK && mprotect(mapping.memory, page, PROT_NONE) == 0;
}

void wait_for_access()
{
    uffd_msg message;
    if (read(page_faults, &message, sizeof message) != sizeof message)
        _exit(3);
}

constexpr int skipped = 77;

/* In a child: 0 if all is as it should be. */
int run(bool closed, void (*handler)(int), void *(*start)(void *), bool cancels)
{
    pthread_t thread;
    void *result;
    alarm(20);
    if (!prepare(closed))
        return skipped;
    if (handler)
        signal(SIGUSR1, handler);
    pthread_create(&thread, nullptr, start, nullptr);
    wait_for_access();
    if (cancels)
        pthread_cancel(thread);
    else
        pthread_kill(thread, SIGUSR1);
    pthread_join(thread, &result);
    if (!destroyed)
        return 4;
    if (cancels)
        return result == PTHREAD_CANCELED ? 0 : 5;
    return found ? 0 : 6;
}

int in_child(bool closed, void (*handler)(int), void *(*start)(void *), bool cancels)
{
    int status;
    fflush(nullptr);
    pid_t child = fork();
    if (child == 0)
        _exit(run(closed, handler, start, cancels));
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

void is_unwound(void (*handler)(int), void *(*start)(void *), bool cancels)
{
    int plain = in_child(false, handler, start, cancels);
    if (plain == skipped) {
        print_message("SKIP: there is no userfaultfd\n");
        skip();
    }
    assert_int_equal(plain, 0);
    assert_int_equal(in_child(true, handler, start, cancels), 0);
}

#if defined(WITH_LIBUNWIND)
void libunwind_gets_past_a_stub(void **)
{
    is_unwound(look_by_libunwind, access_cancellable, false);
}
#else
void backtrace_gets_past_a_stub(void **)
{
    is_unwound(look_by_backtrace, access_cancellable, false);
}

void cancellation_in_a_stub_runs_destructors(void **)
{
    is_unwound(nullptr, access_cancellable, true);
}

void exception_gets_past_a_stub(void **)
{
    is_unwound(throw_number, access_catching, false);
}
#endif

} // namespace

int main()
{
    const CMUnitTest tests[] = {
#if defined(WITH_LIBUNWIND)
        cmocka_unit_test(libunwind_gets_past_a_stub),
#else
        cmocka_unit_test(backtrace_gets_past_a_stub),
        cmocka_unit_test(cancellation_in_a_stub_runs_destructors),
        cmocka_unit_test(exception_gets_past_a_stub),
#endif
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
