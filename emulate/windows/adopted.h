/* adopted.h: how a mapping shows that it was adopted (signals/watch/adopt.c). */
#ifndef SEGUE_EMULATE_ADOPTED_H
#define SEGUE_EMULATE_ADOPTED_H

#include <segue/mapping.h>

/* In `private_` of struct segue_mapping. */
#define MAPPING_ADOPTED 4u

#endif
