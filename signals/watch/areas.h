/* areas.h: the pages of watched ranges. Adjacent pages that are adopted together are an area: a region, whose marks
 * (index.h) lie behind its second view. An area is given back with its last range, or piece by piece if the program
 * takes its pages away.
 *
 * All under the lock of adopt.h. */
#ifndef SEGUE_SIGNALS_WATCH_AREAS_H
#define SEGUE_SIGNALS_WATCH_AREAS_H

#include <segue/region.h>

#include "adopt.h"

#define AREAS_MOST 65536u

/* False if there is no memory. */
bool areas_prepare(void);

/* In the order of their addresses; the first one that ends behind the address. */
struct adopted *areas_at(unsigned number);
unsigned areas_count(void);
unsigned areas_behind(uint64_t address);

/* The area's region; where its marks are, from the bytes on. */
struct segue_region areas_region(const struct adopted *area);
int64_t areas_marks(const struct adopted *area);

/* Makes regions of pages, of which `at` and `size` are given, and `is_pool`: of all, or of none. All or none. Their
 * marks are zero, and they are open. */
enum segue_status areas_make(struct adopted *made, unsigned count);
/* Such a one becomes an area. */
void areas_insert(const struct adopted *area);

/* The pages are as before, open. */
enum segue_status areas_give_back(unsigned number);
/* The same for pages of any areas. After an error those from some address on are still in theirs, open. */
enum segue_status areas_cut(uint64_t from, uint64_t end);

#endif
