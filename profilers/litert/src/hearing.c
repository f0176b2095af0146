#include "hearing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "json.h"

#define MOST_HEARD (1u << 20)

static int kept = -1, usual = -1; /* the file that takes it, and standard error as it was */
static char *heard;

void hearing_prepare(void)
{
    kept = memfd_create("standard error", MFD_CLOEXEC);
}

void hearing_begin(void)
{
    usual = dup(STDERR_FILENO);
    if (kept < 0 || usual < 0 || ftruncate(kept, 0) < 0 || lseek(kept, 0, SEEK_SET) < 0)
        return;
    dup2(kept, STDERR_FILENO);
}

/* All that was kept, as a text. */
static size_t read_kept(void)
{
    off_t length = kept < 0 ? 0 : lseek(kept, 0, SEEK_END);
    size_t count = length < 0 ? 0 : length > MOST_HEARD ? MOST_HEARD : (size_t)length;
    heard = checked_realloc(heard, count + 1, 1);
    ssize_t got = count ? pread(kept, heard, count, 0) : 0;
    heard[got < 0 ? 0 : got] = 0;
    return got < 0 ? 0 : (size_t)got;
}

void hearing_pass_on(void)
{
    size_t count = read_kept();
    if (count && write(STDERR_FILENO, heard, count) < 0)
        return; /* nobody listens */
    if (kept >= 0 && ftruncate(kept, 0) < 0)
        return;
}

const char *hearing_end(void)
{
    dup2(usual, STDERR_FILENO);
    close(usual);
    hearing_pass_on();
    return heard;
}

const char *heard_adapter(const char *text)
{
    static const char sign[] = "Selected adapter: ";
    static char adapter[512];
    for (const char *at = text; (at = strstr(at, sign)); at += sizeof sign - 1)
        snprintf(adapter, sizeof adapter, "%.*s", (int)strcspn(at + sizeof sign - 1, "\n"), at + sizeof sign - 1);
    return adapter;
}

/* Where a text goes on behind the place in the sources that it may begin with. */
static const char *behind_place(const char *text)
{
    const char *end = *text == '[' ? strstr(text, "] ") : NULL;
    return end && end < text + strcspn(text, "\n") ? end + 2 : text;
}

void heard_error(const char *text, char *error, size_t size)
{
    static const char sign[] = "ERROR: ";
    const char *at = strstr(text, sign);
    error[0] = 0;
    if (!at)
        return;
    at = behind_place(at + sizeof sign - 1);
    size_t length = strcspn(at, "\n");
    if (length && at[length - 1] == ':' && at[length]) /* what follows stands in the next line */
        length += 1 + strcspn(at + length + 1, "\n");
    snprintf(error, size, "%.*s", (int)length, at);
    for (char *newline = error; (newline = strchr(newline, '\n'));)
        *newline = ' ';
}
