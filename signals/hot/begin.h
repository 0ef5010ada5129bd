/* begin.h: prepares hot sites; for who adds regions. */
#ifndef SEGUE_SIGNALS_HOT_BEGIN_H
#define SEGUE_SIGNALS_HOT_BEGIN_H

#include <segue/status.h>
#include <stdbool.h>

/* Prepares all that hot sites need, with the first hot region. Returns SEGUE_OK; SEGUE_NO_MEMORY; SEGUE_UNSUPPORTED if
 * the system does not allow hot sites; SEGUE_SYSTEM if SIGTRAP cannot be handled. Not async-signal-safe; thread-safe.
 */
enum segue_status hot_begin(void);

/* Whether the system and the processor allow hot sites: SEGUE_OK or SEGUE_UNSUPPORTED, with the reason. Not
 * async-signal-safe; thread-safe. */
enum segue_status hot_check(void);

/* After a fork, in the child. */
void hot_in_child(void);

/* For who installs the handler. Whether it must take SIGTRAP. And what the installed handler does with it: `take` takes
 * it now (false if the system refuses); `has` says whether the handler still has it: a program may install one of its
 * own, which would get the breakpoints of code changes. Both NULL when the handler is not installed any more. */
bool hot_wants_trap(void);
void hot_follow_install(bool (*take)(void), bool (*has)(void));

#endif
