/* owner.c: names the owner of a signal's handler. */
#include "owner.h"

#include "platform/code.h"

void owner_name(int number, void *handler, struct segue_owner *owner)
{
    if (!owner)
        return;
    struct platform_symbol symbol = platform_symbol_at(handler);
    *owner =
        (struct segue_owner){.signal = number, .handler = handler, .object = symbol.object, .symbol = symbol.symbol};
}
