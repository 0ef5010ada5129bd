/* sort.c: see sort.h. A heap, in place. */
#include "sort.h"

static void exchange(char *one, char *other, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        char kept = one[i];
        one[i] = other[i];
        other[i] = kept;
    }
}

/* Moves the item at `root` down to where it belongs. */
static void sink(char *items, size_t root, size_t count, size_t size, int (*compare)(const void *, const void *))
{
    for (size_t child; (child = 2 * root + 1) < count; root = child) {
        if (child + 1 < count && compare(items + child * size, items + (child + 1) * size) < 0)
            child++;
        if (compare(items + root * size, items + child * size) >= 0)
            return;
        exchange(items + root * size, items + child * size, size);
    }
}

void sort(void *items, size_t count, size_t size, int (*compare)(const void *one, const void *other))
{
    for (size_t root = count / 2; root-- > 0;)
        sink(items, root, count, size, compare);
    for (size_t left = count; left-- > 1;) {
        exchange(items, (char *)items + left * size, size);
        sink(items, 0, left, size, compare);
    }
}
