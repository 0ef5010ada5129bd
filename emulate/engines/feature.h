/* feature.h: why a call did not do what it was asked for. */
#ifndef SEGUE_EMULATE_FEATURE_H
#define SEGUE_EMULATE_FEATURE_H

#include <segue/status.h>

/* Keeps the reason, a static string, for segue_reason, unless the status is SEGUE_OK. Returns the status. */
enum segue_status feature_explain(enum segue_status status, const char *why);

#endif
