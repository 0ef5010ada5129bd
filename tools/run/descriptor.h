/* descriptor.h: descriptors of the host's, in the program's process. */
#ifndef SEGUE_RUN_DESCRIPTOR_H
#define SEGUE_RUN_DESCRIPTOR_H

/* They are put above those that programs look at, which may count on getting the lowest. */
#define LOWEST_DESCRIPTOR 512

#endif
