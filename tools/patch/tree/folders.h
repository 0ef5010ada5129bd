/* folders.h: folders, links and names below a folder that is open. No link is followed on the way, so nothing in the
 * tree, nor anything put there meanwhile, leads out of it. */
#ifndef SEGUE_TOOLS_PATCH_FOLDERS_H
#define SEGUE_TOOLS_PATCH_FOLDERS_H

#include <stdbool.h>
#include <sys/stat.h>

/* Opens the folder at a relative path; "" is `root` itself. -1 and errno: ENOTDIR also for a link. */
int folder_open(int root, const char *path);

/* Opens the folder of a relative path's last part, and stores that part, which points into `path`, in `name`. */
int folder_open_parent(int root, const char *path, const char **name);

/* Opens a folder, and makes it if it is missing; the folder that contains it must exist. */
int folder_make(int root, const char *path, mode_t mode);

/* Whether `inner` is `outer` or lies in it. */
bool folder_is_inside(int inner, int outer);

/* Makes a copy of a link, with its owner and times, in place of a file or link of that name. False, and errno. */
bool folder_copy_link(int from, int to, const char *name, const struct stat *status);

/* Makes `name` one more name of the file `from_name`, in place of a file or link of that name. False, and errno. */
bool folder_add_name(int from, const char *from_name, int to, const char *name);

#endif
