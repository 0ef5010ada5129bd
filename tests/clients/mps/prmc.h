/* prmc.h: a stand-in for MPS's header of the same name: the interface of design/prmc. */
#ifndef prmc_h
#define prmc_h

#include "mpm.h"

typedef struct MutatorContextStruct *MutatorContext;

extern Bool MutatorContextCheck(MutatorContext context);
extern Bool MutatorContextCanStepInstruction(MutatorContext context);
extern Res MutatorContextStepInstruction(MutatorContext context);
extern Res MutatorContextScan(ScanState ss, MutatorContext context, mps_area_scan_t scan_area, void *closure);
extern Addr MutatorContextSP(MutatorContext context);

#endif
