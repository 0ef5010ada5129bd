/* extended.h: the processor's extended state, by the names that ctx/ has for it. All are async-signal-safe. */
#ifndef SEGUE_CTX_EXTENDED_H
#define SEGUE_CTX_EXTENDED_H

#include "decode/x86/xsave.h"

#define extended_enabled xsave_enabled
#define extended_can_compact xsave_can_compact
#define extended_on_demand xsave_on_demand
#define extended_exceeds xsave_exceeds

#endif
