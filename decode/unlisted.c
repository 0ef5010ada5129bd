/* unlisted.c: the reasons why an instruction has no access list. */
#include <segue/decode.h>

static const char *const texts[SEGUE_UNLISTED_COUNT] = {
    [SEGUE_UNLISTED_NONE] = "it has an access list",
    [SEGUE_UNLISTED_SHADOW_STACK] = "it works on the shadow stack, whose pointer is not among the registers",
    [SEGUE_UNLISTED_TILES] = "it moves a tile, whose shape is not among the registers",
    [SEGUE_UNLISTED_BOUNDS] = "it moves MPX bounds, which most processors treat as a NOP",
    [SEGUE_UNLISTED_PADLOCK] = "it is an instruction of VIA's PadLock",
    [SEGUE_UNLISTED_PROFILING] = "it is an instruction of AMD's lightweight profiling",
    [SEGUE_UNLISTED_SYSTEM] = "it works on structures that belong to the processor",
    [SEGUE_UNLISTED_STATE_LAYOUT] = "the layout of its state area depends on state that cannot be read",
    [SEGUE_UNLISTED_XSTATE] = "it needs vector state that was not given",
    [SEGUE_UNLISTED_WRAPS] = "an access wraps around the end of the address space",
    [SEGUE_UNLISTED_NESTED_TASK] = "it returns from a nested task",
};

const char *segue_unlisted_text(enum segue_unlisted why)
{
    return (size_t)why < SEGUE_UNLISTED_COUNT ? texts[why] : "not a reason of this library";
}
