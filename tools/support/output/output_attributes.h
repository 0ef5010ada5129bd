/* output_attributes.h: what belongs to a file beside its bytes. */
#ifndef SEGUE_TOOLS_OUTPUT_ATTRIBUTES_H
#define SEGUE_TOOLS_OUTPUT_ATTRIBUTES_H

#include <stdbool.h>
#include <sys/stat.h>

/* Whether the bytes are those of the file that the attributes come from. */
enum output_bytes {
    OUTPUT_BYTES_SAME,
    OUTPUT_BYTES_CHANGED,
};

/* Gives the open file or folder `to`, called `path`, what `from` has: owner (where we may), permissions, extended
 * attributes (access control lists and capabilities among them) and the times in `like`, in an order in which none
 * takes another away; nothing may be written afterwards. Set-user-ID and set-group-ID are dropped where the owner
 * cannot be kept. An attribute that cannot be kept is a failure: says which, and what to do. */
bool output_copy_attributes(const char *verb, const char *path, int from, const struct stat *like, int to,
                            enum output_bytes bytes);

#endif
