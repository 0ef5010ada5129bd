/* value.h: values in words, and conditions on them. */
#ifndef SEGUE_TOOLS_WATCH_VALUE_H
#define SEGUE_TOOLS_WATCH_VALUE_H

#include "tools/watch/names/target.h"

#define VALUE_TEXT 160
/* The bytes of a value that a record has. */
#define VALUE_BYTES_MOST 32u

/* The value of so many bytes of a target, from that offset on. */
void value_print(char text[VALUE_TEXT], const struct target *target, uint64_t offset, uint64_t size,
                 const unsigned char *bytes);

enum operand { OPERAND_NUMBER, OPERAND_OLD, OPERAND_NEW };

struct condition {
    bool is_given;
    enum operand left, right;
    double left_number, right_number;
    /* "==", "!=", "<", "<=", ">" or ">=". */
    char operation[3];
};

/* False if it makes no sense. */
bool condition_read(const char *text, struct condition *condition);

/* Of values without a number (of other sizes than 1, 2, 4 and 8 bytes) only == and != hold. */
bool condition_holds(const struct condition *condition, const struct target *target, uint64_t size,
                     const unsigned char *before, const unsigned char *after);

#endif
