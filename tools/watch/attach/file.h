/* file.h: what a program's file says of its process. */
#ifndef SEGUE_TOOLS_WATCH_FILE_H
#define SEGUE_TOOLS_WATCH_FILE_H

/* Why the library cannot be in the process; NULL if it can. */
const char *file_refusal(const char *path);

#endif
