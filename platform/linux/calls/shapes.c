/* shapes.c: the walk along what a system call's pointers lead to.
 *
 * SOURCES: Linux asm-generic/ioctl.h; sendmsg(2). */
#if !defined(__linux__) || !defined(__x86_64__)
#error "shapes.c is specific to Linux on x86-64"
#endif

#include <segue/region.h>
#include <sys/syscall.h>

#include "decode/x86/page.h"
#include "gates.h"
#include "platform/calls/calls.h"
#include "platform/linux/calls/table/table.h"
#include "platform/threads/thread.h"

#define TEXT_MOST 4096u
/* The kernel refuses more (UIO_MAXIOV). */
#define VECTOR_MOST 1024u
/* The most texts that are followed. */
#define TEXTS_MOST 16384u
#define VECTOR_ELEMENT 16u

static calls_visitor *is_region;

/* The library's own code; and what it is linked with. */
extern const char __ehdr_start[] __attribute__((visibility("hidden")));
extern const char _etext[] __attribute__((visibility("hidden")));

static SEGUE_HOT_POLICY bool is_row(const struct system_call *call, const struct row *row)
{
    const uint32_t argument = (uint32_t)call->arguments[row->selector];
    if (row->mask || !row->value)
        return (argument & row->mask) == row->value;
    /* The library's own calls look at the addresses themselves. */
    if (call->instruction - (uint64_t)(uintptr_t)__ehdr_start < (uint64_t)(_etext - __ehdr_start))
        return false;
    if (row->value == ROW_OWN)
        return calls_is_own_process(argument);
    /* Few files are as long as an address; only for those that seem to be their descriptors are looked at. */
    return is_region(call->arguments[3], call->arguments[2]) && calls_is_own_memory(argument);
}

static SEGUE_HOT_POLICY const struct row *find_row(const struct system_call *call)
{
    for (const struct row *row = table_rows(call->number); row && row->number == call->number; row++)
        if (is_row(call, row))
            return row;
    return NULL;
}

SEGUE_HOT_POLICY bool calls_has_row(const struct system_call *call)
{
    return find_row(call);
}

static SEGUE_HOT_POLICY uint64_t limited(uint64_t count, uint64_t size)
{
    uint64_t bytes;
    return __builtin_mul_overflow(count, size, &bytes) ? UINT64_MAX : bytes;
}

/* Texts are read by parts that are in one page each. */
#define TEXT_PART 64u

static SEGUE_HOT_POLICY uint64_t text_part(uint64_t address)
{
    return TEXT_PART - address % TEXT_PART;
}

/* The length of a text with its zero byte, as far as it can be read. */
static SEGUE_HOT_POLICY uint64_t text_length(uint64_t address, calls_peek *peek)
{
    char bytes[TEXT_PART];
    for (uint64_t length = 0; length < TEXT_MOST;) {
        uint64_t part = text_part(address + length);
        if (!peek(bytes, address + length, part))
            return length;
        for (uint64_t i = 0; i < part; i++, length++)
            if (!bytes[i])
                return length + 1;
    }
    return TEXT_MOST;
}

/* How many pointers the array has before NULL, as far as it can be read. */
static SEGUE_HOT_POLICY uint64_t texts_count(uint64_t address, calls_peek *peek)
{
    uint64_t pointer, count = 0;
    while (count < TEXTS_MOST && peek(&pointer, address + count * sizeof pointer, sizeof pointer) && pointer)
        count++;
    return count;
}

/* The bytes at a pointer, those of the argument itself for a vector or a message. */
static SEGUE_HOT_POLICY uint64_t length_of(const struct system_call *call, const struct shape *shape, calls_peek *peek)
{
    uint64_t by = call->arguments[shape->by];
    uint32_t word = 0;
    switch (shape->length) {
    case LENGTH_TIMES:
        return limited(by, shape->size);
    case LENGTH_AT:
        return peek(&word, by, sizeof word) && (int32_t)word > 0 ? word : 0;
    case LENGTH_BITS:
        return (int32_t)by > 0 ? ((uint32_t)by + 63) / 64 * 8 : 0;
    case LENGTH_PAGES:
        return (by + PAGE - 1) / PAGE;
    case LENGTH_TEXT:
        return text_length(call->arguments[shape->argument], peek);
    case LENGTH_CODED:
        return by >> 16 & 0x3fff;
    case LENGTH_VECTOR:
        return by <= VECTOR_MOST ? by * VECTOR_ELEMENT : 0;
    default:
        return shape->size;
    }
}

struct vector {
    uint64_t base, size;
};

/* struct msghdr. */
struct message {
    uint64_t name;
    uint32_t name_size, padding;
    uint64_t vector, vector_count, control, control_size;
    uint32_t flags, padding_behind;
};

static SEGUE_HOT_POLICY bool read_message(const struct system_call *call, const struct shape *shape, calls_peek *peek,
                                          struct message *message)
{
    return peek(message, call->arguments[shape->argument], sizeof *message) && message->vector_count <= VECTOR_MOST;
}

static calls_peek *peek_program;

void calls_shapes_prepare(calls_peek *peek, calls_visitor *has_region)
{
    peek_program = peek;
    is_region = has_region;
    table_prepare();
}

#define EACH_SHAPE(shape, row)                                                                                         \
    (const struct shape *shape = (row)->shapes; shape < (row)->shapes + TABLE_SHAPES; shape++)

bool calls_is_known(const struct system_call *call, struct call_need *need)
{
    const struct row *row = find_row(call);
    struct message message;
    if (!row || !need)
        return row;
    *need = (struct call_need){0, 0};
    for
        EACH_SHAPE(shape, row)
        {
            if (!shape->direction || !call->arguments[shape->argument])
                continue;
            need->accesses++;
            switch (shape->length) {
            case LENGTH_MESSAGE:
                if (!read_message(call, shape, peek_program, &message))
                    break;
                need->accesses += 3 + message.vector_count;
                need->copies += sizeof(struct message) + message.vector_count * VECTOR_ELEMENT;
                break;
            case LENGTH_VECTOR:
                need->accesses += length_of(call, shape, peek_program) / VECTOR_ELEMENT;
                need->copies += length_of(call, shape, peek_program);
                break;
            case LENGTH_PAIR:
                need->accesses++;
                need->copies += 16 + MASK_SIZE;
                break;
            case LENGTH_MASK:
                need->copies += MASK_SIZE;
                break;
            case LENGTH_TEXTS: {
                uint64_t count = texts_count(call->arguments[shape->argument], peek_program);
                need->accesses += count;
                need->copies += (count + 1) * sizeof(uint64_t);
                break;
            }
            }
        }
    return true;
}

struct listing {
    struct call_access *accesses;
    size_t count;
    char *copies;
};

static struct call_access *add(struct listing *listing, uint64_t address, uint64_t size, const struct shape *shape,
                               uint64_t *pointer)
{
    struct call_access *access = &listing->accesses[listing->count++];
    *access = (struct call_access){
        .address = address, .size = size, .pointer = pointer, .direction = shape->direction, .unit = shape->unit};
    return access;
}

static void *take_copy(struct listing *listing, size_t size)
{
    void *copy = listing->copies;
    listing->copies += size;
    return copy;
}

/* A copy of `size` bytes in place of what the pointer leads to; NULL if they cannot be read: the kernel will find the
 * same. */
static void *add_copy(struct listing *listing, uint64_t *pointer, size_t size, bool is_written)
{
    void *copy = take_copy(listing, size);
    const struct shape shape = {.direction = is_written ? SEGUE_READ | SEGUE_WRITE : SEGUE_READ};
    if (!peek_program(copy, *pointer, size))
        return NULL;
    add(listing, *pointer, size, &shape, pointer)->is_copied = true;
    *pointer = (uint64_t)(uintptr_t)copy;
    return copy;
}

/* The elements; `room` is how many there is room for: the program may have changed their number. */
static void add_vector(struct listing *listing, uint64_t *pointer, uint64_t count, const struct shape *shape)
{
    struct vector *vector = count ? add_copy(listing, pointer, count * VECTOR_ELEMENT, false) : NULL;
    for (uint64_t i = 0; vector && i < count; i++)
        if (vector[i].size)
            add(listing, vector[i].base, vector[i].size, shape, &vector[i].base)->is_element = true;
}

static void add_message(struct listing *listing, uint64_t *pointer, const struct shape *shape, size_t vector_most)
{
    bool receives = shape->direction & SEGUE_WRITE;
    const struct shape whole = {.direction = shape->direction};
    struct message *message = add_copy(listing, pointer, sizeof *message, receives);
    if (!message)
        return;
    listing->accesses[listing->count - 1].is_message = receives;
    listing->accesses[listing->count - 1].bytes = message;
    if (message->name && message->name_size)
        add(listing, message->name, message->name_size, &whole, &message->name);
    if (message->control && message->control_size)
        add(listing, message->control, message->control_size, &whole, &message->control);
    if (message->vector_count <= vector_most)
        add_vector(listing, &message->vector, message->vector_count, shape);
}

void calls_give_message(const struct call_access *access, calls_poke *poke)
{
    const struct message *message = access->bytes;
    poke(access->address + offsetof(struct message, name_size), &message->name_size, sizeof message->name_size);
    poke(access->address + offsetof(struct message, control_size), &message->control_size,
         sizeof message->control_size);
    poke(access->address + offsetof(struct message, flags), &message->flags, sizeof message->flags);
}

static void open_mask(uint64_t *mask)
{
    if (mask)
        *mask &= ~SIGNAL_BIT(SIGSYS);
}

static void add_pair(struct listing *listing, uint64_t *pointer)
{
    uint64_t *pair = add_copy(listing, pointer, 16, false);
    if (pair && pair[0] && pair[1] == MASK_SIZE)
        open_mask(add_copy(listing, &pair[0], MASK_SIZE, false));
}

/* How many texts there is room for: the program may have changed their number. */
static uint64_t most_texts(const struct call_need *need, const struct listing *listing, const void *copies)
{
    size_t accesses = need->accesses - listing->count;
    size_t pointers = (need->copies - (size_t)(listing->copies - (const char *)copies)) / sizeof(uint64_t);
    size_t most = accesses < pointers ? accesses : pointers;
    return most ? most - 1 : 0;
}

static void add_texts(struct listing *listing, uint64_t *pointer, uint64_t most)
{
    static const struct shape shape = {.direction = SEGUE_READ};
    uint64_t count = texts_count(*pointer, peek_program);
    uint64_t *texts = count <= most ? add_copy(listing, pointer, (count + 1) * sizeof *texts, false) : NULL;
    for (uint64_t i = 0; texts && i < count; i++)
        add(listing, texts[i], text_length(texts[i], peek_program), &shape, &texts[i]);
}

size_t calls_list(const struct system_call *call, uint64_t *arguments, void *copies, const struct call_need *need,
                  struct call_access *accesses)
{
    const struct row *row = find_row(call);
    struct listing listing = {accesses, 0, copies};
    for (int i = 0; i < CALL_ARGUMENTS; i++)
        arguments[i] = call->arguments[i];
    for
        EACH_SHAPE(shape, row)
        {
            uint64_t *pointer = &arguments[shape->argument];
            if (!shape->direction || !*pointer)
                continue;
            switch (shape->length) {
            case LENGTH_MESSAGE:
                add_message(&listing, pointer, shape, need->accesses > 4 ? need->accesses - 4 : 0);
                break;
            case LENGTH_VECTOR:
                add_vector(&listing, pointer, length_of(call, shape, peek_program) / VECTOR_ELEMENT, shape);
                break;
            case LENGTH_PAIR:
                add_pair(&listing, pointer);
                break;
            case LENGTH_MASK:
                open_mask(add_copy(&listing, pointer, MASK_SIZE, false));
                break;
            case LENGTH_TEXTS:
                add_texts(&listing, pointer, most_texts(need, &listing, copies));
                break;
            default: {
                uint64_t size = length_of(call, shape, peek_program);
                if (size)
                    add(&listing, *pointer, size, shape, pointer);
            }
            }
        }
    return listing.count;
}

/* ---- without copies ---- */

static SEGUE_HOT_POLICY bool visit_vector(uint64_t address, uint64_t count, calls_peek *peek_at,
                                          bool (*visit)(uint64_t address, uint64_t size))
{
    struct vector element;
    if (!count || count > VECTOR_MOST)
        return false;
    if (visit(address, count * VECTOR_ELEMENT))
        return true;
    for (uint64_t i = 0; i < count; i++)
        if (peek_at(&element, address + i * VECTOR_ELEMENT, sizeof element) && element.size &&
            visit(element.base, element.size))
            return true;
    return false;
}

static SEGUE_HOT_POLICY bool visit_message(const struct system_call *call, const struct shape *shape,
                                           calls_peek *peek_at, bool (*visit)(uint64_t address, uint64_t size))
{
    struct message message;
    if (visit(call->arguments[shape->argument], sizeof message))
        return true;
    if (!read_message(call, shape, peek_at, &message))
        return false;
    return (message.name && message.name_size && visit(message.name, message.name_size)) ||
           (message.control && message.control_size && visit(message.control, message.control_size)) ||
           visit_vector(message.vector, message.vector_count, peek_at, visit);
}

/* A text is not read to its end unless something is near; then each part is seen before it is read. */
static SEGUE_HOT_POLICY bool visit_text(uint64_t address, calls_peek *peek_at,
                                        bool (*visit)(uint64_t address, uint64_t size))
{
    char bytes[TEXT_PART];
    if (!visit(address, TEXT_MOST))
        return false;
    for (uint64_t length = 0, part; length < TEXT_MOST; length += part) {
        part = text_part(address + length);
        if (visit(address + length, part))
            return true;
        if (!peek_at(bytes, address + length, part))
            return false;
        for (uint64_t i = 0; i < part; i++)
            if (!bytes[i])
                return false;
    }
    return false;
}

static SEGUE_HOT_POLICY bool visit_texts(uint64_t address, calls_peek *peek_at,
                                         bool (*visit)(uint64_t address, uint64_t size))
{
    uint64_t text;
    for (uint64_t i = 0; i < TEXTS_MOST; i++, address += sizeof text) {
        if (visit(address, sizeof text))
            return true;
        if (!peek_at(&text, address, sizeof text) || !text)
            return false;
        if (visit_text(text, peek_at, visit))
            return true;
    }
    return false;
}

static SEGUE_HOT_POLICY bool visit_pair(uint64_t address, calls_peek *peek_at,
                                        bool (*visit)(uint64_t address, uint64_t size))
{
    uint64_t pair[2];
    return visit(address, sizeof pair) || (peek_at(pair, address, sizeof pair) && pair[0] && visit(pair[0], MASK_SIZE));
}

SEGUE_HOT_POLICY bool calls_visit(const struct system_call *call, calls_peek *peek_at,
                                  bool (*visit)(uint64_t address, uint64_t size))
{
    const struct row *row = find_row(call);
    for
        EACH_SHAPE(shape, row)
        {
            uint64_t address = call->arguments[shape->argument];
            if (!shape->direction || !address)
                continue;
            uint64_t size;
            bool found;
            switch (shape->length) {
            case LENGTH_MESSAGE:
                found = visit_message(call, shape, peek_at, visit);
                break;
            case LENGTH_VECTOR:
                found = visit_vector(address, call->arguments[shape->by], peek_at, visit);
                break;
            case LENGTH_TEXT:
                found = visit_text(address, peek_at, visit);
                break;
            case LENGTH_TEXTS:
                found = visit_texts(address, peek_at, visit);
                break;
            case LENGTH_PAIR:
                found = visit_pair(address, peek_at, visit);
                break;
            case LENGTH_AT:
                if (visit(call->arguments[shape->by], sizeof(uint32_t)))
                    return true;
                __attribute__((fallthrough));
            default:
                size = length_of(call, shape, peek_at);
                found = size && visit(address, size);
            }
            if (found)
                return true;
        }
    return false;
}
