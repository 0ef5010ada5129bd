// barrier.cpp: a write barrier in C++20. What differs from C: a void * is cast, members are set one by one, struct
// segue_plan needs the word struct, and a policy throws nothing and allocates nothing: it runs in a handler.
#include <segue/segue.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <span>
#include <utility>

namespace
{

// The addresses that were stored to, without a lock.
class Log
{
  public:
    void add(std::uint64_t address) noexcept
    {
        std::size_t place = count_.fetch_add(1, std::memory_order_relaxed);
        if (place < entries_.size())
            entries_[place] = address;
    }

    std::span<const std::uint64_t> entries() const
    {
        return {entries_.data(), std::min(count_.load(), entries_.size())};
    }

  private:
    std::array<std::uint64_t, 64> entries_{};
    std::atomic<std::size_t> count_{0};
};

segue_verdict on_access(void *context, const segue_event *event) noexcept
{
    if (event->direction & SEGUE_WRITE)
        static_cast<Log *>(context)->add(event->address);
    return SEGUE_STEP;
}

// Memory that stays closed: its destructor removes the region and the memory, in that order.
class ClosedHeap
{
  public:
    static std::optional<ClosedHeap> create(std::size_t size, Log &log)
    {
        ClosedHeap heap;
        if (segue_mapping_create(nullptr, size, &heap.mapping_) != SEGUE_OK)
            return std::nullopt;
        segue_region region{};
        region.window = segue_mapping_window(&heap.mapping_);
        region.policy = on_access;
        region.context = &log;
        if (segue_region_add(&region) != SEGUE_OK ||
            segue_mapping_protect(&heap.mapping_, 0, heap.mapping_.size, 0) != SEGUE_OK)
            return std::nullopt;
        return heap;
    }

    ClosedHeap(ClosedHeap &&other) noexcept : mapping_(std::exchange(other.mapping_, {}))
    {
    }
    ClosedHeap &operator=(ClosedHeap &&) = delete;

    ~ClosedHeap()
    {
        if (!mapping_.memory)
            return;
        segue_region_remove(mapping_.memory);
        segue_mapping_destroy(&mapping_);
    }

    // volatile: each access in the source is one in the program.
    volatile int *cells() const
    {
        return static_cast<volatile int *>(mapping_.memory);
    }

  private:
    ClosedHeap() = default;
    segue_mapping mapping_{};
};

} // namespace

int main()
{
    Log log;
    if (segue_install(nullptr) != SEGUE_OK)
        return 1;
    auto heap = ClosedHeap::create(4096, log);
    if (!heap)
        return 1;
    volatile int *cells = heap->cells();
    cells[1] = 40;
    cells[3] = cells[1] + 2;
    std::printf("%d, after stores to:", cells[3]);
    for (std::uint64_t address : log.entries())
        std::printf(" cell %d", static_cast<int>((address - reinterpret_cast<std::uint64_t>(cells)) / sizeof(int)));
    std::puts("");
}
