/* words.h: the words of a signal frame that processors have in other places, or by other names. */
#ifndef SEGUE_PLATFORM_FRAME_WORDS_H
#define SEGUE_PLATFORM_FRAME_WORDS_H

#if !defined(__linux__)
#error "platform/linux/frame/words.h is specific to Linux"
#endif

#if defined(__x86_64__)
#include "words_x86_64.h"
#elif defined(__i386__)
#include "words_i386.h"
#else
#error "no signal frame is known for this processor"
#endif

#endif
