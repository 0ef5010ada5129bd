/* own_handler_windows.c: a program for Windows with a vectored handler of its own: it steps what touches its heap,
 * which stays closed, and leaves all else to the other handlers. */
#include <segue/segue.h>
#include <segue/windows.h>
#include <stdio.h>
#include <windows.h>

static struct segue_window window;
static unsigned steps;
/* One thread faults; otherwise each needs its own. */
static _Alignas(64) unsigned char area[4096];

static LONG CALLBACK on_exception(EXCEPTION_POINTERS *exception)
{
    struct segue_frame frame;
    struct segue_plan plan;
    enum segue_status opened = segue_frame_open(&frame, exception);
    if (opened == SEGUE_HANDLED)
        return EXCEPTION_CONTINUE_EXECUTION;
    if (opened != SEGUE_OK || segue_frame_gather(&frame, area, sizeof area) != SEGUE_OK ||
        segue_frame_plan(&frame, &window, 1, &plan) != SEGUE_OK || segue_frame_step(&frame, &plan) != SEGUE_OK)
        return EXCEPTION_CONTINUE_SEARCH;
    steps++;
    return EXCEPTION_CONTINUE_EXECUTION;
}

int main(void)
{
    struct segue_mapping heap;
    if (segue_mapping_create(NULL, 4096, &heap) != SEGUE_OK || segue_replay_prepare() != SEGUE_OK ||
        !AddVectoredExceptionHandler(1, on_exception))
        return 1;
    window = segue_mapping_window(&heap);
    if (segue_mapping_protect(&heap, 0, heap.size, 0) != SEGUE_OK)
        return 1;
    volatile int *cell = heap.memory;
    cell[0] = 40;
    cell[0] += 2;
    printf("%d in a closed page, after %u steps\n", cell[0], steps);
    return 0;
}
