/* writer.c: see writer.h.
 *
 * A write through the kernel takes 1.2 us, whether of one byte or of 4,096 (docs/patch.md). There is no system call
 * that writes several places past their protection: process_vm_writev respects it, and pwritev writes one place. So
 * bytes of sites that touch are written at once; with POKE_SPANS, so is all between the first and the last site of a
 * page.
 *
 * Bytes between sites are rewritten with the values that were read immediately before. A thread that executes them
 * meanwhile sees no difference: a processor fetches each byte as it was before or after, and both are the same. Another
 * writer's byte may come between the reading and the writing, and is lost. poke_byte looks at writer_spans, and writes
 * again; the program's own stores and a debugger's do not, so it is the caller who allows spans. */
#include "writer.h"

#include "aliases.h"
#include "decode/x86/compiler/shared_word.h"
#include "decode/x86/page.h"
#include "pages.h"
#include "platform/memory/forced.h"

/* Fewer writes than a span needs are made one by one. */
#define SPAN_LEAST 3u
/* Where reading takes no call. */
#define SPAN_LEAST_PEEKED 2u

/* Bytes of one site that are to be written. */
static struct piece {
    struct writer_site *site;
    uint8_t from, size;
} pieces[POKE_BATCH];
static size_t piece_count;

/* What forced_write_parts writes: each the bytes of sites that touch, from the piece `first` on. */
static struct forced_part parts[POKE_BATCH];
static uint16_t first[POKE_BATCH + 1];
static size_t part_count, part_end;
static uint8_t part_bytes[POKE_BATCH * POKE_BYTES];

/* A part of a page, as it was read. */
static uint8_t window[PAGE];
static uint64_t window_begin, window_end;

static unsigned ways;
static bool reads_ahead, is_alone;
static poke_peek *quick_peek;
static uint64_t spans;

uint64_t writer_spans(void)
{
    return __atomic_load_n(&spans, __ATOMIC_SEQ_CST);
}

void writer_span_end(void)
{
    __atomic_fetch_add(&spans, 1, __ATOMIC_SEQ_CST);
}

/* Not by memcpy, which may be what is changed; of loops of plain assignments compilers make memcpy. */
static void copy(uint8_t *to, const uint8_t *from, size_t size)
{
    for (size_t i = 0; i < size; i++)
        __atomic_store_n(to + i, from[i], __ATOMIC_RELAXED);
}

static void store(char *at, const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        __atomic_store_n(at + i, (char)bytes[i], __ATOMIC_RELEASE);
}

/* What is written by other ways is not in it. */
static void forget_window(void)
{
    window_begin = window_end = 0;
}

static void begin_span(void)
{
    __atomic_store_n(&spans, (spans + 1) | 1, __ATOMIC_SEQ_CST);
}

void writer_span_begin(void)
{
    forget_window();
    begin_span();
}

void writer_begin(size_t count, unsigned wanted, bool alone, poke_peek *peek)
{
    quick_peek = peek;
    ways = wanted;
    is_alone = alone;
    if (is_alone)
        forced_hold();
    reads_ahead = count > 1;
    piece_count = 0;
    forget_window();
}

void writer_end(void)
{
    if (is_alone)
        forced_let_go();
    pages_close();
}

/* ---- where bytes can be stored ---- */

static bool open_pages(struct writer_site *site)
{
    if (!pages_open(site->address, site->size))
        return false;
    site->view = (char *)(uintptr_t)site->address;
    return true;
}

static bool read(uint64_t address, uint8_t *bytes, size_t size)
{
    return (quick_peek && quick_peek(bytes, address, size) == size) || forced_read(address, bytes, size);
}

/* Reads on to the end of the page, for the sites that follow. */
static bool read_ahead(struct writer_site *site)
{
    uint64_t end = site->address + site->size;
    if (site->address < window_begin || end > window_end) {
        uint64_t page_end = ((end - 1) | (PAGE - 1)) + 1, size = page_end - site->address;
        if (!reads_ahead || size > sizeof window)
            return read(site->address, site->bytes, site->size);
        window_begin = site->address;
        window_end = read(site->address, window, size) ? page_end : window_begin;
        if (window_end == window_begin)
            return false;
    }
    copy(site->bytes, window + (site->address - window_begin), site->size);
    return true;
}

bool writer_find(struct writer_site *site)
{
    site->view = (ways & POKE_ALIAS) ? alias_of(site->address, site->size) : NULL;
    if (!site->view && (ways & POKE_KERNEL) && read_ahead(site))
        return true;
    if (!site->view && (!(ways & POKE_PROTECT) || !open_pages(site)))
        return false;
    copy(site->bytes, (const uint8_t *)site->view, site->size);
    return true;
}

/* ---- one site ---- */

bool writer_is_in_word(const struct writer_site *site)
{
    return site->address / 8 == (site->address + site->size - 1) / 8;
}

/* The other bytes of the word stay unchanged, even if another thread changes them meanwhile. */
bool writer_store_word(struct writer_site *site, const uint8_t *bytes)
{
    if (!site->view && (!(ways & POKE_PROTECT) || !open_pages(site)))
        return false;
    forget_window();
    uintptr_t shift = (uintptr_t)site->view % 8;
    shared_word *word = (shared_word *)(void *)(site->view - shift);
    uint64_t before = __atomic_load_n(word, __ATOMIC_RELAXED), after;
    do {
        after = before;
        copy((uint8_t *)&after + shift, bytes, site->size);
    } while (!__atomic_compare_exchange_n(word, &before, after, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
    copy(site->bytes, bytes, site->size);
    return true;
}

bool writer_force(struct writer_site *site, uint8_t byte)
{
    site->bytes[0] = byte;
    forget_window();
    if (!site->view && forced_write(site->address, &byte, 1))
        return true;
    if (!site->view && !open_pages(site))
        return false;
    store(site->view, &byte, 1);
    return true;
}

static bool write_piece(const struct piece *piece)
{
    struct writer_site *site = piece->site;
    const uint8_t *bytes = site->bytes + piece->from;
    if (!site->view && (ways & POKE_KERNEL) && forced_write(site->address + piece->from, bytes, piece->size))
        return true;
    if (!site->view && (!(ways & POKE_PROTECT) || !open_pages(site)))
        return false;
    store(site->view + piece->from, bytes, piece->size);
    return true;
}

/* ---- several ---- */

void writer_add(struct writer_site *site, size_t from, const uint8_t *bytes, size_t size)
{
    copy(site->bytes + from, bytes, size);
    pieces[piece_count++] = (struct piece){site, (uint8_t)from, (uint8_t)size};
}

static uint64_t begin_of(size_t piece)
{
    return pieces[piece].site->address + pieces[piece].from;
}

static uint64_t end_of(size_t piece)
{
    return begin_of(piece) + pieces[piece].size;
}

/* Whether one write through the kernel may reach from the piece `from` to that one: it lies in the page. */
static bool is_in_page_of(size_t from, size_t piece)
{
    return piece < piece_count && !pieces[piece].site->view && (end_of(piece) - 1) / PAGE == begin_of(from) / PAGE;
}

static bool touches_next(size_t piece)
{
    const struct writer_site *site = pieces[piece].site;
    return piece + 1 < piece_count && site->address + site->size == pieces[piece + 1].site->address;
}

/* The pieces from `from` on whose sites touch, in one page. */
static size_t run_end(size_t from)
{
    size_t end = from + 1;
    while (touches_next(end - 1) && is_in_page_of(from, end))
        end++;
    return end;
}

/* From the first piece's first byte to the last one's last, and all of the sites between. */
static void add_part(size_t from, size_t end)
{
    struct forced_part *part = &parts[part_count];
    uint8_t *bytes = part_bytes + part_end;
    uint64_t begin = begin_of(from);
    *part = (struct forced_part){begin, bytes, end_of(end - 1) - begin};
    for (size_t i = from; i < end; i++) {
        const struct writer_site *site = pieces[i].site;
        size_t skipped = i == from ? pieces[i].from : 0;
        size_t size = i == end - 1 ? pieces[i].from + pieces[i].size : site->size;
        copy(bytes + (site->address + skipped - begin), site->bytes + skipped, size - skipped);
    }
    part_end += part->size;
    first[part_count++] = (uint16_t)from;
    first[part_count] = (uint16_t)end;
}

/* Into the window. What it has is of a moment ago, and has changed only if another thread runs. */
static bool read_span(uint64_t begin, size_t size)
{
    if (is_alone && begin >= window_begin && begin + size <= window_end)
        return true;
    window_begin = begin;
    window_end = read(begin, window, size) ? begin + size : begin;
    return window_end > begin;
}

/* False if it could not be written, or takes no fewer calls. */
static bool write_span(size_t from, size_t *end)
{
    size_t to = from + 1, runs = 1;
    if (!is_in_page_of(from, from))
        return false;
    for (; is_in_page_of(from, to); to++)
        runs += !touches_next(to - 1);
    if (runs < (quick_peek ? SPAN_LEAST_PEEKED : SPAN_LEAST))
        return false;
    uint64_t begin = begin_of(from);
    size_t size = end_of(to - 1) - begin;
    begin_span();
    bool done = read_span(begin, size);
    uint8_t *bytes = window + (begin - window_begin);
    for (size_t i = from; done && i < to; i++)
        copy(bytes + (begin_of(i) - begin), pieces[i].site->bytes + pieces[i].from, pieces[i].size);
    done = done && forced_write(begin, bytes, size);
    writer_span_end();
    *end = done ? to : from;
    return done;
}

static void write_one_by_one(size_t from, size_t end, void (*failed)(struct writer_site *site))
{
    for (size_t i = from; i < end; i++)
        if (!write_piece(&pieces[i]))
            failed(pieces[i].site);
}

static void write_parts(void (*failed)(struct writer_site *site))
{
    for (size_t done = 0; done < part_count; done++) {
        done += forced_write_parts(parts + done, part_count - done);
        if (done < part_count)
            write_one_by_one(first[done], first[done + 1], failed);
    }
}

void writer_flush(void (*failed)(struct writer_site *site))
{
    part_count = part_end = 0;
    for (size_t i = 0, end; i < piece_count; i = end) {
        end = i + 1;
        if (piece_count == 1 || pieces[i].site->view || !(ways & POKE_KERNEL)) {
            write_one_by_one(i, end, failed);
        } else if (!(ways & POKE_SPANS) || !write_span(i, &end)) {
            end = run_end(i);
            add_part(i, end);
        }
    }
    write_parts(failed);
    if (piece_count)
        forget_window();
    piece_count = 0;
}
