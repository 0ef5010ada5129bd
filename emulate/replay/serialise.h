/* serialise.h: an instruction that serialises. Used inside emulate/replay/ alone. */
#ifndef SEGUE_EMULATE_REPLAY_SERIALISE_H
#define SEGUE_EMULATE_REPLAY_SERIALISE_H

/* The processor fetches what follows anew. */
void replay_serialise(void);

#endif
