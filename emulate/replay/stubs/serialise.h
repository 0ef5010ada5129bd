/* serialise.h: an instruction that serialises. Used inside emulate/replay/ only. */
#ifndef SEGUE_EMULATE_REPLAY_SERIALISE_H
#define SEGUE_EMULATE_REPLAY_SERIALISE_H

/* Makes the processor fetch the following instructions again. */
void replay_serialise(void);

#endif
