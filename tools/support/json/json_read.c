/* json_read.c: JSON read token by token.
 *
 * The command also has jansson, which makes a tree of the whole input: a list of a few million sites would take
 * gigabytes of memory. It reads no stream of tokens, and so serves tests/tools/json_read.c as the reference for this
 * file instead.
 *
 * SOURCES: RFC 8259, all of it but what its section 9 leaves open: objects and arrays nest to JSON_DEPTH_MOST, numbers
 * that are no 64-bit integers are passed over, and an escape must name a character (no half of a surrogate pair). */
#include "json_read.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tools/support/quote.h"

static enum json_token say(struct json_reader *json, const char *wrong)
{
    if (!json->wrong)
        json->wrong = ferror(json->from) ? "it cannot be read" : wrong;
    return JSON_WRONG;
}

static int next_byte(struct json_reader *json)
{
    int byte = getc(json->from);
    json->line += byte == '\n';
    return byte;
}

static int skip_blanks(struct json_reader *json)
{
    int byte;
    do
        byte = next_byte(json);
    while (byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r');
    return byte;
}

/* --- Texts. --- */

static void add_to_text(struct json_reader *json, size_t *length, unsigned byte)
{
    if (*length < JSON_TEXT_SIZE - 1)
        json->text[(*length)++] = (char)byte;
}

static void add_character(struct json_reader *json, size_t *length, unsigned code)
{
    if (code < 0x80 && code != 0) {
        add_to_text(json, length, code);
    } else if (code < 0x800) {
        /* Zero as two bytes that are no UTF-8: the text goes on, and equals no other. */
        add_to_text(json, length, 0xc0 | code >> 6);
        add_to_text(json, length, 0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
        add_to_text(json, length, 0xe0 | code >> 12);
        add_to_text(json, length, 0x80 | (code >> 6 & 0x3f));
        add_to_text(json, length, 0x80 | (code & 0x3f));
    } else {
        add_to_text(json, length, 0xf0 | code >> 18);
        add_to_text(json, length, 0x80 | (code >> 12 & 0x3f));
        add_to_text(json, length, 0x80 | (code >> 6 & 0x3f));
        add_to_text(json, length, 0x80 | (code & 0x3f));
    }
}

static bool read_four_digits(struct json_reader *json, unsigned *code)
{
    *code = 0;
    for (unsigned i = 0; i < 4; i++) {
        int byte = next_byte(json);
        if (byte >= '0' && byte <= '9')
            byte -= '0';
        else if ((byte >= 'a' && byte <= 'f') || (byte >= 'A' && byte <= 'F'))
            byte = (byte | 0x20) - 'a' + 10;
        else
            return false;
        *code = *code * 16 + (unsigned)byte;
    }
    return true;
}

/* Behind a backslash. */
static bool read_escape(struct json_reader *json, size_t *length)
{
    static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    int byte = next_byte(json);
    const char *letter = byte > 0 ? strchr(letters, byte) : NULL;
    if (letter) {
        add_to_text(json, length, (unsigned char)meanings[letter - letters]);
        return true;
    }
    unsigned code, low;
    if (byte != 'u' || !read_four_digits(json, &code) || (code >= 0xdc00 && code <= 0xdfff))
        return false;
    if (code >= 0xd800 && code <= 0xdbff) {
        if (next_byte(json) != '\\' || next_byte(json) != 'u' || !read_four_digits(json, &low) || low < 0xdc00 ||
            low > 0xdfff)
            return false;
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    add_character(json, length, code);
    return true;
}

/* A character of more than one byte, of which the first was read. */
static bool read_character(struct json_reader *json, size_t *length, int first)
{
    unsigned char bytes[5] = {(unsigned char)first};
    size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    for (size_t i = 1; i < size; i++) {
        int byte = next_byte(json);
        if ((byte & 0xc0) != 0x80 || byte == EOF)
            return false;
        bytes[i] = (unsigned char)byte;
    }
    for (size_t i = 0; i < size; i++)
        add_to_text(json, length, bytes[i]);
    return utf8_size(bytes) == size;
}

static enum json_token read_text(struct json_reader *json, enum json_token token)
{
    size_t length = 0;
    int byte;
    while ((byte = next_byte(json)) != '"') {
        if (byte == EOF)
            return say(json, "a text does not end");
        if (byte < 0x20)
            return say(json, "a text holds a control character that is not escaped");
        if (byte == '\\' && !read_escape(json, &length))
            return say(json, "a text has an unknown escape");
        if (byte >= 0x80 && !read_character(json, &length, byte))
            return say(json, "a text is no UTF-8");
        if (byte < 0x80 && byte != '\\')
            add_to_text(json, &length, (unsigned)byte);
    }
    json->text[length] = 0;
    return token;
}

/* --- Numbers and words. What follows them is the next token's. --- */

static void put_back(struct json_reader *json, int byte)
{
    if (byte == EOF)
        return;
    json->line -= byte == '\n';
    ungetc(byte, json->from);
}

/* Takes digits from *byte on, which becomes the byte behind them. False without a digit. */
static bool read_digits(struct json_reader *json, size_t *length, int *byte)
{
    bool has_some = false;
    for (; *byte >= '0' && *byte <= '9'; *byte = next_byte(json)) {
        add_to_text(json, length, (unsigned)*byte);
        has_some = true;
    }
    return has_some;
}

static enum json_token read_number(struct json_reader *json, int byte)
{
    size_t length = 0;
    json->is_integer = true;
    if (byte == '-') {
        add_to_text(json, &length, '-');
        byte = next_byte(json);
    }
    size_t sign = length;
    if (!read_digits(json, &length, &byte))
        return say(json, "a number has no digits");
    if (length > sign + 1 && json->text[sign] == '0')
        return say(json, "a number begins with a zero too many");
    json->text[length] = 0;
    if (byte == '.') {
        json->is_integer = false;
        byte = next_byte(json);
        if (!read_digits(json, &length, &byte))
            return say(json, "a number has no digits behind its point");
    }
    if (byte == 'e' || byte == 'E') {
        json->is_integer = false;
        byte = next_byte(json);
        if (byte == '+' || byte == '-')
            byte = next_byte(json);
        if (!read_digits(json, &length, &byte))
            return say(json, "a number has no digits in its exponent");
    }
    put_back(json, byte);
    errno = 0;
    json->number = strtoll(json->text, NULL, 10);
    json->is_integer &= errno == 0;
    return JSON_NUMBER;
}

static enum json_token read_word(struct json_reader *json, int byte)
{
    static const char *const words[] = {"true", "false", "null"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (byte != words[i][0])
            continue;
        const char *letter = words[i];
        while (*letter && byte == *letter) {
            letter++;
            byte = next_byte(json);
        }
        put_back(json, byte);
        strcpy(json->text, words[i]);
        return *letter ? say(json, "a value is missing") : JSON_WORD;
    }
    return say(json, "a value is missing");
}

static enum json_token read_value(struct json_reader *json, int byte)
{
    return byte == '-' || (byte >= '0' && byte <= '9') ? read_number(json, byte) : read_word(json, byte);
}

/* --- What comes after what. --- */

static enum json_token open_one(struct json_reader *json, int byte)
{
    if (json->depth == JSON_DEPTH_MOST)
        return say(json, "it is nested too deeply");
    json->open[json->depth++] = (char)byte;
    json->wants_name = byte == '{';
    json->is_behind_value = json->is_behind_name = false;
    return byte == '{' ? JSON_OBJECT : JSON_ARRAY;
}

static enum json_token close_one(struct json_reader *json, int byte)
{
    if (json->depth == 0 || json->open[json->depth - 1] != (byte == '}' ? '{' : '[') || json->is_behind_name)
        return say(json, "a bracket is wrong");
    json->depth--;
    json->is_behind_value = true;
    json->wants_name = json->depth && json->open[json->depth - 1] == '{';
    return byte == '}' ? JSON_OBJECT_END : JSON_ARRAY_END;
}

static enum json_token end_of_input(struct json_reader *json, int byte)
{
    if (byte != EOF || ferror(json->from))
        return say(json, "something stands behind the end");
    json->is_over = true;
    return JSON_END;
}

enum json_token json_next(struct json_reader *json)
{
    if (json->wrong)
        return JSON_WRONG;
    int byte = skip_blanks(json);
    if (json->is_over || (json->depth == 0 && json->is_behind_value))
        return end_of_input(json, byte);
    if (byte == '}' || byte == ']')
        return close_one(json, byte);
    if (json->is_behind_value) {
        if (byte != ',')
            return say(json, "a comma or a bracket is missing");
        byte = skip_blanks(json);
        json->is_behind_value = false;
    }
    if (json->wants_name && !json->is_behind_name) {
        if (byte != '"' || read_text(json, JSON_NAME) != JSON_NAME)
            return say(json, "a name is missing");
        if (skip_blanks(json) != ':')
            return say(json, "a colon is missing");
        json->is_behind_name = true;
        return JSON_NAME;
    }
    if (byte == '{' || byte == '[')
        return open_one(json, byte);
    json->is_behind_name = false;
    json->is_behind_value = true;
    return byte == '"' ? read_text(json, JSON_TEXT) : read_value(json, byte);
}

bool json_skip(struct json_reader *json, enum json_token token)
{
    unsigned depth = 0;
    for (;; token = json_next(json)) {
        depth += token == JSON_OBJECT || token == JSON_ARRAY;
        depth -= token == JSON_OBJECT_END || token == JSON_ARRAY_END;
        if (token == JSON_WRONG || token == JSON_END)
            return false;
        if (depth == 0 && token != JSON_NAME)
            return true;
    }
}
