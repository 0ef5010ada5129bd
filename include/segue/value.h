/* value.h: a value on its way: what an access read or wrote (<segue/emulate.h>), or an argument of a context's entry
 * (<segue/ctx.h>). The two share a name, and so one structure; which members count is said where it is used. */
#ifndef SEGUE_VALUE_H
#define SEGUE_VALUE_H

#include <segue/status.h>

SEGUE_BEGIN

/* Where an argument travels. */
enum segue_value_kind {
    /* In a general register: integers of 8 to 64 bits, pointers, sizes, booleans. */
    SEGUE_VALUE_INTEGER,
    /* In a vector register. */
    SEGUE_VALUE_FLOAT,
    SEGUE_VALUE_DOUBLE,
};

struct segue_value {
    __extension__ union {
        /* An argument. Made by the functions of <segue/ctx.h>. */
        __extension__ struct {
            enum segue_value_kind kind;
            /* An integer extended to 64 bits by its own signedness; or the bits of the float or double, above them
             * zero. */
            uint64_t bits;
        };
        /* What one access of a step read or wrote. It lives until the call returns. */
        __extension__ struct {
            /* The address that the program used, and how many bytes. */
            uint64_t address;
            uint32_t size;
            /* enum segue_direction bits. */
            uint8_t direction;
            uint8_t reserved8[3];
            /* The bytes before the access and after it, lowest address first. What was read is exactly `before`, what
             * was written exactly `after`; with SEGUE_READ alone both are the same. With SEGUE_WRITE alone `before` is
             * what was there right before the step; of a device that was not read, NULL. */
            const void *before;
            const void *after;
            uint64_t reserved[2];
        };
    };
};

SEGUE_END

#endif
