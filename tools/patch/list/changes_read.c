/* changes_read.c: reads a list token by token; its members may come in any order. Nothing in it is trusted. */
#include <errno.h>
#include <fcntl.h>
#include <segue/decode.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "changes.h"
#include "tools/support/array.h"
#include "tools/support/json/json_read.h"
#include "tools/support/message.h"
#include "version.h"

#define VERB "patch"

/* A list being read. */
struct reading {
    struct json_reader json;
    struct changes *changes;
    /* Which members there were. */
    bool has_version, has_size, has_checksum, has_from, has_to, has_objects, has_sites;
};

static bool read_integer(struct json_reader *json, int64_t least, int64_t most, int64_t *number)
{
    if (json_next(json) != JSON_NUMBER || !json->is_integer || json->number < least || json->number > most)
        return false;
    *number = json->number;
    return true;
}

/* Reads a site: each member that is needed must be there once; others are skipped. */
static bool read_site(struct reading *reading)
{
    struct json_reader *json = &reading->json;
    struct changes *changes = reading->changes;
    static const struct {
        const char *name;
        int64_t most;
    } members[] = {
        {"offset", INT64_MAX - SEGUE_INSN_BYTES}, {"index", SEGUE_INSN_BYTES - 1}, {"old", 255}, {"new", 255}};
    int64_t values[4] = {-1, -1, -1, -1};
    bool has_kind = false;
    enum json_token token;
    while ((token = json_next(json)) == JSON_NAME) {
        size_t i = 0;
        while (i < 4 && strcmp(json->text, members[i].name) != 0)
            i++;
        if (i < 4 && (values[i] >= 0 || !read_integer(json, 0, members[i].most, &values[i])))
            return false;
        if (i < 4)
            continue;
        bool is_kind = strcmp(json->text, "kind") == 0;
        token = json_next(json);
        if (is_kind && (token != JSON_TEXT || (strcmp(json->text, "access") != 0 && strcmp(json->text, "base") != 0)))
            return false;
        has_kind |= is_kind;
        if (!json_skip(json, token))
            return false;
    }
    if (token != JSON_OBJECT_END || !has_kind || values[0] < 0 || values[1] < 0 || values[2] < 0 || values[3] < 0 ||
        values[2] == values[3])
        return false;
    changes->list = array_grow(changes->list, changes->count, &changes->capacity, sizeof *changes->list);
    changes->list[changes->count++] =
        (struct change){(uint64_t)(values[0] + values[1]), (uint8_t)values[2], (uint8_t)values[3]};
    return true;
}

static bool read_object(struct reading *reading)
{
    struct json_reader *json = &reading->json;
    struct changes *changes = reading->changes;
    char *build_id = NULL;
    enum json_token token;
    while ((token = json_next(json)) == JSON_NAME) {
        bool is_build_id = strcmp(json->text, "build_id") == 0;
        token = json_next(json);
        if (is_build_id && token == JSON_TEXT) {
            free(build_id);
            build_id = strdup(json->text);
        }
        if (!json_skip(json, token))
            break;
    }
    changes->build_ids =
        array_grow(changes->build_ids, changes->object_count, &changes->object_capacity, sizeof *changes->build_ids);
    changes->build_ids[changes->object_count++] = build_id;
    return token == JSON_OBJECT_END;
}

static bool read_array(struct reading *reading, bool read(struct reading *))
{
    enum json_token token = json_next(&reading->json);
    if (token != JSON_ARRAY)
        return false;
    while ((token = json_next(&reading->json)) == JSON_OBJECT)
        if (!read(reading))
            return false;
    return token == JSON_ARRAY_END;
}

static bool read_checksum(struct reading *reading)
{
    struct json_reader *json = &reading->json;
    if (json_next(json) != JSON_TEXT || strlen(json->text) != 16 || strspn(json->text, "0123456789abcdef") != 16)
        return false;
    reading->changes->checksum = strtoull(json->text, NULL, 16);
    return true;
}

static bool read_segment(struct reading *reading)
{
    struct json_reader *json = &reading->json;
    return json_next(json) == JSON_TEXT && (strcmp(json->text, "fs") == 0 || strcmp(json->text, "gs") == 0);
}

static bool read_member(struct reading *reading)
{
    struct json_reader *json = &reading->json;
    int64_t number;
    /* Each may stand once. */
    if (strcmp(json->text, "version") == 0)
        return !reading->has_version &&
               (reading->has_version = read_integer(json, PATCH_LIST_VERSION, PATCH_LIST_VERSION, &number));
    if (strcmp(json->text, "size") == 0) {
        bool done = !reading->has_size && (reading->has_size = read_integer(json, 0, INT64_MAX, &number));
        if (done)
            reading->changes->size = (uint64_t)number;
        return done;
    }
    if (strcmp(json->text, "checksum") == 0)
        return !reading->has_checksum && (reading->has_checksum = read_checksum(reading));
    if (strcmp(json->text, "from") == 0)
        return !reading->has_from && (reading->has_from = read_segment(reading));
    if (strcmp(json->text, "to") == 0)
        return !reading->has_to && (reading->has_to = read_segment(reading));
    if (strcmp(json->text, "objects") == 0)
        return !reading->has_objects && (reading->has_objects = read_array(reading, read_object));
    if (strcmp(json->text, "sites") == 0)
        return !reading->has_sites && (reading->has_sites = read_array(reading, read_site));
    return json_skip(json, json_next(json));
}

static int compare_places(const void *left, const void *right)
{
    uint64_t a = ((const struct change *)left)->at, b = ((const struct change *)right)->at;
    return a < b ? -1 : a > b;
}

/* Sorts the changes. False if a byte is listed twice, or is outside the file. */
static bool arrange(struct changes *changes)
{
    bool is_sorted = true;
    for (size_t i = 1; i < changes->count; i++)
        is_sorted &= changes->list[i - 1].at < changes->list[i].at;
    if (!is_sorted)
        qsort(changes->list, changes->count, sizeof *changes->list, compare_places);
    for (size_t i = 1; i < changes->count; i++)
        if (changes->list[i].at == changes->list[i - 1].at)
            return false;
    return changes->count == 0 || changes->list[changes->count - 1].at < changes->size;
}

static bool read_list(struct reading *reading)
{
    struct json_reader *json = &reading->json;
    enum json_token token = json_next(json);
    if (token != JSON_OBJECT)
        return false;
    while ((token = json_next(json)) == JSON_NAME)
        if (!read_member(reading))
            return false;
    return token == JSON_OBJECT_END && json_next(json) == JSON_END && reading->has_version && reading->has_size &&
           reading->has_checksum && reading->has_from && reading->has_to && reading->has_objects &&
           reading->has_sites && arrange(reading->changes);
}

static void say_why(const struct json_reader *json, const char *path)
{
    if (json->wrong)
        complain(VERB, "cannot read the list %s: line %zu: %s", path, json->line + 1, json->wrong);
    else
        complain(VERB, "%s is no list that segue patch wrote; give the file that --list or --json made", path);
}

enum changes_outcome changes_read(struct changes *changes, int folder, const char *name, int flags, const char *path,
                                  enum changes_voice voice)
{
    *changes = (struct changes){0};
    int file = openat(folder, name, O_RDONLY | O_CLOEXEC | flags);
    struct stat status;
    FILE *from = NULL;
    if (file >= 0 && fstat(file, &status) == 0 && S_ISDIR(status.st_mode))
        errno = EISDIR;
    else if (file >= 0)
        from = fdopen(file, "r");
    if (!from) {
        enum changes_outcome outcome = errno == ENOENT ? CHANGES_ABSENT : CHANGES_WRONG;
        if (voice == CHANGES_SAY || (voice == CHANGES_ABSENT_IS_FINE && outcome != CHANGES_ABSENT))
            complain(VERB, "cannot read the list %s: %s", path, strerror(errno));
        if (file >= 0)
            close(file);
        return outcome;
    }
    struct reading *reading = calloc(1, sizeof *reading);
    if (!reading)
        abort();
    reading->json.from = from;
    reading->changes = changes;
    bool done = read_list(reading);
    if (!done && voice != CHANGES_QUIET)
        say_why(&reading->json, path);
    fclose(from);
    free(reading);
    if (done)
        return CHANGES_READ;
    changes_free(changes);
    return CHANGES_WRONG;
}

void changes_free(struct changes *changes)
{
    for (size_t i = 0; i < changes->object_count; i++)
        free(changes->build_ids[i]);
    free(changes->build_ids);
    free(changes->list);
    *changes = (struct changes){0};
}
