/* What a library says on standard error: LiteRT names its adapter and its reasons nowhere else. */
#ifndef HWNAS_HEARING_H
#define HWNAS_HEARING_H

#include <stddef.h>

/* What goes to standard error between begin and end is kept, and passed on afterwards; the text is valid until
   the next time. Where a process ends in between, one that prepared before forking it can still pass it on. */
void hearing_prepare(void);
void hearing_begin(void);
const char *hearing_end(void);
void hearing_pass_on(void);

/* What LiteRT said of the adapter that it took, now or earlier; empty before. */
const char *heard_adapter(const char *text);
/* The first error in a text, to be read by people; empty where there is none. */
void heard_error(const char *text, char *error, size_t size);

#endif
