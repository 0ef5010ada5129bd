/* mpm.h: a stand-in for MPS's header of the same name: as much of the types and checks of its documents as the module
 * "mutator context" needs (design/type, design/check, design/scan). */
#ifndef mpm_h
#define mpm_h

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>

typedef int Bool;
typedef int Res;
typedef unsigned Sig;
typedef uintptr_t Word;
typedef struct AddrStruct *Addr;

enum { FALSE, TRUE };
enum { ResOK, ResFAIL, ResRESOURCE, ResMEMORY, ResLIMIT, ResUNIMPL };

typedef struct mps_ss_s *mps_ss_t;
typedef Res (*mps_area_scan_t)(mps_ss_t ss, void *base, void *limit, void *closure);
typedef struct ScanStateStruct *ScanState;

extern Res TraceScanArea(ScanState ss, Word *base, Word *limit, mps_area_scan_t scan_area, void *closure);

#define SRCID(id, scmid) extern const char id##SrcId[]
#define AVER(condition)                                                                                                \
    ((condition) ? (void)0 : (fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition), abort()))
#define AVERT(type, value) AVER(type##Check(value))
#define CHECKS(type, value) CHECKL((value) != NULL && (value)->sig == type##Sig)
#define CHECKL(condition)                                                                                              \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            return FALSE;                                                                                              \
    } while (0)

#endif
