/* syscalls_events.c: what a policy's functions do with the event of a system call. */
#include "tests/support/test.h"

#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "syscalls_fixture.h"

/* Across the region's two pages. */
#define OFFSET (PAGE - 8)
#define SIZE 20u

static struct {
    enum segue_status step, preview;
    char reason[128];
    unsigned values, words, in_footprint;
    uint64_t first;
    void *at;
} said;

static void count_value(void *context, const struct segue_value *value)
{
    (void)value;
    ++*(unsigned *)context;
}

static void look(const struct segue_event *event)
{
    said.step = segue_event_step(event, count_value, &said.values);
    strncpy(said.reason, segue_reason(), sizeof said.reason - 1);
    said.preview = segue_event_preview(event, count_value, &said.values);
    said.at = segue_event_at(event);
    struct segue_words words = segue_event_words(event);
    while (segue_words_next(&words)) {
        said.first = said.words++ ? said.first : words.address;
    }
    words = segue_event_footprint(event);
    while (segue_words_next(&words))
        said.in_footprint++;
}

/* Refused, nothing has happened, and the call is made when the policy has answered. */
static void a_call_is_not_made_in_a_policy(void **state)
{
    (void)state;
    int ends[2];
    char bytes[SIZE] = "";
    calls_setup(SEGUE_WINDOW_ALIAS);
    notes.look = look;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "0123456789abcdefghij", SIZE), SIZE);
    assert_int_equal(read(ends[0], CLOSED + OFFSET, SIZE), SIZE);
    assert_int_equal(notes.events, 1);
    assert_int_equal(said.step, SEGUE_UNSUPPORTED);
    assert_string_equal(said.reason, "a system call is made after its policies: they answer SEGUE_STEP");
    assert_int_equal(said.preview, SEGUE_UNSUPPORTED);
    assert_int_equal(said.values, 0);
    closed_read(bytes, OFFSET, SIZE);
    assert_memory_equal(bytes, "0123456789abcdefghij", SIZE);
    assert_ptr_equal(said.at, CLOSED_ALIAS + OFFSET);
    assert_int_equal(said.words, 3);
    assert_int_equal(said.in_footprint, 3);
    assert_int_equal(said.first, (uint64_t)(uintptr_t)CLOSED + OFFSET);
    close(ends[0]);
    close(ends[1]);
    calls_teardown();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_call_is_not_made_in_a_policy)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
