/* prepare.c: prepares the engines, and records why that failed. */
#include <segue/emulate.h>

#include "emulate/replay/replay.h"
#include "platform/memory/executable.h"
#include "platform/memory/forced.h"
#include "platform/reason.h"

enum segue_status segue_replay_prepare(void)
{
    return reason_give(replay_prepare(), executable_memory_refusal());
}

enum segue_status segue_forced_prepare(void)
{
    return reason_give(forced_prepare(), forced_refusal());
}
