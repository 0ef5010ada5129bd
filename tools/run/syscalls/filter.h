/* filter.h: filters of system calls that the program puts in force (seccomp). They are filters for the host's calls,
 * too. */
#ifndef SEGUE_RUN_FILTER_H
#define SEGUE_RUN_FILTER_H

#include "service.h"

/* If the call that the frame stands behind puts a filter in force, arranges that one is put in force in its place which
 * lets the host make, from its own code alone, those calls that it cannot do without and that give a program nothing:
 * its signal mask and alternate stack, its own numbers, the way back from a signal, and the dispatch of its system
 * calls. seccomp and prctl. */
call_service filter_lead;

#endif
