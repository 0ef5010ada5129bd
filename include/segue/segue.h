/* segue.h: all of the library's public face. */
#ifndef SEGUE_SEGUE_H
#define SEGUE_SEGUE_H

#include <segue/ctx.h>
#include <segue/decode.h>
#include <segue/emulate.h>
#include <segue/mutator.h>
#include <segue/patch.h>
#include <segue/regs.h>
#include <segue/signals.h>
#include <segue/status.h>

#endif
