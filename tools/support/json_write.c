/* json_write.c: JSON written as it comes.
 *
 * SOURCES: RFC 8259 (JSON), RFC 3629 (UTF-8: what is none). */
#include "json_write.h"

#include <string.h>

static void begin_value(struct json_writer *json, const char *name)
{
    if (json->is_behind_one)
        putc(',', json->to);
    if (json->has_lines && json->depth)
        fprintf(json->to, "\n%*s", (int)json->depth, "");
    if (name)
        fprintf(json->to, json->has_lines ? "\"%s\": " : "\"%s\":", name);
    json->is_behind_one = true;
}

void json_open(struct json_writer *json, const char *name, char bracket)
{
    begin_value(json, name);
    putc(bracket, json->to);
    json->depth++;
    json->is_behind_one = false;
}

void json_close(struct json_writer *json, char bracket)
{
    json->depth--;
    if (json->has_lines && json->is_behind_one)
        fprintf(json->to, "\n%*s", (int)json->depth, "");
    putc(bracket, json->to);
    json->is_behind_one = true;
}

void json_number(struct json_writer *json, const char *name, int64_t number)
{
    begin_value(json, name);
    fprintf(json->to, "%lld", (long long)number);
}

/* How many bytes the character at `at` has; 0 if it is no UTF-8. The text ends with a zero. */
static size_t character_size(const unsigned char *at)
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

static void put_text(FILE *to, const char *text)
{
    putc('"', to);
    for (const unsigned char *at = (const unsigned char *)text; *at;) {
        size_t size = character_size(at);
        if (size == 0)
            fprintf(to, "\\\\x%02x", *at);
        else if (*at == '"' || *at == '\\')
            fprintf(to, "\\%c", *at);
        else if (*at < 0x20 || *at == 0x7f)
            fprintf(to, "\\u%04x", *at);
        else
            fwrite(at, 1, size, to);
        at += size ? size : 1;
    }
    putc('"', to);
}

void json_text(struct json_writer *json, const char *name, const char *text)
{
    begin_value(json, name);
    if (text)
        put_text(json->to, text);
    else
        fputs("null", json->to);
}

static bool is_utf8(const char *bytes)
{
    size_t size;
    for (const unsigned char *at = (const unsigned char *)bytes; *at; at += size)
        if ((size = character_size(at)) == 0)
            return false;
    return true;
}

void json_name(struct json_writer *json, const char *name, const char *bytes)
{
    char name_of_bytes[64];
    json_text(json, name, bytes);
    if (!bytes || is_utf8(bytes))
        return;
    snprintf(name_of_bytes, sizeof name_of_bytes, "%s_hex", name);
    begin_value(json, name_of_bytes);
    putc('"', json->to);
    for (const unsigned char *at = (const unsigned char *)bytes; *at; at++)
        fprintf(json->to, "%02x", *at);
    putc('"', json->to);
}
