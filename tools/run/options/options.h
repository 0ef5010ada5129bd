/* options.h: the options that the user gives. */
#ifndef SEGUE_RUN_OPTIONS_H
#define SEGUE_RUN_OPTIONS_H

/* Reads them into the settings. Returns the index of the program's name. Without a name, or if the command line makes
 * no sense, prints the reason and ends the process. */
int options_read(int argument_count, char **arguments);

#endif
