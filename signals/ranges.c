/* ranges.c: lists the code ranges of the library's text; each is described beside its code. */
#include "ranges.h"

#include <stddef.h>

#include "ctx/clone/pad.h"
#include "ctx/guest/gate.h"
#include "ctx/restore/landing.h"
#include "ctx/restore/shortcut.h"
#include "platform/calls/calls.h"
#include "platform/frame/frame.h"
#include "signals/chain/relay.h"
#include "signals/chain/restorer.h"
#include "signals/handler/signal_entry.h"
#include "signals/hot/leave.h"

const struct code_range *const library_ranges[] = {
    &entry_range,
    &entry_suspend_range,
    &entry_begin_range,
    &guest_handler_range,
    &guest_entry_range,
    &restorer_plain_range,
    &restorer_of_relay_range,
    &relay_range,
    &landing_range,
    &shortcut_range,
    &pad_rcx_range,
    &pad_word_range,
    &guest_page_range,
    &guest_call_range,
    &hot_range,
    &calls_gate_range,
    &calls_make_range,
    &calls_detour_range,
    &calls_trap_range,
    &calls_halt_range,
    &calls_run_range,
    NULL,
};

void ranges_leave(void *context)
{
    struct segue_regs regs;
    const void *frame = NULL;
    if (hot_leave(context))
        return;
    frame_get_registers(context, &regs);
    if (code_range_translate(library_ranges, &regs, &frame) == CODE_RANGE_REGISTERS)
        frame_set_registers(context, &regs);
}
