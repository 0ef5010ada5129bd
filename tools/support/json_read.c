/* json_read.c: JSON read token by token.
 *
 * SOURCES: RFC 8259. */
#include "json_read.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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
    if (code < 0x80) {
        add_to_text(json, length, code);
    } else if (code < 0x800) {
        add_to_text(json, length, 0xc0 | code >> 6);
        add_to_text(json, length, 0x80 | (code & 0x3f));
    } else {
        add_to_text(json, length, 0xe0 | code >> 12);
        add_to_text(json, length, 0x80 | (code >> 6 & 0x3f));
        add_to_text(json, length, 0x80 | (code & 0x3f));
    }
}

static bool read_escape(struct json_reader *json, size_t *length)
{
    static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    int byte = next_byte(json);
    const char *letter = byte > 0 ? strchr(letters, byte) : NULL;
    if (letter) {
        add_to_text(json, length, (unsigned char)meanings[letter - letters]);
        return true;
    }
    unsigned code = 0;
    if (byte != 'u')
        return false;
    for (unsigned i = 0; i < 4; i++) {
        static const char digits[] = "0123456789abcdef";
        byte = next_byte(json);
        const char *digit = byte > 0 ? strchr(digits, byte | 0x20) : NULL;
        if (!digit)
            return false;
        code = code * 16 + (unsigned)(digit - digits);
    }
    add_character(json, length, code);
    return code != 0;
}

static enum json_token read_text(struct json_reader *json, enum json_token token)
{
    size_t length = 0;
    int byte;
    while ((byte = next_byte(json)) != '"') {
        if (byte == EOF || byte < 0x20)
            return say(json, "a text does not end");
        if (byte != '\\')
            add_to_text(json, &length, (unsigned)byte);
        else if (!read_escape(json, &length))
            return say(json, "a text has an escape that is none");
    }
    json->text[length] = 0;
    return token;
}

/* --- Numbers and words. --- */

/* The letters, digits and signs from `first` on. */
static bool read_plain(struct json_reader *json, int first)
{
    size_t length = 0;
    int byte = first;
    while ((byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || byte == 'E' || byte == '+' || byte == '-' ||
           byte == '.') {
        if (length == 64)
            return false;
        json->text[length++] = (char)byte;
        byte = getc(json->from);
    }
    if (byte != EOF)
        ungetc(byte, json->from);
    json->text[length] = 0;
    return length > 0;
}

static enum json_token read_number(struct json_reader *json)
{
    char *end;
    const char *digits = json->text + (json->text[0] == '-');
    if (*digits < '0' || *digits > '9' || (digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9'))
        return say(json, "a number is none");
    errno = 0;
    json->number = strtoll(json->text, &end, 10);
    json->is_integer = !*end && errno == 0;
    if (!*end)
        return JSON_NUMBER;
    strtod(json->text, &end);
    return *end ? say(json, "a number is none") : JSON_NUMBER;
}

static enum json_token read_value(struct json_reader *json, int byte)
{
    if (!read_plain(json, byte))
        return say(json, "a value is missing");
    if (byte == '-' || (byte >= '0' && byte <= '9'))
        return read_number(json);
    bool is_word =
        strcmp(json->text, "true") == 0 || strcmp(json->text, "false") == 0 || strcmp(json->text, "null") == 0;
    return is_word ? JSON_WORD : say(json, "a value is missing");
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
