/* page.h: the smallest page, for C and for assembly.
 *
 * SOURCES: Intel SDM volume 3, 4.3 and 4.5. */
#ifndef SEGUE_X86_PAGE_H
#define SEGUE_X86_PAGE_H

#include "constant.h"

#define PAGE_BITS 12
#define PAGE X86_CONSTANT(4096)

#endif
