/* identity.h: programs that the kernel would give another user's rights, or more rights than the caller's. A process
 * that has taken a program's place can't have them: such programs are refused. */
#ifndef SEGUE_RUN_IDENTITY_H
#define SEGUE_RUN_IDENTITY_H

/* Why the open file, of this mode and owner, is refused, to be put behind its name; NULL if it is not. As the kernel
 * does, it lets those go on that gain nothing: where the file system or the process forbids it (nosuid, no_new_privs),
 * or for the user that they would become. Async-signal-safe. SOURCES: Linux fs/exec.c (bprm_fill_uid, mnt_may_suid),
 * security/commoncap.c (get_file_caps, handle_privileged_root). */
struct stat;
const char *identity_gain(int file, const struct stat *status);

#endif
