/* syscalls.c: system calls with pointers into a closed region: each is made once in plain memory and once in the
 * region, through an alias and through a bounce buffer, and must have the same result and leave the same bytes. */
#include "tests/support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "platform/linux/calls/table/newer.h"
#include "signals/syscalls/follow.h"
#include "syscalls_fixture.h"
#include "tests/support/threads/in_call.h"

static const enum segue_window_kind kinds[] = {SEGUE_WINDOW_ALIAS, SEGUE_WINDOW_FORCED};
#define EACH_KIND(kind) (size_t kind = 0; kind < 2; kind++)

static char plain[PAGE];

/* Where a test's bytes are in the region: across its two pages. */
#define OFFSET (PAGE - 16)

static bool is_equal_to_plain(size_t size)
{
    char bytes[PAGE];
    closed_read(bytes, OFFSET, size);
    return memcmp(bytes, plain, size) == 0;
}

static void check_event(unsigned at, int32_t call, uint8_t direction, uint64_t size)
{
    assert_true(at < notes.events);
    assert_int_equal(notes.event[at].system_call, call);
    assert_int_equal(notes.event[at].direction, direction);
    assert_int_equal(notes.event[at].size, size);
}

static void read_and_write_of_a_pipe(void **state)
{
    (void)state;
    for
        EACH_KIND(kind)
        {
            int ends[2];
            calls_setup(kinds[kind]);
            assert_int_equal(pipe(ends), 0);
            assert_int_equal(write(ends[1], "0123456789abcdefghijklmnopqrstuvwxyz", 36), 36);
            memset(plain, 0, sizeof plain);
            assert_int_equal(read(ends[0], CLOSED + OFFSET, 20), 20);
            check_event(0, SYS_read, SEGUE_WRITE, 20);
            assert_int_equal(notes.event[0].address, (uint64_t)(uintptr_t)CLOSED + OFFSET);
            memcpy(plain, "0123456789abcdefghij", 20);
            assert_true(is_equal_to_plain(32));
            /* A part of what is asked for; nothing is consumed twice. */
            assert_int_equal(read(ends[0], CLOSED + OFFSET, 100), 16);
            memcpy(plain, "klmnopqrstuvwxyz", 16);
            assert_true(is_equal_to_plain(40));
            assert_int_equal(write(ends[1], CLOSED + OFFSET, 20), 20);
            check_event(2, SYS_write, SEGUE_READ, 20);
            assert_int_equal(read(ends[0], plain + 100, 100), 20);
            assert_memory_equal(plain + 100, plain, 20);
            close(ends[0]);
            close(ends[1]);
            calls_teardown();
        }
}

static void buffers_that_begin_or_end_outside(void **state)
{
    (void)state;
    for
        EACH_KIND(kind)
        {
            int ends[2];
            char bytes[64];
            calls_setup(kinds[kind]);
            assert_int_equal(pipe(ends), 0);
            assert_int_equal(write(ends[1], "0123456789abcdefghijklmnopqrstuvwxyz", 36), 36);
            assert_int_equal(read(ends[0], CLOSED - 10, 20), 20);
            check_event(0, SYS_read, SEGUE_WRITE, 10);
            assert_int_equal(notes.event[0].address, (uint64_t)(uintptr_t)CLOSED);
            assert_memory_equal(CLOSED - 10, "0123456789", 10);
            closed_read(bytes, 0, 12);
            assert_memory_equal(bytes, "abcdefghij\0", 12);
            assert_int_equal(read(ends[0], CLOSED + 2 * PAGE - 6, 16), 16);
            assert_memory_equal(CLOSED + 2 * PAGE, "qrstuvwxyz", 10);
            closed_read(bytes, 2 * PAGE - 6, 6);
            assert_memory_equal(bytes, "klmnop", 6);
            assert_int_equal(write(ends[1], CLOSED - 10, 20), 20);
            assert_int_equal(read(ends[0], plain, 20), 20);
            assert_memory_equal(plain, "0123456789abcdefghij", 20);
            close(ends[0]);
            close(ends[1]);
            calls_teardown();
        }
}

static void vectors_and_messages(void **state)
{
    (void)state;
    for
        EACH_KIND(kind)
        {
            int ends[2];
            char first[8], last[8];
            calls_setup(kinds[kind]);
            assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
            assert_int_equal(write(ends[1], "0123456789abcdefghijklmnopqrstuvwxyz", 36), 36);
            const struct iovec outside[] = {{first, 8}, {CLOSED + OFFSET, 20}, {last, 8}};
            assert_int_equal(readv(ends[0], outside, 3), 36);
            check_event(0, SYS_readv, SEGUE_WRITE, 20);
            assert_memory_equal(first, "01234567", 8);
            assert_memory_equal(last, "stuvwxyz", 8);
            memcpy(plain, "89abcdefghijklmnopqr", 20);
            assert_true(is_equal_to_plain(20));
            /* The vector itself is in the region. */
            closed_write(64, outside, sizeof outside);
            assert_int_equal(writev(ends[1], (const struct iovec *)(CLOSED + 64), 3), 36);
            memset(first, 0, 8);
            /* The message, its vector and its bytes are. */
            struct msghdr message = {.msg_iov = (struct iovec *)(CLOSED + 64), .msg_iovlen = 3};
            closed_write(256, &message, sizeof message);
            assert_int_equal(recvmsg(ends[0], (struct msghdr *)(CLOSED + 256), 0), 36);
            assert_memory_equal(first, "01234567", 8);
            assert_true(is_equal_to_plain(20));
            struct msghdr after;
            closed_read(&after, 256, sizeof after);
            assert_ptr_equal(after.msg_iov, message.msg_iov);
            assert_int_equal(sendmsg(ends[1], (struct msghdr *)(CLOSED + 256), 0), 36);
            assert_int_equal(read(ends[0], plain + 100, 100), 36);
            assert_memory_equal(plain + 100, "0123456789abcdefghijklmnopqrstuvwxyz", 36);
            close(ends[0]);
            close(ends[1]);
            calls_teardown();
        }
}

static void structures(void **state)
{
    (void)state;
    for
        EACH_KIND(kind)
        {
            struct stat *status = (struct stat *)(void *)plain;
            struct timespec zero = {0};
            calls_setup(kinds[kind]);
            assert_int_equal(stat(calls_folder, status), 0);
            closed_write(0, calls_folder, sizeof calls_folder);
            assert_int_equal(stat(CLOSED, (struct stat *)(void *)(CLOSED + OFFSET)), 0);
            assert_true(is_equal_to_plain(sizeof *status));
            assert_int_equal(uname((struct utsname *)(void *)plain), 0);
            assert_int_equal(uname((struct utsname *)(void *)(CLOSED + OFFSET)), 0);
            assert_true(is_equal_to_plain(sizeof(struct utsname)));
            assert_int_equal(syscall(SYS_clock_gettime, CLOCK_REALTIME, CLOSED + OFFSET), 0);
            closed_read(&zero, OFFSET, sizeof zero);
            assert_true(zero.tv_sec > 1000000000);
            zero = (struct timespec){0, 1000};
            closed_write(OFFSET, &zero, sizeof zero);
            assert_int_equal(syscall(SYS_nanosleep, CLOSED + OFFSET, CLOSED + OFFSET), 0);
            int directory = open(calls_folder, O_RDONLY | O_DIRECTORY);
            memset(plain, 0, sizeof plain);
            closed_write(OFFSET, plain, PAGE);
            long size = syscall(SYS_getdents64, directory, plain, 1024);
            assert_true(size > 24 * CALLS_NAMES);
            lseek(directory, 0, SEEK_SET);
            assert_int_equal(syscall(SYS_getdents64, directory, CLOSED + OFFSET, 1024), size);
            assert_true(is_equal_to_plain((size_t)size));
            close(directory);
            const uint64_t how[] = {O_RDONLY | O_DIRECTORY, 0, 0};
            closed_write(OFFSET, how, sizeof how);
            assert_true((syscall(SYS_openat2, AT_FDCWD, CLOSED, CLOSED + OFFSET, sizeof how) >= 0) ==
                        (syscall(SYS_openat2, AT_FDCWD, calls_folder, how, sizeof how) >= 0));
            assert_int_equal(syscall(SYS_faccessat2, AT_FDCWD, CLOSED, R_OK, 0),
                             syscall(SYS_faccessat2, AT_FDCWD, calls_folder, R_OK, 0));
            calls_teardown();
        }
}

static void waiting(void **state)
{
    (void)state;
    for
        EACH_KIND(kind)
        {
            int ends[2], ready = 0;
            calls_setup(kinds[kind]);
            assert_int_equal(pipe(ends), 0);
            assert_int_equal(write(ends[1], "x", 1), 1);
            struct pollfd polled = {.fd = ends[0], .events = POLLIN};
            closed_write(OFFSET, &polled, sizeof polled);
            assert_int_equal(poll((struct pollfd *)(void *)(CLOSED + OFFSET), 1, 1000), 1);
            closed_read(&polled, OFFSET, sizeof polled);
            assert_int_equal(polled.revents, POLLIN);
            fd_set set;
            FD_ZERO(&set);
            FD_SET(ends[0], &set);
            closed_write(OFFSET, &set, sizeof set);
            assert_int_equal(select(ends[1] + 1, (fd_set *)(void *)(CLOSED + OFFSET), NULL, NULL, NULL), 1);
            int epoll = epoll_create1(0);
            struct epoll_event event = {.events = EPOLLIN, .data.u64 = 77};
            closed_write(OFFSET, &event, sizeof event);
            assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], (struct epoll_event *)(void *)(CLOSED + OFFSET)),
                             0);
            assert_int_equal(epoll_wait(epoll, (struct epoll_event *)(void *)(CLOSED + 100), 8, 1000), 1);
            closed_read(&event, 100, sizeof event);
            assert_int_equal(event.data.u64, 77);
            assert_int_equal(ioctl(ends[0], FIONREAD, CLOSED + OFFSET), 0);
            closed_read(&ready, OFFSET, sizeof ready);
            assert_int_equal(ready, 1);
            close(epoll);
            close(ends[0]);
            close(ends[1]);
            calls_teardown();
        }
}

static void policies_refuse_and_answer(void **state)
{
    (void)state;
    int ends[2];
    calls_setup(SEGUE_WINDOW_ALIAS);
    assert_int_equal(pipe(ends), 0);
    notes.verdict = SEGUE_PASS;
    assert_int_equal(write(ends[1], CLOSED, 4), -1);
    assert_int_equal(errno, EFAULT);
    notes.verdict = SEGUE_DONE;
    notes.result = 3;
    assert_int_equal(write(ends[1], CLOSED, 4), 3);
    notes.verdict = SEGUE_STEP;
    assert_int_equal(write(ends[1], CLOSED, 4), 4);
    assert_int_equal(notes.events, 3);
    close(ends[0]);
    close(ends[1]);
    calls_teardown();
}

static void bad_pointers_still_fail(void **state)
{
    (void)state;
    int ends[2];
    calls_setup(SEGUE_WINDOW_ALIAS);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "abcd", 4), 4);
    assert_int_equal(syscall(SYS_read, ends[0], 16, 4), -1);
    assert_int_equal(errno, EFAULT);
    assert_int_equal(read(ends[0], plain, 8), 4);
    close(ends[0]);
    close(ends[1]);
    calls_teardown();
}

static volatile sig_atomic_t signals_taken;

static void take(int number)
{
    (void)number;
    signals_taken++;
}

static void *write_later(void *end)
{
    usleep(30000);
    assert_int_equal(write(*(int *)end, "late", 4), 4);
    return NULL;
}

static void *interrupt_and_write(void *ends)
{
    pthread_t main_thread = *(pthread_t *)((void **)ends)[0];
    while (!is_in_call(getpid(), SYS_read))
        usleep(100);
    pthread_kill(main_thread, SIGUSR1);
    /* A read that finds something when it wakes up is not interrupted. */
    while (!signals_taken)
        usleep(100);
    return write_later(((void **)ends)[1]);
}

static void signals_interrupt_and_restart(void **state)
{
    (void)state;
    for
        EACH_KIND(kind)
        {
            int ends[2];
            pthread_t self = pthread_self(), thread;
            calls_setup(kinds[kind]);
            assert_int_equal(pipe(ends), 0);
            for (int restarts = 0; restarts < 2; restarts++) {
                struct sigaction action = {.sa_handler = take, .sa_flags = restarts ? SA_RESTART : 0};
                void *both[] = {&self, &ends[1]};
                sigfillset(&action.sa_mask);
                assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
                signals_taken = 0;
                assert_int_equal(pthread_create(&thread, NULL, interrupt_and_write, both), 0);
                ssize_t size = read(ends[0], CLOSED + OFFSET, 100);
                int why = errno;
                assert_int_equal(signals_taken, 1);
                if (restarts) {
                    assert_int_equal(size, 4);
                } else {
                    assert_int_equal(size, -1);
                    assert_int_equal(why, EINTR);
                    assert_int_equal(read(ends[0], CLOSED + OFFSET, 100), 4);
                }
                memcpy(plain, "late", 4);
                assert_true(is_equal_to_plain(4));
                pthread_join(thread, NULL);
            }
            close(ends[0]);
            close(ends[1]);
            calls_teardown();
        }
}

static void children_are_caught(void **state)
{
    (void)state;
    int ends[2], status;
    calls_setup(SEGUE_WINDOW_ALIAS);
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        memcpy(CLOSED_ALIAS, "child", 5);
        _exit(write(ends[1], CLOSED, 5) == 5 ? 7 : 8);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(WEXITSTATUS(status), 7);
    assert_int_equal(read(ends[0], CLOSED + 8, 5), 5);
    assert_memory_equal(CLOSED_ALIAS + 8, "child", 5);
    child = vfork();
    if (child == 0)
        _exit(write(ends[1], CLOSED, 5) == 5 ? 9 : 8);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(WEXITSTATUS(status), 9);
    assert_int_equal(system("exit 3"), 3 << 8);
    close(ends[0]);
    close(ends[1]);
    calls_teardown();
}

static void run_program(char *const *arguments, char *const *environment, int output)
{
    dup2(output, STDOUT_FILENO);
    execve(CLOSED, arguments, environment);
    _exit(9);
}

/* Path, arguments, environment and their arrays are in the region. */
static void programs_are_executed(void **state)
{
    (void)state;
    for
        EACH_KIND(kind)
        {
            int ends[2], status;
            char output[64] = "";
            calls_setup(kinds[kind]);
            assert_int_equal(pipe(ends), 0);
            char *const arguments[] = {CLOSED + 32, CLOSED + OFFSET, CLOSED + 64, NULL}, *const environment[] = {CLOSED,
                                                                                                                 NULL};
            closed_write(0, "/bin/sh", 8);
            closed_write(32, "sh", 3);
            closed_write(OFFSET, "-c", 3);
            closed_write(64, "echo $0 $PWD_OF_TEST; exit 3", 29);
            closed_write(128, arguments, sizeof arguments);
            closed_write(256, environment, sizeof environment);
            for (volatile int borrows = 0; borrows < 2; borrows++) {
                pid_t child = borrows ? vfork() : fork();
                if (child == 0)
                    run_program((char *const *)(void *)(CLOSED + 128), (char *const *)(void *)(CLOSED + 256), ends[1]);
                assert_int_equal(waitpid(child, &status, 0), child);
                assert_int_equal(WEXITSTATUS(status), 3);
                assert_int_equal(read(ends[0], output, sizeof output), 3);
                assert_memory_equal(output, "sh\n", 3);
            }
            close(ends[0]);
            close(ends[1]);
            calls_teardown();
        }
}

static void *remove_region(void *unused)
{
    (void)unused;
    usleep(30000);
    assert_int_equal(mprotect(CLOSED, 2 * PAGE, PROT_READ | PROT_WRITE), 0);
    assert_int_equal(segue_region_remove(CLOSED), SEGUE_OK);
    return NULL;
}

/* The read goes on in the memory itself, which here is the same. */
/* Sites that get detours. */
__asm__(".text\n"
        ".p2align 5\n"
        ".globl call_here\n"
        "call_here:\n"
        ".cfi_startproc\n"
        "movq %rdi, %rax\n"
        "movq %rsi, %rdi\n"
        "movq %rdx, %rsi\n"
        "movq %rcx, %rdx\n"
        "movq %r8, %r10\n"
        "syscall\n"
        "ret\n"
        ".cfi_endproc\n"
        ".p2align 5\n"
        ".globl call_there\n"
        "call_there:\n"
        ".cfi_startproc\n"
        "movq %rdi, %rax\n"
        "movq %rsi, %rdi\n"
        "movq %rdx, %rsi\n"
        "movq %rcx, %rdx\n"
        "movq %r8, %r10\n"
        "syscall\n"
        "ret\n"
        ".cfi_endproc\n"
        ".p2align 5\n"
        ".globl call_elsewhere\n"
        "call_elsewhere:\n"
        ".cfi_startproc\n"
        "movq %rdi, %rax\n"
        "movq %rsi, %rdi\n"
        "movq %rdx, %rsi\n"
        "movq %rcx, %rdx\n"
        "movq %r8, %r10\n"
        "syscall\n"
        "ret\n"
        ".cfi_endproc\n"
        ".p2align 5\n");
long call_here(long number, const char *path, long mode);
long call_elsewhere(long number, const char *path, long mode);
long call_there(long number, const char *path, long mode);

typedef long call_site(long number, const char *path, long mode);

static long access_often(call_site *site, const char *path)
{
    long failed = 0;
    for (unsigned i = 0; i < 20; i++)
        failed |= site(SYS_access, path, F_OK);
    return failed;
}

static bool has_detour(call_site *site)
{
    return !calls_has_call((const void *)(uintptr_t)site, 32);
}

static int run_child(bool has_handler, call_site *site, const char *path, bool makes_detour)
{
    int status = -1;
    pid_t child = fork();
    if (child == 0) {
        if (!has_handler)
            signal(SIGSEGV, SIG_DFL);
        _exit(access_often(site, path) != 0 || has_detour(site) != makes_detour);
    }
    waitpid(child, &status, 0);
    return status;
}

/* Nothing that a detour looks at may fault, nor its making: a child of posix_spawn has the default action for SIGSEGV,
 * and in a child a part of the library's code, here in the program, is closed. */
static void detours_in_children(void **state)
{
    (void)state;
    calls_setup(SEGUE_WINDOW_ALIAS);
    closed_write(0, "/", 2);
    assert_int_equal(run_child(true, call_elsewhere, "/", false), 0);
    assert_int_equal(run_child(false, call_there, "/", false), 0);
    assert_int_equal(access_often(call_here, "/"), 0);
    assert_true(has_detour(call_here));
    assert_int_equal(run_child(false, call_here, CLOSED, true), 0);
    calls_teardown();
}

static void a_region_is_removed_under_a_call(void **state)
{
    (void)state;
    int ends[2];
    pthread_t remover, writer;
    calls_setup(SEGUE_WINDOW_ALIAS);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(pthread_create(&remover, NULL, remove_region, NULL), 0);
    assert_int_equal(pthread_create(&writer, NULL, write_later, &ends[1]), 0);
    assert_int_equal(read(ends[0], CLOSED + OFFSET, 100), 4);
    pthread_join(remover, NULL);
    pthread_join(writer, NULL);
    assert_memory_equal(CLOSED + OFFSET, "late", 4);
    calls_teardown_memory();
    close(ends[0]);
    close(ends[1]);
}

static struct {
    unsigned count;
    struct call_done last;
    char before[32], after[32];
} followed;

static bool want(uint64_t address, uint64_t size, uint8_t direction, segue_thread_id thread)
{
    return size && direction && address && thread == segue_thread_self();
}

static void note_done(const struct call_done *done)
{
    followed.count++;
    followed.last = *done;
    memcpy(followed.before, done->before, done->size);
    memcpy(followed.after, done->after, done->size);
}

static void values_before_and_after_are_reported(void **state)
{
    static const struct call_follower follower = {want, note_done};
    (void)state;
    follow_calls(&follower);
    for
        EACH_KIND(kind)
        {
            int ends[2];
            calls_setup(kinds[kind]);
            followed.count = 0;
            assert_int_equal(pipe(ends), 0);
            closed_write(OFFSET, "before", 6);
            assert_int_equal(write(ends[1], "after", 5), 5);
            assert_int_equal(read(ends[0], CLOSED + OFFSET, 20), 5);
            assert_int_equal(followed.count, 1);
            assert_int_equal(followed.last.size, 5);
            assert_int_equal(followed.last.system_call, SYS_read);
            assert_int_equal(followed.last.direction, SEGUE_WRITE);
            assert_memory_equal(followed.before, "befor", 5);
            assert_memory_equal(followed.after, "after", 5);
            assert_int_equal(write(ends[1], CLOSED + OFFSET, 6), 6);
            assert_int_equal(followed.count, 2);
            assert_int_equal(followed.last.direction, SEGUE_READ);
            assert_memory_equal(followed.before, "aftere", 6);
            close(ends[0]);
            close(ends[1]);
            calls_teardown();
        }
    follow_calls(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(read_and_write_of_a_pipe),
        cmocka_unit_test(buffers_that_begin_or_end_outside),
        cmocka_unit_test(vectors_and_messages),
        cmocka_unit_test_setup_teardown(structures, calls_make_folder, calls_remove_folder),
        cmocka_unit_test(waiting),
        cmocka_unit_test(policies_refuse_and_answer),
        cmocka_unit_test(bad_pointers_still_fail),
        cmocka_unit_test(signals_interrupt_and_restart),
        cmocka_unit_test(children_are_caught),
        cmocka_unit_test(programs_are_executed),
        cmocka_unit_test(detours_in_children),
        cmocka_unit_test(a_region_is_removed_under_a_call),
        cmocka_unit_test(values_before_and_after_are_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
