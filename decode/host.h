/* host.h: the mode of the library's own code, which is that of the code that it serves. */
#ifndef SEGUE_DECODE_HOST_H
#define SEGUE_DECODE_HOST_H

#include <segue/decode.h>

#define HOST_MODE (sizeof(void *) == 8 ? SEGUE_MODE_64 : SEGUE_MODE_32)

#endif
