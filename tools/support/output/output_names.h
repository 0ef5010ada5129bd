/* output_names.h: where a name leads to, and whether a file may stand there. */
#ifndef SEGUE_TOOLS_OUTPUT_NAMES_H
#define SEGUE_TOOLS_OUTPUT_NAMES_H

/* The path of the file without links, to be freed; of one that is not there, that which it would get. NULL where no
 * file may stand: has said why. */
char *output_resolve(const char *verb, const char *path);

#endif
