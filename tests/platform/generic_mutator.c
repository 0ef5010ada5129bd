/* generic_mutator.c: the generic variant keeps the contract where it can do nothing: it says so, and changes nothing.
 * As it is for platforms where there may be no cmocka, it prints and counts by itself. */
#include <segue/suspend.h>
#include <stdio.h>
#include <string.h>

static unsigned passed, failed;

static void expect(bool holds, const char *what)
{
    if (holds) {
        passed++;
        return;
    }
    failed++;
    printf("FAILED: %s\n", what);
}
#define EXPECT(condition) expect((condition), #condition)

static int scanned;

static int count_words(void *closure, const void *base, const void *limit)
{
    (void)closure;
    (void)base;
    (void)limit;
    scanned++;
    return 1;
}

static void no_fault_can_be_decoded(void)
{
    struct segue_frame frame, untouched;
    struct segue_plan plan;
    memset(&frame, 0x5a, sizeof frame);
    untouched = frame;
    EXPECT(segue_frame_plan(&frame, NULL, 0, &plan) == SEGUE_UNSUPPORTED && plan.refusal);
    EXPECT(segue_frame_plan(&frame, NULL, 0, NULL) == SEGUE_INVALID);
    EXPECT(segue_frame_plan(NULL, NULL, 0, &plan) == SEGUE_INVALID);
    const struct segue_plan *in_memory = &plan;
    EXPECT(segue_frame_plan_in(&frame, NULL, 0, &plan, sizeof plan, &in_memory) == SEGUE_UNSUPPORTED && !in_memory);
    EXPECT(segue_frame_plan_in(&frame, NULL, 0, &plan, sizeof plan, NULL) == SEGUE_INVALID);
    EXPECT(segue_frame_plan_in(NULL, NULL, 0, &plan, sizeof plan, &in_memory) == SEGUE_INVALID);
    EXPECT(segue_frame_step(&frame, &plan) == SEGUE_UNSUPPORTED);
    EXPECT(segue_frame_step(&frame, NULL) == SEGUE_INVALID);
    EXPECT(memcmp(&frame, &untouched, sizeof frame) == 0);
    EXPECT(!segue_in_fault());
}

static void no_context_is_there(void)
{
    struct segue_mutator context, untouched;
    struct segue_frame frame = {.regs = {.rip = 1}};
    memset(&context, 0x5a, sizeof context);
    untouched = context;
    EXPECT(segue_mutator_from_frame(&context, &frame) == SEGUE_UNSUPPORTED);
    EXPECT(segue_mutator_from_frame(&context, NULL) == SEGUE_INVALID);
    EXPECT(segue_mutator_from_event((const struct segue_event *)(const void *)&frame, &context) == SEGUE_UNSUPPORTED);
    EXPECT(segue_mutator_from_event(NULL, &context) == SEGUE_INVALID);
    EXPECT(segue_xstate_size(0) == 0);
    EXPECT(segue_mutator_capture(&context, NULL, 0) == SEGUE_UNSUPPORTED);
    EXPECT(segue_mutator_capture(NULL, NULL, 0) == SEGUE_INVALID);
    EXPECT(memcmp(&context, &untouched, sizeof context) == 0);
    EXPECT(segue_mutator_sp(&context) == 0);
    EXPECT(segue_mutator_scan(&context, count_words, NULL) == 0 && scanned == 0);
}

static void no_thread_is_there_to_suspend(void)
{
    struct segue_suspend_options options = {.flags = 2};
    struct segue_suspension list[2] = {{.thread = 1}, {.thread = 2}};
    EXPECT(segue_suspend_install(NULL) == SEGUE_UNSUPPORTED);
    EXPECT(segue_suspend_install(&options) == SEGUE_INVALID);
    EXPECT(segue_suspend_uninstall() == SEGUE_NOT_FOUND);
    EXPECT(segue_threads_suspend(list, 2, 0) == SEGUE_OK);
    EXPECT(list[0].status == SEGUE_NOT_FOUND && list[1].status == SEGUE_NOT_FOUND);
    EXPECT(segue_threads_resume(list, 2) == SEGUE_OK);
    EXPECT(segue_thread_suspend(&list[0], 0) == SEGUE_NOT_FOUND);
    EXPECT(segue_thread_resume(&list[0]) == SEGUE_OK);
    EXPECT(segue_threads_suspend(NULL, 1, 0) == SEGUE_INVALID && segue_threads_resume(NULL, 1) == SEGUE_INVALID);
    EXPECT(segue_thread_suspend(NULL, 0) == SEGUE_INVALID && segue_thread_resume(NULL) == SEGUE_INVALID);
    EXPECT(strcmp(segue_status_name(SEGUE_TIMEOUT), "SEGUE_TIMEOUT") == 0);
}

int main(void)
{
    no_fault_can_be_decoded();
    no_context_is_there();
    no_thread_is_there_to_suspend();
    printf("%u passed, %u failed\n", passed, failed);
    return failed != 0;
}
