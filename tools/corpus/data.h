/* data.h: where the data of the corpus is. */
#ifndef SEGUE_TOOLS_CORPUS_DATA_H
#define SEGUE_TOOLS_CORPUS_DATA_H

#include <stddef.h>

/* The folder of the corpus's data: `folder` if it is not NULL; else the one beside the build tree that this command
 * stands in, or where it was installed. */
const char *corpus_data_folder(const char *folder);

/* Where a file of the corpus's data is; `folder` as above. */
void corpus_data_path(char *path, size_t size, const char *folder, const char *name);

/* The path of a file of rows: as it is; if nothing is there, that of the file of the data folder that it names, to be
 * kept. */
const char *corpus_find_rows(const char *path, const char *folder);

#endif
