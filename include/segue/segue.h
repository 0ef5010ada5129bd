/* segue.h: includes every header that is the same on all systems. The headers of one system are
 * posix.h, linux.h and windows.h. */
#ifndef SEGUE_SEGUE_H
#define SEGUE_SEGUE_H

#include <segue/context.h>
#include <segue/decode.h>
#include <segue/emulate.h>
#include <segue/frame.h>
#include <segue/guest.h>
#include <segue/handler.h>
#include <segue/hot.h>
#include <segue/mapping.h>
#include <segue/mutator.h>
#include <segue/patch.h>
#include <segue/region.h>
#include <segue/regs.h>
#include <segue/segment.h>
#include <segue/status.h>
#include <segue/suspend.h>
#include <segue/try.h>
#include <segue/watch.h>
#include <segue/window.h>

#endif
