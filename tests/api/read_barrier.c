/* read_barrier.c: A collector's read barrier: references are forwarded before a load can see them; the page stays
 * protected. */
#include <segue/segue.h>
struct gc;
extern struct gc the_gc;
extern void gc_lock(struct gc *), gc_unlock(struct gc *), gc_forward(struct gc *, void *slot), mutate(void *heap);
extern enum segue_verdict gc_open_page(struct gc *, uint64_t address);

static enum segue_verdict barrier(void *gc, const struct segue_event *event)
{
    if (event->can_step != SEGUE_OK)
        return gc_open_page(gc, event->address);
    gc_lock(gc);
    struct segue_words words = segue_event_footprint(event);
    while (segue_words_next(&words))
        gc_forward(gc, words.at);
    enum segue_status status = segue_event_step(event, NULL, NULL);
    gc_unlock(gc);
    return status == SEGUE_OK ? SEGUE_DONE : SEGUE_STEP;
}

int main(void)
{
    struct segue_mapping heap;
    struct segue_options options = {.flags = SEGUE_INSTALL_COLLECTOR};
    if (segue_install(&options) || segue_mapping_create(NULL, 1 << 30, &heap))
        return 1;
    struct segue_region region = {.window = segue_mapping_window(&heap), .policy = barrier, .context = &the_gc};
    if (segue_region_add(&region) || segue_mapping_protect(&heap, 0, heap.size, 0))
        return 1;
    mutate(heap.memory);
}
