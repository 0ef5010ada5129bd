/* exec.h: programs that the program executes in its place. */
#ifndef SEGUE_RUN_EXEC_H
#define SEGUE_RUN_EXEC_H

#include "tools/run/syscalls/service.h"

/* execve and execveat; the argument is the path. Executes the program, or leaves it to the kernel; returns only if
 * neither has been done. */
call_service exec_serve;

#endif
