/* layout.h: the layout of a replay's context, for C and for assembly. */
#ifndef SEGUE_EMULATE_REPLAY_LAYOUT_H
#define SEGUE_EMULATE_REPLAY_LAYOUT_H

/* Offsets in struct replay_context; run.c asserts each. */
#define REPLAY_RFLAGS 128
#define REPLAY_CODE 136
#if defined(__i386__)
#define REPLAY_AREA 140
#define REPLAY_COMPONENTS 144
#define REPLAY_STATE_BY 152
#define REPLAY_YMM_UPPER 160
#define REPLAY_OPMASK 164
#define REPLAY_ZMM_UPPER 168
#define REPLAY_ZMM_HIGH 172
#define REPLAY_POPFQ_FLAGS 176
#else
#define REPLAY_AREA 144
#define REPLAY_COMPONENTS 152
#define REPLAY_STATE_BY 160
#define REPLAY_YMM_UPPER 168
#define REPLAY_OPMASK 176
#define REPLAY_ZMM_UPPER 184
#define REPLAY_ZMM_HIGH 192
#define REPLAY_POPFQ_FLAGS 200
#endif

/* How the area is loaded and stored: XRSTOR and XSAVE; moves (vectors_x86_64.h); FXRSTOR and FXSAVE, if the processor
 * has no XSAVE and the area no header. */
#define STATE_BY_XSAVE 0
#define STATE_BY_MOVES 1
#define STATE_BY_FXSAVE 2

/* What replay_enter returns. */
#define REPLAY_DONE 0
#define REPLAY_FAULTED 1
#define REPLAY_NOT_LOADED 2

#endif
