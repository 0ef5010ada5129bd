/* patch.c: what `segue patch` takes. */
#include "command_line.h"

const struct verb_words patch_words = {
    .name = "patch",
    .forms =
        (const char *const[]){
            "FILE|FOLDER (-o OUT|--dry-run) [--from fs|gs] [--to fs|gs] [--list LIST] [--json] [--strict] [--details] "
            "[--system-calls] [--jobs N]",
            "--verify LIST FILE|FOLDER",
            "--revert LIST FILE|FOLDER -o OUT",
            NULL,
        },
    .summary = "rewrites a file's fs: accesses to gs:, and lists what it could not",
    .operands =
        (const struct operand_words[]){
            {"FILE", "an ELF executable or shared object, or an archive of objects, for x86-64", NULL},
            {"FOLDER", "all files below it: OUT becomes a folder of the same shape", NULL},
            {0},
        },
    .options =
        (const struct option_words[]){
            {PATCH_OUTPUT, "output", "OUT", "where the result goes; may be FILE itself",
             "It is complete or absent, and has the owner, permissions, extended attributes and times of FILE; if one "
             "of these cannot be kept, a message names it and nothing is written. For FOLDER, it is a folder of the "
             "same shape; files that are not ELF files are copied. Links in it are replaced, never followed."},
            {PATCH_DRY_RUN, "dry-run", NULL, "writes nothing, reports everything", NULL},
            {PATCH_FROM, "from", "fs|gs", "which register to replace; fs if not given", NULL},
            {PATCH_TO, "to", "fs|gs", "by which register to replace it; gs if not given", NULL},
            {PATCH_LIST, "list", "LIST",
             "writes what was changed, and what was not, as JSON; for FOLDER, a folder of lists",
             "It is on the disk before the result gets its name. A list that --revert needs to undo an earlier run on "
             "the same file is not overwritten."},
            {PATCH_JSON, "json", NULL,
             "the same on standard output, in place of words; for FOLDER, one line for each file", NULL},
            {PATCH_STRICT, "strict", NULL, "ends with status 3 if a site that looks like a real access was not changed",
             "Such sites have an address near the segment's base, or a register that was just loaded with a variable's "
             "offset, and no table says that they are instructions. The result is written all the same."},
            {PATCH_DETAILS, "details", NULL,
             "for FOLDER, a line for each file and for each site that was not changed, as for FILE",
             "Without it only files with an unchanged site that looks like a real access have a line."},
            {PATCH_SYSTEM_CALLS, "system-calls", NULL,
             "lists every system call, not only those that set a segment's base or clone", NULL},
            {PATCH_JOBS, "jobs", "N", "files of a folder at once; as many as processors if not given", NULL},
            {PATCH_VERIFY, "verify", "LIST", "whether FILE is what LIST says it became; for FOLDER, a folder of lists",
             "Size, build-ids, every changed byte and a checksum of the rest must agree."},
            {PATCH_REVERT, "revert", "LIST",
             "the same, and then takes back the changes that LIST names; for FOLDER, a folder of lists", NULL},
            {0},
        },
    .exclusions =
        (const struct option_pair[]){
            {PATCH_VERIFY, PATCH_REVERT, NULL},
            {PATCH_VERIFY, PATCH_OUTPUT, "--verify writes nothing"},
            {PATCH_VERIFY, PATCH_LIST, "--verify writes nothing"},
            {PATCH_VERIFY, PATCH_DRY_RUN, "--verify writes nothing"},
            {PATCH_VERIFY, PATCH_JSON, "--verify looks for nothing new"},
            {PATCH_VERIFY, PATCH_STRICT, "--verify looks for nothing new"},
            {PATCH_REVERT, PATCH_LIST, "--revert reads a list and writes none"},
            {PATCH_REVERT, PATCH_DRY_RUN, "--revert writes OUT; --verify writes nothing"},
            {PATCH_REVERT, PATCH_JSON, "--revert looks for nothing new"},
            {PATCH_REVERT, PATCH_STRICT, "--revert looks for nothing new"},
            {PATCH_DRY_RUN, PATCH_OUTPUT, "--dry-run writes nothing"},
            {0},
        },
    .closing = "Only bytes that are known to be an instruction are changed: those of functions that .eh_frame, Go's "
               ".gopclntab or a symbol with a size describes, decoded from their start, and the byte signatures with "
               "which compilers read the stack guard and the thread pointer.",
};
