/* doctor_process.h: what can be seen of a running process from outside. */
#ifndef SEGUE_TOOLS_DOCTOR_PROCESS_H
#define SEGUE_TOOLS_DOCTOR_PROCESS_H

/* Prints what /proc shows of Segue in the process: whether its libraries are mapped, what becomes of its signals, and
 * which threads block them. Returns 0, or an error number when the process cannot be read. */
int doctor_process(long process);

#endif
