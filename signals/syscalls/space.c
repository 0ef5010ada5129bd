/* space.c: see space.h. */
#include "space.h"

#include "decode/x86/page.h"
#include "emulate/windows/guard.h"
#include "platform/memory/forced.h"

SEGUE_HOT_POLICY uint64_t space_part(uint64_t address, uint64_t size, const struct region **region)
{
    uint64_t first = address, last = address + size - 1;
    last = last < address ? UINT64_MAX : last;
    *region = region_at(address);
    if (*region) {
        uint64_t end = (*region)->base + (*region)->size;
        return end - address < size ? end - address : size;
    }
    region_gap(address, &first, &last);
    return last - address == UINT64_MAX ? UINT64_MAX : last - address + 1;
}

/* Where the region's byte can be accessed plainly; NULL if it cannot. */
static void *plain(const struct region *region, uint64_t address)
{
    if (!region || region->kind == SEGUE_WINDOW_EXPOSED)
        return (void *)(uintptr_t)address;
    if (region->kind == SEGUE_WINDOW_ALIAS)
        return (char *)region->place + (address - region->base);
    return NULL;
}

static bool read_part(const struct region *region, void *to, uint64_t address, size_t size)
{
    void *from = plain(region, address);
    if (from)
        return guard_copy(to, from, size) == 0;
    if (region->kind == SEGUE_WINDOW_FORCED)
        return forced_read(address, to, size);
    return region->device.read && region->device.read(region->place, address, to, size) == SEGUE_OK;
}

static bool write_part(const struct region *region, uint64_t address, const void *bytes, size_t size)
{
    void *to = plain(region, address);
    if (to)
        return guard_copy(to, bytes, size) == 0;
    if (region->kind == SEGUE_WINDOW_FORCED)
        return forced_write(address, bytes, size);
    return region->device.write && region->device.write(region->place, address, bytes, size) == SEGUE_OK;
}

bool space_peek(void *to, uint64_t address, size_t size)
{
    const struct region *region;
    for (size_t done = 0; done < size;) {
        size_t part = space_part(address + done, size - done, &region);
        if (!read_part(region, (char *)to + done, address + done, part))
            return false;
        done += part;
    }
    return true;
}

bool space_poke(uint64_t address, const void *bytes, size_t size)
{
    const struct region *region;
    for (size_t done = 0; done < size;) {
        size_t part = space_part(address + done, size - done, &region);
        if (!write_part(region, address + done, (const char *)bytes + done, part))
            return false;
        done += part;
    }
    return true;
}

bool space_is_writable(uint64_t address, uint64_t size)
{
    const struct region *region;
    for (uint64_t done = 0; done < size;) {
        uint64_t part = space_part(address + done, size - done, &region);
        for (uint64_t at = 0; at < part; at += PAGE - (address + done + at) % PAGE) {
            void *to = plain(region, address + done + at);
            if (to && guard_probe_write(to) != 0)
                return false;
        }
        done += part;
    }
    return true;
}

SEGUE_HOT_POLICY bool space_has_region(uint64_t address, uint64_t size)
{
    const struct region *region;
    return space_part(address, size, &region) < size || region;
}
