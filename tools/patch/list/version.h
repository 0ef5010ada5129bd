/* version.h: the version of the lists that segue patch writes and reads. */
#ifndef SEGUE_TOOLS_PATCH_VERSION_H
#define SEGUE_TOOLS_PATCH_VERSION_H

#define PATCH_LIST_VERSION 1

#endif
