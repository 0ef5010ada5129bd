/* prepare.c: prepares the engines, and records why that failed. */
#include <segue/emulate.h>

#include "emulate/replay/replay.h"
#include "platform/forced.h"
#include "platform/reason.h"

enum segue_status segue_replay_prepare(void)
{
    return reason_give(replay_prepare(),
                       "the system lets this process execute no memory that it writes through a second "
                       "mapping (SELinux execmem, or a filter of mmap)");
}

enum segue_status segue_forced_prepare(void)
{
    return reason_give(forced_prepare(), "the kernel does not let this process past its own protection: it cannot open "
                                         "/proc/thread-self/mem (no /proc, another user since it began, no descriptor "
                                         "left), or proc_mem.force_override forbids the access");
}
