/* mappings.c: /proc/thread-self/maps, read a piece at a time, without libc; where the kernel answers questions about
 * one address (Linux 6.11), it is asked.
 *
 * SOURCES: proc(5): "start-end perms offset major:minor inode path", in the order of addresses. Through the thread's
 * entry: the process's own entry is invalid once its first thread has ended. Linux include/uapi/linux/fs.h and
 * fs/proc/task_mmu.c do_procmap_query: a name that is longer than its room is an error. */
#if !defined(__linux__)
#error "platform/linux/memory/mappings.c is specific to Linux"
#endif

#include "platform/memory/mappings.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "decode/x86/page.h"
#include "kept_file.h"
#include "platform/linux/call.h"

#define PIECE 256
/* The room for a name of the kernel's, in brackets. */
#define NAME 32

/* struct procmap_query and its PROCMAP_QUERY, which older headers do not have. */
struct query {
    uint64_t size, flags, address;
    /* The answer. */
    uint64_t start, end, access, page_size, offset, inode;
    uint32_t major, minor, name_size, build_id_size;
    uint64_t name, build_id;
};
#define QUERY _IOWR('f', 17, struct query)
_Static_assert(sizeof(struct query) == 104, "the size is part of the request's number");
/* Of `access`. */
#define QUERY_READABLE 1u
#define QUERY_WRITABLE 2u
#define QUERY_EXECUTABLE 4u
#define QUERY_SHARED 8u

/* The next character, or -1 at the end. */
static int next(struct mappings *mappings)
{
    if (mappings->at == mappings->held) {
        long got = system_call3(SYS_read, mappings->file, (long)mappings->piece, (long)mappings->size);
        if (got <= 0)
            return -1;
        mappings->held = (size_t)got;
        mappings->at = 0;
    }
    return (unsigned char)mappings->piece[mappings->at++];
}

static unsigned digit(int character)
{
    if (character >= '0' && character <= '9')
        return (unsigned)(character - '0');
    if (character >= 'a' && character <= 'f')
        return (unsigned)(character - 'a') + 10;
    return UINT32_MAX;
}

/* Reads a number and the character after it; false if that is not `end`. */
static bool read_number(struct mappings *mappings, unsigned base, int end, uint64_t *number)
{
    int character;
    *number = 0;
    while (digit(character = next(mappings)) < base)
        *number = *number * base + digit(character);
    return character == end;
}

/* Reads the rest of the line, the name with blanks before it. */
static bool read_name(struct mappings *mappings, enum mapping_growth *growth)
{
    static const char heap[] = "[heap]\n", stack[] = "[stack]\n";
    bool is_heap = true, is_stack = true;
    size_t length = 0;
    int character;
    do
        character = next(mappings);
    while (character == ' ');
    for (; character >= 0; length++) {
        is_heap = is_heap && length < sizeof heap - 1 && character == heap[length];
        is_stack = is_stack && length < sizeof stack - 1 && character == stack[length];
        if (character == '\n')
            break;
        if (length + 1 < mappings->name_size)
            mappings->name[length] = (char)character;
        character = next(mappings);
    }
    if (mappings->name_size)
        mappings->name[length < mappings->name_size ? length : 0] = 0;
    *growth = is_heap ? MAPPING_IS_HEAP : is_stack ? MAPPING_IS_STACK : MAPPING_KEEPS_ITS_SIZE;
    return character == '\n';
}

static uint64_t file_of(uint64_t inode, uint64_t major, uint64_t minor)
{
    return inode ? inode ^ major << 56 ^ minor << 44 : 0;
}

bool mappings_next(struct mappings *mappings, struct mapping *mapping)
{
    uint64_t major, minor;
    if (!read_number(mappings, 16, '-', &mapping->start) || !read_number(mappings, 16, ' ', &mapping->end))
        return false;
    mapping->protection = next(mappings) == 'r' ? PROT_READ : 0;
    mapping->protection |= next(mappings) == 'w' ? PROT_WRITE : 0;
    mapping->protection |= next(mappings) == 'x' ? PROT_EXEC : 0;
    mapping->is_shared = next(mappings) == 's';
    if (next(mappings) != ' ' || !read_number(mappings, 16, ' ', &mapping->offset) ||
        !read_number(mappings, 16, ':', &major) || !read_number(mappings, 16, ' ', &minor) ||
        !read_number(mappings, 10, ' ', &mapping->file))
        return false;
    mapping->file = file_of(mapping->file, major, minor);
    return read_name(mappings, &mapping->growth);
}

void mappings_begin(struct mappings *mappings, int file, char *piece, size_t size)
{
    *mappings = (struct mappings){.file = file, .piece = piece, .size = size};
}

bool mappings_open(struct mappings *mappings, char *piece, size_t size)
{
    long file = system_call4(SYS_openat, AT_FDCWD, (long)"/proc/thread-self/maps", O_RDONLY | O_CLOEXEC, 0);
    mappings_begin(mappings, (int)file, piece, size);
    return file >= 0;
}

void mappings_close(struct mappings *mappings)
{
    system_call3(SYS_close, mappings->file, 0, 0);
}

/* ---- one mapping ---- */

/* Room for the name of a mapping's file; of size 0 if no one asks for it. */
struct name {
    char *text;
    size_t size;
};

static enum mapping_growth find_growth(int file, struct query query)
{
    char name[NAME] = {0};
    query.name = (uint64_t)(uintptr_t)name;
    query.name_size = sizeof name;
    if (query.inode || system_call3(SYS_ioctl, file, (long)QUERY, (long)&query) != 0 || !query.name_size)
        return MAPPING_KEEPS_ITS_SIZE;
    if (__builtin_memcmp(name, "[heap]", sizeof "[heap]") == 0)
        return MAPPING_IS_HEAP;
    return __builtin_memcmp(name, "[stack]", sizeof "[stack]") == 0 ? MAPPING_IS_STACK : MAPPING_KEEPS_ITS_SIZE;
}

/* Returns 0, or a negative error number: -ENOENT if nothing is mapped there, another one if the kernel does not answer.
 */
static long ask(int file, uint64_t address, struct mapping *mapping, struct name name)
{
    struct query query = {.size = sizeof query, .address = address};
    query.name = (uint64_t)(uintptr_t)name.text;
    query.name_size = (uint32_t)name.size;
    if (name.size)
        *name.text = 0;
    long result = system_call3(SYS_ioctl, file, (long)QUERY, (long)&query);
    if (result != 0)
        return result;
    *mapping = (struct mapping){
        .start = query.start,
        .end = query.end,
        .offset = query.offset,
        .file = file_of(query.inode, query.major, query.minor),
        .protection = (query.access & QUERY_READABLE ? PROT_READ : 0) |
                      (query.access & QUERY_WRITABLE ? PROT_WRITE : 0) |
                      (query.access & QUERY_EXECUTABLE ? PROT_EXEC : 0),
        .is_shared = query.access & QUERY_SHARED,
        .growth = find_growth(file, query),
    };
    return 0;
}

static bool search(struct mappings *mappings, uint64_t address, struct mapping *mapping)
{
    bool found = false;
    while (!found && mappings_next(mappings, mapping) && mapping->start <= address)
        found = address < mapping->end;
    return found;
}

/* ---- the list that stays open ---- */

/* Its word (kept_file.h), on a page that reads as zero in a child: a list is that of one process's memory. */
static uint64_t *kept;
/* The last word, of this process or of an ancestor. */
static uint64_t last_kept;
/* A program that closes all descriptors does so a few times; a process that shares memory and not descriptors finds
 * another file at the number each time. */
#define KEPT_MOST 16u
static unsigned times_kept;

void mappings_keep_open(void)
{
    uint64_t *none = NULL;
    if (__atomic_load_n(&kept, __ATOMIC_ACQUIRE))
        return;
    long page = system_call6(CALL_MAP, 0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (system_call_failed(page))
        return;
    if (system_call3(SYS_madvise, page, PAGE, MADV_WIPEONFORK) != 0 ||
        !__atomic_compare_exchange_n(&kept, &none, (uint64_t *)page, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        system_call3(SYS_munmap, page, PAGE, 0);
}

void mappings_leave_parent(void)
{
    uint64_t *present = __atomic_load_n(&kept, __ATOMIC_ACQUIRE), word = __atomic_load_n(&last_kept, __ATOMIC_ACQUIRE);
    if (!word || __atomic_load_n(present, __ATOMIC_ACQUIRE) ||
        !__atomic_compare_exchange_n(&last_kept, &word, 0, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
        return;
    if (kept_file_word(kept_file_of(word)) == word)
        kept_file_close(kept_file_of(word));
}

/* Keeps the file open, which answers questions, in place of the word `stale`. */
static void keep(int file, uint64_t stale)
{
    mappings_leave_parent();
    if (__atomic_load_n(&times_kept, __ATOMIC_RELAXED) == KEPT_MOST)
        return;
    int high = kept_file_lift(file);
    uint64_t word = kept_file_word(high);
    if (word && __atomic_compare_exchange_n(kept, &stale, word, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        __atomic_store_n(&last_kept, word, __ATOMIC_RELEASE);
        __atomic_fetch_add(&times_kept, 1, __ATOMIC_RELAXED);
    } else if (high >= 0) {
        kept_file_close(high);
    }
}

static bool is_answer(long asked)
{
    return asked == 0 || asked == -ENOENT;
}

static bool find(uint64_t address, struct mapping *mapping, struct name name)
{
    char piece[PIECE];
    struct mappings mappings;
    uint64_t *present = __atomic_load_n(&kept, __ATOMIC_ACQUIRE);
    uint64_t word = present ? __atomic_load_n(present, __ATOMIC_ACQUIRE) : 0;
    if (word && kept_file_word(kept_file_of(word)) == word) {
        long asked = ask(kept_file_of(word), address, mapping, name);
        if (is_answer(asked))
            return asked == 0;
    }
    if (!mappings_open(&mappings, piece, sizeof piece))
        return false;
    mappings.name = name.text;
    mappings.name_size = name.size;
    long asked = ask(mappings.file, address, mapping, name);
    bool found = asked == 0 || (asked != -ENOENT && search(&mappings, address, mapping));
    if (present && is_answer(asked))
        keep(mappings.file, word);
    mappings_close(&mappings);
    return found;
}

bool mappings_find(uint64_t address, struct mapping *mapping)
{
    return find(address, mapping, (struct name){NULL, 0});
}

bool mappings_find_named(uint64_t address, struct mapping *mapping, char *name, size_t size)
{
    return find(address, mapping, (struct name){name, size});
}

/* ---- files ---- */

uint64_t mappings_stat_of(int descriptor)
{
    struct stat64 status = {0};
    if (system_call3(CALL_FSTAT, descriptor, (long)&status, 0) != 0)
        return 0;
    return file_of(status.st_ino, major(status.st_dev), minor(status.st_dev));
}

uint64_t mappings_stat_at(const char *path)
{
    long descriptor = system_call4(SYS_openat, AT_FDCWD, (long)path, O_PATH | O_CLOEXEC, 0);
    if (descriptor < 0)
        return 0;
    uint64_t file = mappings_stat_of((int)descriptor);
    system_call3(SYS_close, descriptor, 0, 0);
    return file;
}

/* 0 if no page of it can be mapped. */
static uint64_t file_in_list(int descriptor)
{
    struct mapping mapping;
    const long page = system_call6(CALL_MAP, 0, PAGE, PROT_NONE, MAP_PRIVATE, descriptor, 0);
    if (system_call_failed(page))
        return 0;
    const bool is_found = mappings_find((uint64_t)page, &mapping);
    system_call3(SYS_munmap, page, PAGE, 0);
    return is_found ? mapping.file : 0;
}

/* The list may say that a file is on another device than fstat does (Btrfs, overlayfs before Linux 6.8), or has another
 * number (a disk): it is asked about a page. */
uint64_t mappings_file_of(int descriptor)
{
    const uint64_t listed = file_in_list(descriptor);
    return listed ? listed : mappings_stat_of(descriptor);
}

/* Another device may do something when it is opened. */
static bool can_be_opened(int descriptor)
{
    struct stat64 status = {0};
    return system_call3(CALL_FSTAT, descriptor, (long)&status, 0) == 0 &&
           (S_ISREG(status.st_mode) || S_ISBLK(status.st_mode));
}

uint64_t mappings_file_at(const char *path)
{
    long descriptor = system_call4(SYS_openat, AT_FDCWD, (long)path, O_PATH | O_CLOEXEC, 0);
    if (descriptor < 0)
        return 0;
    long opened = -1;
    if (can_be_opened((int)descriptor))
        opened = system_call4(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0);
    uint64_t file = mappings_file_of((int)(opened >= 0 ? opened : descriptor));
    system_call3(SYS_close, descriptor, 0, 0);
    if (opened >= 0)
        system_call3(SYS_close, opened, 0, 0);
    return file;
}
