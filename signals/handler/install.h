/* install.h: what the rest of the library has to tell the installed handler. */
#ifndef SEGUE_SIGNALS_INSTALL_H
#define SEGUE_SIGNALS_INSTALL_H

/* Leaves the signal that suspends (suspend.h) open while a fault is served, or blocks it again if there is none any
 * more. Not async-signal-safe. */
void install_follow_suspension(void);

#endif
