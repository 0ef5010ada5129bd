/* value.c: see value.h. */
#include "value.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

static uint64_t word_of(const unsigned char *bytes, uint64_t size)
{
    uint64_t word = 0;
    memcpy(&word, bytes, size <= sizeof word ? size : sizeof word);
    return word;
}

static bool is_number(uint64_t size)
{
    return size == 1 || size == 2 || size == 4 || size == 8;
}

static int64_t signed_of(const unsigned char *bytes, uint64_t size)
{
    unsigned unused = (unsigned)(64 - 8 * size);
    return (int64_t)(word_of(bytes, size) << unused) >> unused;
}

/* An access to a part of an element, or to several, is bytes. */
static enum value_kind kind_of(const struct target *target, uint64_t size)
{
    return is_number(size) && size == target->element ? target->kind : VALUE_BYTES;
}

static void print_bytes(char text[VALUE_TEXT], uint64_t size, const unsigned char *bytes)
{
    size_t length = 0;
    if (is_number(size)) {
        text_hexadecimal(text, word_of(bytes, size));
        return;
    }
    text[0] = 0;
    for (uint64_t i = 0; i < size && i < VALUE_BYTES_MOST; i++)
        length += (size_t)snprintf(text + length, VALUE_TEXT - length, "%s%02x", i ? " " : "", bytes[i]);
    if (size > VALUE_BYTES_MOST)
        snprintf(text + length, VALUE_TEXT - length, " ...");
}

static void print_character(char text[VALUE_TEXT], unsigned char byte)
{
    if (isprint(byte) && byte < 0x80)
        snprintf(text, VALUE_TEXT, "%d '%c'", (signed char)byte, byte);
    else
        snprintf(text, VALUE_TEXT, "%d", (signed char)byte);
}

void value_print(char text[VALUE_TEXT], const struct target *target, uint64_t offset, uint64_t size,
                 const unsigned char *bytes)
{
    (void)offset;
    switch (kind_of(target, size)) {
    case VALUE_SIGNED:
        text_signed(text, signed_of(bytes, size));
        break;
    case VALUE_UNSIGNED:
        text_unsigned(text, word_of(bytes, size));
        break;
    case VALUE_FLOAT: {
        float single;
        double number = 0;
        memcpy(&single, bytes, sizeof single);
        if (size == sizeof number)
            memcpy(&number, bytes, sizeof number);
        snprintf(text, VALUE_TEXT, "%.*g", size == sizeof number ? 17 : 9,
                 size == sizeof number ? number : (double)single);
        break;
    }
    case VALUE_BOOLEAN:
        snprintf(text, VALUE_TEXT, "%s",
                 word_of(bytes, size) == 0   ? "false"
                 : word_of(bytes, size) == 1 ? "true"
                                             : "neither true nor false");
        break;
    case VALUE_CHARACTER:
        print_character(text, bytes[0]);
        break;
    default:
        print_bytes(text, size, bytes);
    }
}

/* ---- conditions ---- */

static bool read_operand(const char **text, enum operand *operand, double *number)
{
    char *end;
    while (isspace((unsigned char)**text))
        ++*text;
    if (strncmp(*text, "new", 3) == 0 || strncmp(*text, "old", 3) == 0) {
        *operand = **text == 'n' ? OPERAND_NEW : OPERAND_OLD;
        *text += 3;
        return true;
    }
    *operand = OPERAND_NUMBER;
    if (!isdigit((unsigned char)**text) && **text != '-' && **text != '.')
        return false;
    bool is_hexadecimal = strncmp(*text, "0x", 2) == 0;
    *number = is_hexadecimal ? (double)strtoull(*text, &end, 16) : strtod(*text, &end);
    bool is = end != *text;
    *text = end;
    return is;
}

bool condition_read(const char *text, struct condition *condition)
{
    static const char *const operations[] = {"==", "!=", "<=", ">=", "<", ">"};
    *condition = (struct condition){.is_given = true};
    if (!read_operand(&text, &condition->left, &condition->left_number))
        return false;
    while (isspace((unsigned char)*text))
        text++;
    for (size_t i = 0; i < sizeof operations / sizeof *operations && !*condition->operation; i++)
        if (strncmp(text, operations[i], strlen(operations[i])) == 0)
            strcpy(condition->operation, operations[i]);
    text += strlen(condition->operation);
    if (!*condition->operation || !read_operand(&text, &condition->right, &condition->right_number))
        return false;
    while (isspace((unsigned char)*text))
        text++;
    return *text == 0;
}

static double number_of(const struct target *target, uint64_t size, const unsigned char *bytes)
{
    enum value_kind kind = kind_of(target, size);
    float single;
    double number;
    if (kind == VALUE_SIGNED || kind == VALUE_CHARACTER)
        return (double)signed_of(bytes, size);
    if (kind == VALUE_FLOAT && size == sizeof number) {
        memcpy(&number, bytes, sizeof number);
        return number;
    }
    if (kind == VALUE_FLOAT) {
        memcpy(&single, bytes, sizeof single);
        return (double)single;
    }
    return (double)word_of(bytes, size);
}

static int compare(const struct condition *condition, const struct target *target, uint64_t size,
                   const unsigned char *before, const unsigned char *after)
{
    /* Words that a floating-point number does not hold exactly. */
    if (condition->left != OPERAND_NUMBER && condition->right != OPERAND_NUMBER &&
        memcmp(before, after, size < VALUE_BYTES_MOST ? size : VALUE_BYTES_MOST) == 0)
        return 0;
    double left = condition->left_number, right = condition->right_number;
    if (condition->left != OPERAND_NUMBER)
        left = number_of(target, size, condition->left == OPERAND_NEW ? after : before);
    if (condition->right != OPERAND_NUMBER)
        right = number_of(target, size, condition->right == OPERAND_NEW ? after : before);
    return left < right ? -1 : left > right;
}

bool condition_holds(const struct condition *condition, const struct target *target, uint64_t size,
                     const unsigned char *before, const unsigned char *after)
{
    const char *operation = condition->operation;
    if (!condition->is_given)
        return true;
    int order = compare(condition, target, size, before, after);
    bool is_equal = order == 0 && !(is_number(size) == false &&
                                    (condition->left == OPERAND_NUMBER || condition->right == OPERAND_NUMBER));
    if (strcmp(operation, "==") == 0)
        return is_equal;
    if (strcmp(operation, "!=") == 0)
        return !is_equal;
    if (!is_number(size))
        return false;
    if (operation[0] == '<')
        return order < 0 || (operation[1] && is_equal);
    return order > 0 || (operation[1] && is_equal);
}
