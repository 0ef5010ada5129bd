/* doctor_process.c: see tools/doctor/doctor_process.h: nothing is seen of another process. */
#if !defined(_WIN32)
#error "tools/windows/doctor_process.c is specific to Windows"
#endif

#include "tools/doctor/doctor_process.h"

#include <errno.h>

int doctor_process(long process)
{
    (void)process;
    return ENOSYS;
}
