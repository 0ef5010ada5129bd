/* call_linux_x86_64.h: bare system calls, as the library makes them. */
#ifndef SEGUE_RUN_CALL_H
#define SEGUE_RUN_CALL_H

#include <stdbool.h>

#include "platform/linux/call_x86_64.h"

#endif
