/* patch_rooms.c: where bodies find room: within the windows, in few pages, and apart from what is mapped. Each case
 * runs in a child of its own, because rooms are the process's. */
#include "tests/support/in_child.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "patch/hot/space/chunks.h"
#include "patch/hot/space/free.h"
#include "patch/hot/space/rooms.h"
#include "platform/memory/mappings.h"
#include "platform/memory/memory.h"
#include "tests/support/random.h"

#define SIZE 280u

static uint64_t here(void)
{
    /* Volatile: a compiler that knew it would add distances of 2 GiB to a displacement of 32 bits. */
    const volatile uint64_t address = (uint64_t)(uintptr_t)&here;
    return address;
}

/* The window of a pun in `length` bytes at `address`, with these bytes behind it. */
static struct pun_window window_of(uint64_t address, unsigned length, uint32_t behind)
{
    uint8_t bytes[16] = {0};
    struct pun_window window;
    memcpy(bytes + length, &behind, sizeof behind);
    EXPECT(pun_window(address, bytes, length, 0, &window));
    return window;
}

static void fill(const struct room *room)
{
    memset(room->code, 0xc3, room->size);
    for (uint64_t i = 0; i < room->size; i++)
        EXPECT(((const uint8_t *)(uintptr_t)room->address)[i] == 0xc3);
}

static void rooms_are_in_their_windows_and_apart(void)
{
    static struct room rooms[3000];
    struct random random = random_for(1, 0);
    const char *refusal;
    unsigned count = 0;
    EXPECT(rooms_prepare() == SEGUE_OK);
    for (unsigned i = 0; i < 3000; i++) {
        unsigned length = 2 + random_below(&random, 5);
        uint64_t address = here() + random_below(&random, 0x100000);
        struct pun_window window = window_of(address, length, (uint32_t)random_next(&random));
        if (rooms_take(&window, 64 + random_below(&random, 400), ROOMS_ANYWHERE, &rooms[count], &refusal) != SEGUE_OK) {
            EXPECT(refusal);
            continue;
        }
        EXPECT(pun_has(&window, rooms[count].address));
        rooms_trim(&rooms[count], 32 + random_below(&random, (uint32_t)rooms[count].size - 32));
        for (unsigned k = 0; k < count; k++)
            EXPECT(rooms[count].address + rooms[count].size <= rooms[k].address ||
                   rooms[k].address + rooms[k].size <= rooms[count].address);
        fill(&rooms[count++]);
    }
    EXPECT(count > 1500);
}

/* 16 MiB windows, and any: the same bytes behind the instructions of one function. Below it, because a heap may be
 * above. */
static void neighbours_share_pages(void)
{
    static const uint32_t behind[] = {0xe8, 0x8b, 0xc0, 0x85};
    const char *refusal;
    EXPECT(rooms_prepare() == SEGUE_OK);
    for (unsigned i = 0; i < 1000; i++) {
        struct room room;
        struct pun_window window = window_of(here() + 5 * i, 4 + i % 2, behind[i / 2 % 4]);
        EXPECT(rooms_take(&window, SIZE, ROOMS_ANYWHERE, &room, &refusal) == SEGUE_OK);
    }
    EXPECT(chunks_used().memory < 1000 * SIZE + 8 * PAGE);
    EXPECT(chunks_used().mappings < 64);
}

static void a_page_is_full_before_the_next_is_taken(void)
{
    struct room room;
    const char *refusal = NULL;
    struct pun_window window = window_of(here(), 4, 0x48), other = window_of(here(), 4, 0x8b);
    EXPECT(rooms_prepare() == SEGUE_OK);
    EXPECT(rooms_take(&window, SIZE, ROOMS_IN_USE, &room, &refusal) == SEGUE_NO_MEMORY && refusal);
    EXPECT(rooms_take(&window, SIZE, ROOMS_BESIDE, &room, &refusal) == SEGUE_NO_MEMORY);
    EXPECT(rooms_take(&window, SIZE, ROOMS_ANYWHERE, &room, &refusal) == SEGUE_OK);
    EXPECT(chunks_used().memory == PAGE);
    /* The page has room for thirteen more, and then the one beside it is taken. */
    for (unsigned i = 0; i < PAGE / SIZE - 1; i++)
        EXPECT(rooms_take(&window, SIZE, ROOMS_IN_USE, &room, &refusal) == SEGUE_OK);
    EXPECT(rooms_take(&window, SIZE, ROOMS_IN_USE, &room, &refusal) == SEGUE_NO_MEMORY);
    EXPECT(chunks_used().memory == PAGE);
    EXPECT(rooms_take(&window, SIZE, ROOMS_BESIDE, &room, &refusal) == SEGUE_OK);
    EXPECT(chunks_used().memory == 2 * PAGE);
    EXPECT(rooms_take(&other, SIZE, ROOMS_BESIDE, &room, &refusal) == SEGUE_NO_MEMORY);
    /* What is given back is taken again. */
    uint64_t address = room.address;
    memset(room.code, 0xc3, room.size);
    rooms_give_back(&room);
    EXPECT(rooms_take(&window, SIZE, ROOMS_IN_USE, &room, &refusal) == SEGUE_OK && room.address == address);
    /* A page without a body is the system's again. */
    rooms_free(room.address, room.size);
    EXPECT(chunks_used().memory == PAGE);
    EXPECT(rooms_take(&window, SIZE, ROOMS_ANYWHERE, &room, &refusal) == SEGUE_OK);
    EXPECT(((const uint8_t *)(uintptr_t)room.address)[room.size - 1] == 0);
}

static void limits_are_kept(void)
{
    struct room room;
    const char *refusal = NULL;
    struct pun_window any = window_of(here(), 5, 0), fixed = window_of(here(), 4, 0x48);
    EXPECT(rooms_prepare() == SEGUE_OK);
    chunks_limit(2 * PAGE, UINT64_MAX);
    unsigned count = 0;
    while (rooms_take(&any, SIZE, ROOMS_ANYWHERE, &room, &refusal) == SEGUE_OK)
        EXPECT(++count < 40);
    EXPECT(count == 2 * PAGE / SIZE && strstr(refusal, "memory"));
    EXPECT(chunks_used().memory == 2 * PAGE);
    chunks_limit(UINT64_MAX, chunks_used().mappings);
    EXPECT(rooms_take(&any, SIZE, ROOMS_ANYWHERE, &room, &refusal) == SEGUE_OK);
    EXPECT(rooms_take(&fixed, SIZE, ROOMS_ANYWHERE, &room, &refusal) == SEGUE_NO_MEMORY && strstr(refusal, "mappings"));
    chunks_limit(UINT64_MAX, UINT64_MAX);
    EXPECT(rooms_take(&fixed, SIZE, ROOMS_ANYWHERE, &room, &refusal) == SEGUE_OK);
}

/* Code 16 GiB apart shares no piece of memory. */
static void there_are_so_many_chunks(void)
{
    /* Behind what AddressSanitizer maps for itself. */
    const uint64_t first = UINT64_C(32) << 40, apart = UINT64_C(16) << 30;
    struct room room;
    const char *refusal = NULL;
    EXPECT(rooms_prepare() == SEGUE_OK);
    for (unsigned i = 1; i <= CHUNKS; i++) {
        struct pun_window any = window_of(first + i * apart, 5, 0);
        EXPECT(rooms_take(&any, SIZE, ROOMS_ANYWHERE, &room, &refusal) == SEGUE_OK);
        EXPECT(chunks_used().chunks == i);
    }
    struct pun_window last = window_of(first + CHUNKS * apart, 5, 0);
    struct pun_window more = window_of(first + (CHUNKS + 1) * apart, 5, 0);
    EXPECT(rooms_take(&more, SIZE, ROOMS_ANYWHERE, &room, &refusal) == SEGUE_NO_MEMORY && strstr(refusal, "pieces"));
    EXPECT(rooms_take(&last, SIZE, ROOMS_ANYWHERE, &room, &refusal) == SEGUE_OK);
}

/* What is beyond the limit is lost, and nothing else. */
static void many_free_ranges_are_kept(void)
{
    const uint64_t most = UINT64_C(1) << 19, step = 64, size = 32;
    EXPECT(free_prepare());
    for (uint64_t i = 0; i < most + 3; i++)
        free_add(i * step, i * step + size);
    EXPECT(free_count() == most);
    EXPECT(free_ranges()[most - 1].start == (most - 1) * step);
    free_take(1, step, step + size);
    free_add(most * step, most * step + size);
    EXPECT(free_count() == most);
    EXPECT(free_ranges()[most - 1].start == most * step);
}

/* The window's addresses are the program's: it finds no room, and what is there stays. */
static void what_is_mapped_is_never_replaced(void)
{
    struct room room;
    const char *refusal = NULL;
    /* Below the program: the heap is above it, and may grow. */
    struct pun_window window = window_of(here(), 3, 0xe000);
    uint64_t first;
    EXPECT(rooms_prepare() == SEGUE_OK);
    EXPECT(pun_next(&window, 0, &first));
    uint64_t start = first & -(uint64_t)PAGE;
    uint8_t *taken = mmap((void *)(uintptr_t)start, 65536 + PAGE, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    EXPECT(taken == (void *)(uintptr_t)start);
    memset(taken, 0x5a, 65536 + PAGE);
    EXPECT(rooms_take(&window, SIZE, ROOMS_ANYWHERE, &room, &refusal) == SEGUE_NO_MEMORY && strstr(refusal, "address"));
    for (unsigned i = 0; i < 65536 + PAGE; i++)
        EXPECT(taken[i] == 0x5a);
    /* One page becomes free in its middle. */
    munmap(taken + 8 * PAGE, PAGE);
    /* The list of mappings is read at most every 16 ms. */
    usleep(20000);
    EXPECT(rooms_take(&window, SIZE, ROOMS_ANYWHERE, &room, &refusal) == SEGUE_OK);
    EXPECT(room.address - (start + 8 * PAGE) < PAGE);
    fill(&room);
}

static void no_page_is_written_and_executed(void)
{
    struct room room;
    struct mapping mapping;
    const char *refusal;
    struct pun_window any = window_of(here(), 5, 0);
    EXPECT(rooms_prepare() == SEGUE_OK);
    EXPECT(rooms_take(&any, SIZE, ROOMS_ANYWHERE, &room, &refusal) == SEGUE_OK);
    EXPECT(mappings_find(room.address, &mapping));
    EXPECT(mapping.protection == (PLATFORM_READ | PLATFORM_EXECUTE));
    EXPECT(mappings_find((uint64_t)(uintptr_t)room.code, &mapping));
    EXPECT(mapping.protection == (PLATFORM_READ | PLATFORM_WRITE));
    /* Far away: addresses that jumps reach are scarce. */
    uint64_t code = (uint64_t)(uintptr_t)room.code;
    EXPECT((code > room.address ? code - room.address : room.address - code) > UINT64_C(1) << 33);
}

/* --- Fork. --- */

static struct room kept;

static void child_takes_more(void)
{
    struct room room;
    const char *refusal;
    struct pun_window any = window_of(here(), 5, 0);
    /* It has the parent's code, and takes room beside it without the parent seeing that. */
    EXPECT(*(const uint8_t *)(uintptr_t)kept.address == 0xc3);
    EXPECT(rooms_take(&any, SIZE, ROOMS_IN_USE, &room, &refusal) == SEGUE_OK);
    EXPECT(chunk_find(room.address) == chunk_find(kept.address));
    memset(room.code, 0x90, room.size);
    EXPECT(*(const uint8_t *)(uintptr_t)room.address == 0x90);
    EXPECT(*(const uint8_t *)(uintptr_t)kept.address == 0xc3);
    EXPECT(((const uint8_t *)(uintptr_t)kept.address)[kept.size - 1] == 0xc3);
}

static void parent_and_child_go_on_apart(void)
{
    struct room room;
    const char *refusal;
    struct pun_window any = window_of(here(), 5, 0);
    int status;
    EXPECT(rooms_prepare() == SEGUE_OK);
    EXPECT(rooms_take(&any, SIZE, ROOMS_ANYWHERE, &kept, &refusal) == SEGUE_OK);
    memset(kept.code, 0xc3, kept.size);
    pid_t child = fork();
    if (child == 0) {
        child_takes_more();
        _exit(0);
    }
    EXPECT(waitpid(child, &status, 0) == child && status == 0);
    EXPECT(rooms_take(&any, SIZE, ROOMS_IN_USE, &room, &refusal) == SEGUE_OK);
    /* What the child wrote at the same address is not here. */
    EXPECT(((const uint8_t *)(uintptr_t)room.address)[room.size - 1] == 0);
}

/* Also a child of a bare system call, for which no hook of the library runs. */
static void child_keeps_what_its_parent_frees(void)
{
    struct room again;
    const char *refusal;
    struct pun_window any = window_of(here(), 5, 0);
    int status, ends[2];
    char byte;
    EXPECT(rooms_prepare() == SEGUE_OK && pipe(ends) == 0);
    EXPECT(rooms_take(&any, SIZE, ROOMS_ANYWHERE, &kept, &refusal) == SEGUE_OK);
    memset(kept.code, 0xc3, kept.size);
    pid_t child = (pid_t)syscall(SYS_fork);
    if (child == 0) {
        const uint8_t *code = (const uint8_t *)(uintptr_t)kept.address;
        bool done = read(ends[0], &byte, 1) == 1;
        for (uint64_t i = 0; i < kept.size; i++)
            done = done && code[i] == 0xc3;
        _exit(!done);
    }
    chunks_lend();
    rooms_free(kept.address, kept.size);
    EXPECT(rooms_take(&any, SIZE, ROOMS_ANYWHERE, &again, &refusal) == SEGUE_OK);
    EXPECT(again.address == kept.address);
    memset(again.code, 0x90, again.size);
    EXPECT(*(const uint8_t *)(uintptr_t)again.address == 0x90);
    EXPECT(write(ends[1], &byte, 1) == 1);
    EXPECT(waitpid(child, &status, 0) == child && status == 0);
}

static void data_are_within_reach_of_the_code(void)
{
    struct room rooms[64];
    struct random random = random_for(3, 0);
    const char *refusal;
    unsigned char *last = NULL;
    EXPECT(rooms_prepare() == SEGUE_OK);
    for (unsigned i = 0; i < 64; i++) {
        struct pun_window window = window_of(here(), 4, i * 4);
        void *memory;
        if (rooms_take(&window, SIZE, ROOMS_ANYWHERE, &rooms[i], &refusal) != SEGUE_OK)
            continue;
        uint64_t size = 1 + random_below(&random, 3000);
        EXPECT(rooms_take_data(rooms[i].address, size, &memory, &refusal) == SEGUE_OK);
        uint64_t first = (uint64_t)(uintptr_t)memory;
        EXPECT(first % 64 == 0 && memory != last);
        for (uint64_t at = first; at < first + size; at += size == 1 ? 1 : size - 1) {
            int64_t distance = (int64_t)(at - rooms[i].address);
            EXPECT(distance == (int32_t)distance && distance - 65536 == (int32_t)(distance - 65536));
            EXPECT(*(const uint8_t *)(uintptr_t)at == 0);
        }
        memset(memory, 1, size);
        last = memory;
    }
    EXPECT(last);
    void *memory;
    EXPECT(rooms_take_data(here(), ROOMS_DATA + 1, &memory, &refusal) == SEGUE_INVALID);
    EXPECT(rooms_take_data(here(), ROOMS_DATA, &memory, &refusal) == SEGUE_OK);
}

/* Whoever asks for data at the edge of what it has within reach gets other data, once. */
static void data_are_in_reach_as_their_callers_measure_it(void)
{
    const int64_t distances[] = {ROOMS_REACH - 1, ROOMS_REACH, ROOMS_REACH + 0x800000, -(int64_t)ROOMS_REACH};
    const char *refusal;
    void *near, *memory;
    EXPECT(rooms_prepare() == SEGUE_OK);
    EXPECT(rooms_take_data(here(), 64, &near, &refusal) == SEGUE_OK);
    EXPECT(rooms_reach(near, here()));
    for (unsigned i = 0; i < sizeof distances / sizeof *distances; i++) {
        uint64_t at = (uint64_t)(uintptr_t)near - (uint64_t)distances[i];
        EXPECT(rooms_reach(near, at) == (i == 0));
        EXPECT(rooms_take_data(at, 64, &memory, &refusal) == SEGUE_OK);
        EXPECT(rooms_reach(memory, at));
    }
}

static bool is_near(uint64_t code, uint64_t at, uint64_t size)
{
    return at < code + (UINT64_C(2) << 30) && code - (UINT64_C(2) << 30) < at + size;
}

/* Of the program's code or of a library's, which are apart. */
static bool is_within_jumps_reach(uint64_t at, uint64_t size)
{
    return is_near(here(), at, size) || is_near((uint64_t)(uintptr_t)&getpid, at, size);
}

/* Large tables, a mapping for a region, and the views through which chunks are written: every window needs the
 * addresses. */
static void addresses_near_code_are_left_to_jumps(void)
{
    const uint64_t size = UINT64_C(64) << 20;
    for (unsigned i = 0; i < 4; i++) {
        struct platform_views views;
        uint64_t at = (uint64_t)(uintptr_t)platform_map_apart(size + i);
        EXPECT(at && !is_within_jumps_reach(at, size));
        EXPECT(platform_views_create(0, size, PLATFORM_READ | PLATFORM_WRITE, PLATFORM_BACKING_ANONYMOUS, &views) == 0);
        EXPECT(!is_within_jumps_reach(views.first, size) && !is_within_jumps_reach(views.second, size));
    }
    EXPECT(rooms_prepare() == SEGUE_OK);
    for (unsigned i = 0; i < 128; i++) {
        struct pun_window window = window_of(here(), 4, i << 1);
        struct room room;
        const char *refusal;
        if (rooms_take(&window, SIZE, ROOMS_ANYWHERE, &room, &refusal) == SEGUE_OK)
            EXPECT(!is_within_jumps_reach((uint64_t)(uintptr_t)room.code, SIZE));
    }
    EXPECT(chunks_used().chunks > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_CHILD(rooms_are_in_their_windows_and_apart),
        IN_CHILD(neighbours_share_pages),
        IN_CHILD(a_page_is_full_before_the_next_is_taken),
        IN_CHILD(limits_are_kept),
        IN_CHILD(there_are_so_many_chunks),
        IN_CHILD(many_free_ranges_are_kept),
        IN_CHILD(what_is_mapped_is_never_replaced),
        IN_CHILD(no_page_is_written_and_executed),
        IN_CHILD(parent_and_child_go_on_apart),
        IN_CHILD(child_keeps_what_its_parent_frees),
        IN_CHILD(data_are_within_reach_of_the_code),
        IN_CHILD(data_are_in_reach_as_their_callers_measure_it),
        IN_CHILD(addresses_near_code_are_left_to_jumps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
