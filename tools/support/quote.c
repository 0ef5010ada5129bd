/* quote.c: SOURCES: RFC 3629 (what UTF-8 is not), bash(1) QUOTING ($'...'), Unicode 15 23.1 (C1 controls). */
#include "quote.h"

size_t utf8_size(const unsigned char *at)
{
    static const struct {
        unsigned char first, last, second_first, second_last, size;
    } forms[] = {
        {0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if (at[0] < forms[i].first || at[0] > forms[i].last)
            continue;
        if (forms[i].size > 1 && (at[1] < forms[i].second_first || at[1] > forms[i].second_last))
            return 0;
        for (size_t more = 2; more < forms[i].size; more++)
            if ((at[more] & 0xc0) != 0x80)
                return 0;
        return forms[i].size;
    }
    return 0;
}

/* The size of a character that can be printed; 0 for a control character and for bytes that are not UTF-8. */
static size_t printable_size(const unsigned char *at)
{
    bool is_control = *at < 0x20 || *at == 0x7f || (*at == 0xc2 && at[1] < 0xa0);
    return is_control ? 0 : utf8_size(at);
}

bool quote_is_needed(const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    if (at[0] == QUOTE_BEGIN[0] && at[1] == QUOTE_BEGIN[1])
        return true;
    for (size_t size; *at; at += size)
        if ((size = printable_size(at)) == 0)
            return true;
    return false;
}

size_t quote_next(const char **text, char piece[QUOTE_PIECE])
{
    static const char named[] = "\n\t\r\\'", letters[] = "ntr\\'", digits[] = "0123456789abcdef";
    const unsigned char *at = (const unsigned char *)*text;
    size_t size = printable_size(at);
    piece[0] = '\\';
    for (size_t i = 0; named[i]; i++)
        if (*at == (unsigned char)named[i]) {
            piece[1] = letters[i];
            *text += 1;
            return 2;
        }
    if (size == 0) {
        piece[1] = 'x';
        piece[2] = digits[*at >> 4];
        piece[3] = digits[*at & 15];
        *text += 1;
        return 4;
    }
    for (size_t i = 0; i < size; i++)
        piece[i] = (char)at[i];
    *text += size;
    return size;
}
