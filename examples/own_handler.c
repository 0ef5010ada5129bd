/* own_handler.c: a program with a SIGSEGV handler of its own: it steps what touches its heap, which stays closed, and
 * leaves all else to the handler that was there before. */
#include <segue/posix.h>
#include <segue/segue.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>

static struct segue_window window;
static struct sigaction previous[NSIG];
/* Changed by the handler. */
static volatile unsigned loads, stores;

static void on_fault(int number, siginfo_t *info, void *ucontext)
{
    struct segue_frame frame;
    struct segue_plan plan;
    switch (segue_frame_open(&frame, info, ucontext)) {
    case SEGUE_HANDLED:
        return;
    case SEGUE_OK:
        /* What the plan lists has not happened yet: here a barrier does its work. */
        if (segue_frame_plan(&frame, &window, 1, &plan) != SEGUE_OK)
            break;
        if (segue_frame_step(&frame, &plan) != SEGUE_OK)
            break;
        for (unsigned i = 0; i < plan.access_count; i++) {
            loads = loads + ((plan.accesses[i].direction & SEGUE_READ) != 0);
            stores = stores + ((plan.accesses[i].direction & SEGUE_WRITE) != 0);
        }
        return;
    default:
        break;
    }
    segue_chain(&frame, &previous[number]);
}

/* The handler that was there before: a runtime's, which makes an exception of a null pointer. */
static sigjmp_buf null_pointer;

static void on_null_pointer(int number)
{
    (void)number;
    siglongjmp(null_pointer, 1);
}

static enum segue_status install(void)
{
    /* A replayed division may raise SIGFPE. */
    static const int numbers[] = {SIGSEGV, SIGBUS, SIGFPE};
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (sigaction(numbers[i], &action, &previous[numbers[i]]) != 0)
            return SEGUE_SYSTEM;
    return segue_replay_prepare();
}

int main(void)
{
    struct segue_mapping heap;
    struct sigaction runtime = {.sa_handler = on_null_pointer};
    if (sigaction(SIGSEGV, &runtime, NULL) != 0 || install() != SEGUE_OK ||
        segue_mapping_create(NULL, 4096, &heap) != SEGUE_OK)
        return 1;
    window = segue_mapping_window(&heap);
    if (segue_mapping_protect(&heap, 0, heap.size, 0) != SEGUE_OK)
        return 1;

    volatile int *cell = heap.memory;
    cell[0] = 40;
    cell[0] = cell[0] + 2;
    int value = cell[0];
    printf("%d in a closed page: %u loads, %u stores\n", value, loads, stores);

    volatile int *volatile nowhere = NULL;
    if (sigsetjmp(null_pointer, 1) == 0)
        *nowhere = 1;
    else
        puts("a null pointer is the runtime's business, as before");
    return 0;
}
