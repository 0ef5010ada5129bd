/* modules.h: which files a process has mapped, and where, for libdw. */
#ifndef SEGUE_TOOLS_WATCH_MODULES_H
#define SEGUE_TOOLS_WATCH_MODULES_H

#include <elfutils/libdwfl.h>
#include <stdbool.h>
#include <sys/types.h>

/* How files and their debug information are found. */
extern const Dwfl_Callbacks modules_callbacks;

/* As dwfl_linux_proc_report, but a file that has another mapping in the middle is one module: the library's memory in
 * its own code, and pages that are watched. libdw would take the part behind for a second one that begins there. */
bool modules_report(Dwfl *dwfl, pid_t process);

/* Of the process's files as they are mapped now; NULL if it cannot be looked at. */
Dwfl *modules_begin(pid_t process);

#endif
