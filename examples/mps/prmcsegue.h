/* prmcsegue.h: the context of a mutator thread, for MPS over Segue: includes what prmcix.h does in MPS, and takes its
 * place (prmcsegue.c). */
#ifndef prmcsegue_h
#define prmcsegue_h

#include "mpm.h"
#include "prmc.h"

#include <segue/posix.h>
#include <segue/segue.h>

#define MutatorContextSig ((Sig)0x519302C0) /* SIGnature MUTAtor COntext */

enum { MutatorContextFAULT, MutatorContextTHREAD, MutatorContextLIMIT };

typedef struct MutatorContextStruct {
    Sig sig;
    int var;
    /* MutatorContextFAULT: the opened signal frame. */
    struct segue_frame frame;
    /* Read on the thread itself, in its signal handler. */
    struct segue_mutator mutator;
} MutatorContextStruct;

/* For sigHandle, first of all: TRUE if Segue itself caused the signal, and the handler must return. */
extern Bool MutatorContextHandled(siginfo_t *info, ucontext_t *ucontext);

extern void MutatorContextInitFault(MutatorContext context, siginfo_t *info, ucontext_t *ucontext);
extern void MutatorContextInitThread(MutatorContext context, ucontext_t *ucontext);

/* The enum segue_direction bits of the fault's access. */
extern unsigned MutatorContextAccess(MutatorContext context);

#endif
