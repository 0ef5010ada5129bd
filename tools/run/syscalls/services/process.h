/* process.h: the threads and processes that the program makes. */
#ifndef SEGUE_RUN_PROCESS_H
#define SEGUE_RUN_PROCESS_H

#include "tools/run/syscalls/service.h"

call_service process_fork, process_vfork, process_clone, process_clone3;

#endif
