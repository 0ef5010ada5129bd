/* table.c: see table.h.
 *
 * SOURCES: the manual pages of section 2; Linux include/linux/syscalls.h. */
#if !defined(__linux__) || !defined(__x86_64__)
#error "table.c is specific to Linux on x86-64"
#endif

#include "table.h"

#include <segue/region.h>

#include "platform/calls/calls.h"

#define NAME_SIZE 28

#define ALWAYS 0, 0, ROW_ALWAYS
#define WHEN(argument, mask, value) argument, mask, value
#define OWN(argument) argument, 0, ROW_OWN
#define MEMORY 0, 0, ROW_MEMORY
#define BYTES(size) LENGTH_BYTES, 0, size
#define TIMES(argument, size) LENGTH_TIMES, argument, size
#define AT(argument) LENGTH_AT, argument, 0
#define BITS(argument) LENGTH_BITS, argument, 0
#define PAGES(argument) LENGTH_PAGES, argument, 0
#define TEXT LENGTH_TEXT, 0, 0
#define TEXTS LENGTH_TEXTS, 0, 0
#define CODED LENGTH_CODED, 1, 0
#define MASK LENGTH_MASK, 0, MASK_SIZE
#define PAIR LENGTH_PAIR, 0, 16
#define VECTOR(argument) LENGTH_VECTOR, argument, 0
#define MESSAGE LENGTH_MESSAGE, 0, 0
#define SHAPE(argument, direction, length, by, size, unit)                                                             \
    {                                                                                                                  \
        argument, direction, length, by, unit, size                                                                    \
    }
#define IN(argument, length, unit) SHAPE(argument, SEGUE_READ, length, unit)
#define OUT(argument, length, unit) SHAPE(argument, SEGUE_WRITE, length, unit)
#define BOTH(argument, length, unit) SHAPE(argument, SEGUE_READ | SEGUE_WRITE, length, unit)

#define CALL(name, selector, ...) {SYS_##name, selector, {__VA_ARGS__}},
#define REFUSED(name, arguments)
#define MASKED(name, argument, form)
/* The last one ends them. */
static const struct row rows[] = {
#include "shapes.inc"
    {.number = TABLE_NUMBERS},
};
#undef CALL
#undef REFUSED

/* The pointers of calls that are not followed, a bit for each argument. */
#define CALL(name, selector, ...)
#define REFUSED(name, arguments) [SYS_##name] = arguments,
static const uint8_t refused[TABLE_NUMBERS] = {
#include "shapes.inc"
};
#undef REFUSED
#undef MASKED

/* Masks that are not in the rows; table_prepare adds the others. */
#define REFUSED(name, arguments)
#define MASKED(name, argument, form) [SYS_##name] = {argument, MASK_##form},
static struct mask_place masks[TABLE_NUMBERS] = {
#include "shapes.inc"
};
#undef CALL
#undef REFUSED
#undef MASKED

static const char names[TABLE_NUMBERS][NAME_SIZE] = {
#include "call_numbers.inc"
};

/* The first row of each number, plus 1; all of a number follow each other. */
static uint16_t first_rows[TABLE_NUMBERS];

const char *calls_name(uint64_t number)
{
    return number < TABLE_NUMBERS && *names[number] ? names[number] : NULL;
}

SEGUE_HOT_POLICY uint8_t calls_refused_pointers(uint64_t number)
{
    return number < TABLE_NUMBERS ? refused[number] : 0;
}

/* rt_sigprocmask's is served in another way. */
static void note_masks(const struct row *row)
{
    for (unsigned i = 0; i < TABLE_SHAPES && row->number != SYS_rt_sigprocmask; i++) {
        const struct shape *shape = &row->shapes[i];
        if (shape->length == LENGTH_MASK)
            masks[row->number] = (struct mask_place){shape->argument, MASK_PLAIN};
        else if (shape->length == LENGTH_PAIR)
            masks[row->number] = (struct mask_place){shape->argument, MASK_PAIR};
    }
}

void table_prepare(void)
{
    for (size_t i = sizeof rows / sizeof *rows - 1; i-- > 0;) {
        first_rows[rows[i].number] = (uint16_t)(i + 1);
        note_masks(&rows[i]);
    }
}

SEGUE_HOT_POLICY const struct row *table_rows(uint64_t number)
{
    const size_t first = number < TABLE_NUMBERS ? first_rows[number] : 0;
    return first ? &rows[first - 1] : NULL;
}

int table_path(uint64_t number)
{
    const struct row *row = table_rows(number);
    for (unsigned i = 0; row && i < TABLE_SHAPES; i++)
        if (row->shapes[i].length == LENGTH_TEXT)
            return row->shapes[i].argument;
    return -1;
}

SEGUE_HOT_POLICY struct mask_place table_mask(uint64_t number)
{
    return number < TABLE_NUMBERS ? masks[number] : (struct mask_place){0, MASK_NONE};
}
