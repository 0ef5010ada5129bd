/* probes.h: places that perf, bpftrace, SystemTap and gdb can watch (docs/debugging.md, "Probes"). Each is one NOP, and
 * a note that says where its arguments are: in a register, or in memory that a register leads to. Thread-local storage
 * cannot be read by a note. A build without <sys/sdt.h>, or for another system, has none.
 *
 * SOURCES: SystemTap, UserSpaceProbeImplementation; <sys/sdt.h>. */
#ifndef SEGUE_PLATFORM_PROBES_H
#define SEGUE_PLATFORM_PROBES_H

#ifdef SEGUE_PROBES
#include <sys/sdt.h>
#define PROBE_2(name, one, two) DTRACE_PROBE2(segue, name, one, two)
#define PROBE_3(name, one, two, three) DTRACE_PROBE3(segue, name, one, two, three)
#else
#define PROBE_2(name, one, two) ((void)0)
#define PROBE_3(name, one, two, three) ((void)0)
#endif

#endif
