/* filter.h: the seccomp filters that the program installs. They apply to the host's calls, too. */
#ifndef SEGUE_RUN_FILTER_H
#define SEGUE_RUN_FILTER_H

#include "tools/run/syscalls/service.h"

/* If the call before the frame's instruction installs a filter, arranges that an extended one is installed in its
 * place. It lets the host make, from its own code alone, the calls that it cannot do without and that gain a program
 * nothing: its signal mask and alternate stack, its own numbers, rt_sigreturn, and syscall user dispatch. seccomp and
 * prctl. */
call_service filter_lead;

#endif
