// first.cpp: README's program in C++17: no casts but the context's, no missing initialisers.
#include <cstdio>
#include <segue/segue.h>

struct tally {
    int reads, writes;
};

static segue_verdict counted(void *context, const segue_event *event)
{
    auto *of = static_cast<tally *>(context);
    ++(event->direction & SEGUE_WRITE ? of->writes : of->reads);
    return SEGUE_STEP;
}

int main()
{
    segue_mapping heap{};
    tally accesses{};
    if (segue_install(nullptr) || segue_mapping_create(nullptr, 1 << 20, &heap))
        return 1;
    segue_region region{};
    region.window = segue_mapping_window(&heap);
    region.policy = counted;
    region.context = &accesses;
    if (segue_region_add(&region) || segue_mapping_protect(&heap, 0, heap.size, 0))
        return 1;
    auto *cell = static_cast<volatile int *>(heap.memory);
    *cell = 42;
    int value = *cell;
    std::printf("%d: %d writes, %d reads\n", value, accesses.writes, accesses.reads);
    return value == 42 && accesses.writes == 1 && accesses.reads == 1 ? 0 : 1;
}
