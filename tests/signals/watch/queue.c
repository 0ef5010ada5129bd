/* queue.c: the queue of records, where a thread is killed between the two halves of a put. */
#include "tests/support/test.h"

#include <stdlib.h>
#include <string.h>

#include "signals/watch/queue/queue_layout.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_put_that_never_ends)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
