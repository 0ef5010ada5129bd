/* knocks.c: the notes of signals that the library sends to its threads: while one is being sent, while one cannot be
 * sent, and of as many threads as there are notes. The linker leads the sending here (--wrap). */
#include "tests/support/test.h"

#include <errno.h>
#include <pthread.h>
#include <segue/segue.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "decode/x86/page.h"
#include "signals/syscalls/masks/masks.h"
#include "signals/threads/knock.h"

/* signals/threads/knock.c has that many notes. */
#define NOTES 4096
#define THREADS (NOTES / 2)
#define STACK 16384u

long __real_platform_thread_send(int thread, int signal, uint64_t word);
long __wrap_platform_thread_send(int thread, int signal, uint64_t word);

/* So many more fail; whether a wait takes place before the next one, and has ended well; whether none is sent. */
static unsigned fails;
static bool waits, has_waited, drops;

long __wrap_platform_thread_send(int thread, int signal, uint64_t word)
{
    if (fails && fails--)
        return -EAGAIN;
    if (waits) {
        waits = false;
        has_waited = knock_wait();
    }
    if (drops)
        return 0;
    return __real_platform_thread_send(thread, signal, word);
}

static const struct segue_options options = {.flags = SEGUE_INSTALL_SYSTEM_CALLS};
static int number, ends[2];
static char *memory;

static void *read_there(void *unused)
{
    char byte;
    (void)unused;
    __atomic_store_n(&number, (int)syscall(SYS_gettid), __ATOMIC_RELEASE);
    while (read(ends[0], &byte, 1) == 1)
        if (read(ends[0], memory, 1) != 1)
            return &number;
    return NULL;
}

static pthread_t begin_reader(void)
{
    pthread_t thread;
    number = 0;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(pthread_create(&thread, NULL, read_there, NULL), 0);
    while (!__atomic_load_n(&number, __ATOMIC_ACQUIRE))
        sched_yield();
    return thread;
}

static void end_reader(pthread_t thread)
{
    void *failed;
    close(ends[1]);
    assert_int_equal(pthread_join(thread, &failed), 0);
    close(ends[0]);
    assert_null(failed);
}

/* A thread that cannot be asked at first has its calls caught all the same. */
static void asked_once_more(void **state)
{
    (void)state;
    struct segue_mapping mapping;
    pthread_t thread = begin_reader();
    fails = 3;
    assert_int_equal(segue_install(&options), SEGUE_OK);
    assert_int_equal(fails, 0);
    assert_int_equal(segue_mapping_create(NULL, PAGE, &mapping), SEGUE_OK);
    const struct segue_region region = {.window = segue_window_alias(mapping.memory, PAGE, mapping.alias)};
    memory = mapping.memory;
    assert_int_equal(segue_region_add(&region), SEGUE_OK);
    assert_int_equal(mprotect(memory, PAGE, PROT_NONE), 0);
    assert_int_equal(write(ends[1], "ab", 2), 2);
    end_reader(thread);
    assert_int_equal(*(char *)mapping.alias, 'b');
    assert_int_equal(mprotect(memory, PAGE, PROT_READ | PROT_WRITE), 0);
    assert_int_equal(segue_region_remove(memory), SEGUE_OK);
    assert_int_equal(segue_mapping_destroy(&mapping), SEGUE_OK);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
}

/* Whoever waits for all does not take one for received that is not sent yet. */
static void waited_for_while_it_is_sent(void **state)
{
    (void)state;
    assert_int_equal(segue_install(&options), SEGUE_OK);
    pthread_t thread = begin_reader();
    waits = has_waited = true;
    assert_true(knock_send(number));
    assert_false(has_waited);
    assert_true(knock_wait());
    end_reader(thread);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
}

/* Its mask is not closed, and it can be asked again. */
static void not_asked_to_close_its_mask(void **state)
{
    (void)state;
    struct opened_mask opened = {.thread = 1};
    assert_int_equal(segue_install(&options), SEGUE_OK);
    fails = 1;
    masks_ask(&opened);
    assert_int_equal(opened.state, OPENED_NOT_NOW);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
}

static int numbers[THREADS];
static pthread_barrier_t have_begun, goes_on;

static void *wait_for_end(void *at)
{
    *(int *)at = (int)syscall(SYS_gettid);
    pthread_barrier_wait(&have_begun);
    pthread_barrier_wait(&goes_on);
    return NULL;
}

/* The kernel drops signals, which leaves their notes: two of a thread, and then no more. Whoever waits withdraws them.
 */
static void as_many_as_there_are_notes(void **state)
{
    (void)state;
    static pthread_t threads[THREADS];
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    assert_int_equal(pthread_attr_setstacksize(&attributes, STACK), 0);
    pthread_barrier_init(&have_begun, NULL, THREADS + 1);
    pthread_barrier_init(&goes_on, NULL, THREADS + 1);
    assert_int_equal(segue_install(&options), SEGUE_OK);
    pthread_t reader = begin_reader();
    for (int i = 0; i < THREADS; i++) {
        const int error = pthread_create(&threads[i], &attributes, wait_for_end, &numbers[i]);
        if (error == EAGAIN) {
            printf("SKIP: as many as there are notes: the system permits %d threads\n", i);
            skip();
        }
        assert_int_equal(error, 0);
    }
    pthread_barrier_wait(&have_begun);
    drops = true;
    for (unsigned round = 0; round < 3; round++)
        for (unsigned i = 0; i < (round < 2 ? THREADS : 1); i++)
            assert_int_equal(knock_send(numbers[i]), round < 2);
    assert_false(knock_send(number));
    drops = false;
    assert_false(knock_send(number));
    assert_true(knock_wait());
    assert_true(knock_send(number));
    assert_true(knock_wait());
    pthread_barrier_wait(&goes_on);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    end_reader(reader);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(asked_once_more),
        cmocka_unit_test(waited_for_while_it_is_sent),
        cmocka_unit_test(not_asked_to_close_its_mask),
        cmocka_unit_test(as_many_as_there_are_notes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
