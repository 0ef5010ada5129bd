/* pad_i386.S: pads have no exits (pad.h) in 32-bit code, which cannot address them relative to itself: no thread stands
 * in what has the exits' names. */
#if !defined(__i386__)
#error "pad_i386.S is specific to i386"
#endif

#include "platform/asm.h"

#include "pad.h"

        SECTION_BSS(pad_exits)
        .p2align 6
OBJECT(pad_rcx_exits)
        .zero   PAD_RCX_EXIT_SIZE * PAD_COUNT
        END(pad_rcx_exits)
OBJECT(pad_word_exits)
        .zero   PAD_WORD_EXIT_SIZE * PAD_COUNT
        END(pad_word_exits)

        SECTION_BSS(pad_states)
        .p2align 6
OBJECT(pad_states)
        .zero   4 * PAD_COUNT
        END(pad_states)
        .p2align 6
OBJECT(pad_targets)
        .zero   8 * PAD_COUNT
        END(pad_targets)

        END_OF_FILE
