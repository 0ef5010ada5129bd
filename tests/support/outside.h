/* outside.h: assertions outside of a test: in another thread than the one that runs it, in a child made by fork, and in
 * a case of child.h. cmocka loses their text, and ends the process with 255; in a child made by fork it runs the rest
 * of the group's tests. With outside.c such an assertion writes its place and its text to standard error, and ends the
 * process: with 255 too. Linked into every program of cmocka's, with -Wl,--wrap for each assertion. */
#ifndef SEGUE_TESTS_OUTSIDE_H
#define SEGUE_TESTS_OUTSIDE_H

/* The calling thread runs a group of tests from now on; outside_end: no longer. */
void outside_begin(void);
void outside_end(void);

#endif
