/* guarded.h: memory that ends exactly where an unreadable page begins. */
#ifndef SEGUE_TESTS_GUARDED_H
#define SEGUE_TESTS_GUARDED_H

#include <stdint.h>

/* The end of a page that can be read and written; NULL without memory. One at a time is enough: it stays. */
uint8_t *guarded_end(void);

#endif
