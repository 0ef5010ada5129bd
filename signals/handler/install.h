/* install.h: what the rest of the library reports to the installed handler. */
#ifndef SEGUE_SIGNALS_INSTALL_H
#define SEGUE_SIGNALS_INSTALL_H

/* Leaves the suspend signal (suspend.h) unblocked while a fault is served, or blocks it again after its handler was
 * removed. Not async-signal-safe. */
void install_follow_suspension(void);

#endif
