/* identity.h: programs to which the kernel would give another user's rights, or more rights than the caller's (setuid,
 * capabilities). A process whose program was replaced in place cannot get them, so such programs are refused. */
#ifndef SEGUE_RUN_IDENTITY_H
#define SEGUE_RUN_IDENTITY_H

/* The reason why the open file, of this mode and owner, is refused, as words to put after its name; NULL if it is not
 * refused. As in the kernel, programs that gain nothing are not refused: where the file system or the process forbids a
 * gain (nosuid, no_new_privs), or if they belong to the same user. Async-signal-safe. SOURCES: Linux fs/exec.c
 * (bprm_fill_uid, mnt_may_suid), security/commoncap.c (get_file_caps, handle_privileged_root). */
struct stat;
const char *identity_gain(int file, const struct stat *status);

#endif
