/* json_write.c: JSON written as it comes.
 *
 * SOURCES: RFC 8259. */
#include "json_write.h"

#include <string.h>

#include "tools/support/quote.h"

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

void json_decimal(struct json_writer *json, const char *name, double number)
{
    begin_value(json, name);
    fprintf(json->to, "%.17g", number);
}

static void put_text(FILE *to, const char *text)
{
    putc('"', to);
    for (const unsigned char *at = (const unsigned char *)text; *at;) {
        size_t size = utf8_size(at);
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
        if ((size = utf8_size(at)) == 0)
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
