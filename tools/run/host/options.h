/* options.h: the options that the user gives. */
#ifndef SEGUE_RUN_OPTIONS_H
#define SEGUE_RUN_OPTIONS_H

/* Reads them into the settings. Returns the place of the program's name, or ends the process: there is none, or the
 * command line makes no sense. */
int options_read(int argument_count, char **arguments);

#endif
