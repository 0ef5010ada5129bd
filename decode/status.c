/* status.c: the names and the sentences of enum segue_status, and the version. */
#include <segue/status.h>

static const struct {
    const char *name;
    const char *text;
} statuses[] = {
    [SEGUE_OK] = {"SEGUE_OK", "done"},
    [SEGUE_UNSUPPORTED] = {"SEGUE_UNSUPPORTED", "it cannot be done exactly, so it was not done"},
    [SEGUE_INVALID] = {"SEGUE_INVALID", "an argument lies outside what the function documents"},
    [SEGUE_UNDEFINED] = {"SEGUE_UNDEFINED", "the bytes are not an instruction"},
    [SEGUE_TRUNCATED] = {"SEGUE_TRUNCATED", "the bytes end before the instruction does"},
    [SEGUE_MISMATCH] = {"SEGUE_MISMATCH", "no access of the instruction covers the address that faulted"},
    [SEGUE_FAULT] = {"SEGUE_FAULT", "a part of the access lies in memory that cannot be reached"},
    [SEGUE_TOO_SMALL] = {"SEGUE_TOO_SMALL", "the given list is too short for the answer"},
    [SEGUE_OVERLAP] = {"SEGUE_OVERLAP", "the range shares a page with an existing region"},
    [SEGUE_NOT_FOUND] = {"SEGUE_NOT_FOUND", "it was not found"},
    [SEGUE_EXISTS] = {"SEGUE_EXISTS", "it exists already"},
    [SEGUE_NOT_LAST] = {"SEGUE_NOT_LAST", "another signal handler was installed after Segue's"},
    [SEGUE_BUSY] = {"SEGUE_BUSY", "it is in use, or may not be done from inside a fault"},
    [SEGUE_NO_MEMORY] = {"SEGUE_NO_MEMORY", "the system has no more memory or mappings to give"},
    [SEGUE_SYSTEM] = {"SEGUE_SYSTEM", "a system call failed; errno says why"},
    [SEGUE_TIMEOUT] = {"SEGUE_TIMEOUT", "it did not happen within the given time"},
    [SEGUE_HANDLED] = {"SEGUE_HANDLED", "the signal was for the library alone: return from the handler"},
};

#define TEXT_OF(number) #number
#define TEXT(number) TEXT_OF(number)

uint32_t segue_version(void)
{
    return SEGUE_VERSION;
}

const char *segue_version_text(void)
{
    return TEXT(SEGUE_VERSION_MAJOR) "." TEXT(SEGUE_VERSION_MINOR) "." TEXT(SEGUE_VERSION_PATCH);
}

const char *segue_status_name(enum segue_status status)
{
    return (size_t)status < sizeof statuses / sizeof *statuses ? statuses[status].name : "SEGUE_?";
}

const char *segue_status_text(enum segue_status status)
{
    return (size_t)status < sizeof statuses / sizeof *statuses ? statuses[status].text : "not a status of this library";
}
