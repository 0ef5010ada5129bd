/* processor.h: whose processor this is, where makers' processors access memory differently. Used inside decode/ alone.
 */
#ifndef SEGUE_DECODE_PROCESSOR_H
#define SEGUE_DECODE_PROCESSOR_H

#include <stdbool.h>

/* Whether it follows AMD's manual and not Intel's. */
bool processor_is_amd(void);

#endif
