/* misuse.h: what is wrong with a region that a caller has filled in. */
#ifndef SEGUE_SIGNALS_REGIONS_MISUSE_H
#define SEGUE_SIGNALS_REGIONS_MISUSE_H

#include <segue/region.h>

/* Names it; NULL if the region is valid. */
const char *region_misuse(const struct segue_region *region);

#endif
