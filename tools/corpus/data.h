/* data.h: finds the data of the corpus. */
#ifndef SEGUE_TOOLS_CORPUS_DATA_H
#define SEGUE_TOOLS_CORPUS_DATA_H

#include <stddef.h>

/* The folder with the corpus's data: `folder` if it is not NULL; else the source tree of the build that this command
 * belongs to, or the installed folder. */
const char *corpus_data_folder(const char *folder);

/* The path of a file of the corpus's data; `folder` as above. */
void corpus_data_path(char *path, size_t size, const char *folder, const char *name);

/* The path of a file of rows: `path` itself; if no such file exists, or it is a folder, that of the file of this name
 * in the data folder, to be kept. */
const char *corpus_find_rows(const char *path, const char *folder);

#endif
