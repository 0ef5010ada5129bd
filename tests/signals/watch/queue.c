/* queue.c: the queue of records, where a thread is killed between the two halves of a put. */
#include "tests/support/test.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "signals/watch/queue/queue.h"

#define PLACES 4u
#define WRITER 77u

/* As queue_put: its first half, and its second. */
static struct queue_place *begin_put(struct watch_queue *queue, uint64_t writer)
{
    struct queue_place *place = &queue->place[queue->puts++ & (queue->places - 1)];
    place->writer = writer;
    return place;
}

static void end_put(struct queue_place *place, uint64_t id)
{
    place->record = (struct segue_watch_record){.id = id};
    place->turn++;
}

static void a_put_that_never_ends(void **unused)
{
    (void)unused;
    struct watch_queue *queue = aligned_alloc(64, queue_size(PLACES));
    struct segue_watch_record record;
    uint64_t number, writer;
    assert_non_null(queue);
    memset(queue, 0, queue_size(PLACES));
    queue->places = PLACES;
    for (uint64_t i = 0; i < PLACES; i++)
        queue->place[i].turn = i;
    assert_false(queue_is_begun(queue, &number, &writer));
    /* Each place of the ring is passed over once. */
    for (uint64_t round = 0; round < 2 * PLACES; round++) {
        begin_put(queue, round % 2 ? WRITER : 0);
        end_put(begin_put(queue, WRITER), round + 1);
        assert_false(queue_take(queue, &record));
        assert_true(queue_is_begun(queue, &number, &writer));
        assert_int_equal(writer, round % 2 ? WRITER : 0);
        queue_pass(queue, number);
        assert_false(queue_is_begun(queue, &number, &writer));
        assert_true(queue_take(queue, &record));
        assert_int_equal(record.id, round + 1);
        assert_false(queue_take(queue, &record));
        assert_false(queue_is_begun(queue, &number, &writer));
    }
    assert_int_equal(queue->lost, 2 * PLACES);
    free(queue);
}

/* The reader in the process itself: records behind that of a killed child are read, whether that is reaped or not. */
static void a_reader_passes_over_the_killed(void **unused)
{
    (void)unused;
    struct watch_queue *queue = aligned_alloc(64, queue_size(PLACES));
    struct segue_watch_record record;
    size_t count;
    uint64_t lost;
    assert_non_null(queue);
    memset(queue, 0, queue_size(PLACES));
    queue_use(queue, PLACES);
    for (unsigned is_reaped = 0; is_reaped < 2; is_reaped++) {
        siginfo_t info;
        pid_t child = fork();
        if (child == 0)
            for (;;)
                pause();
        begin_put(queue, (uint64_t)child);
        end_put(begin_put(queue, WRITER), 9);
        assert_int_equal(segue_watch_read(&record, 1, 0, &count, &lost), SEGUE_TIMEOUT);
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitid(P_PID, (id_t)child, &info, is_reaped ? WEXITED : WEXITED | WNOWAIT), 0);
        assert_int_equal(segue_watch_read(&record, 1, 0, &count, &lost), SEGUE_OK);
        assert_int_equal(record.id, 9);
        assert_int_equal(lost, 1);
        assert_true(is_reaped || waitpid(child, NULL, 0) == child);
    }
    /* It is not said whose that is: it may come. */
    struct queue_place *late = begin_put(queue, 0);
    assert_int_equal(segue_watch_read(&record, 1, 0, &count, &lost), SEGUE_TIMEOUT);
    end_put(late, 10);
    assert_int_equal(segue_watch_read(&record, 1, 0, &count, &lost), SEGUE_OK);
    assert_int_equal(record.id, 10);
    free(queue);
}

/* There is no handler here: a fault would end the process. */
static void a_stack_is_kept_up_to_its_end(void **unused)
{
    (void)unused;
    const uint64_t page = 4096, left = page + 128;
    struct watch_queue *queue = aligned_alloc(64, queue_size(PLACES));
    struct queue_stack *stacks = calloc(PLACES, sizeof *stacks), *kept = calloc(1, sizeof *kept);
    char *stack = mmap(NULL, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct segue_watch_record record = {.id = 11};
    assert_true(queue && stacks && kept && stack != MAP_FAILED);
    assert_int_equal(mprotect(stack + 2 * page, page, PROT_NONE), 0);
    memset(stack, 7, 2 * page);
    memset(queue, 0, queue_size(PLACES));
    queue_use(queue, PLACES);
    queue_use_stacks(stacks);
    const struct segue_regs regs = {.rsp = (uint64_t)(uintptr_t)(stack + 2 * page - left), .rip = 5};
    queue_put(&record, NULL, &regs, false);
    queue_use_stacks(NULL);
    assert_true(queue_take_with(queue, &record, NULL, stacks, kept));
    assert_int_equal(record.id, 11);
    assert_int_equal(kept->size, left);
    assert_memory_equal(kept->bytes, stack + 2 * page - left, left);
    assert_int_equal(kept->registers[QUEUE_REGISTERS - 1], 5);
    munmap(stack, 3 * page);
    free(kept);
    free(stacks);
    free(queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_put_that_never_ends),
                                       cmocka_unit_test(a_reader_passes_over_the_killed),
                                       cmocka_unit_test(a_stack_is_kept_up_to_its_end)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
