/* JSON: a growable text to write to, and a strict reader that never looks past its end. */
#ifndef HWNAS_JSON_H
#define HWNAS_JSON_H

#include <stdbool.h>
#include <stddef.h>

/* A number that the device does not tell; written as null. */
#define UNKNOWN (-9223372036854775807LL - 1)

/* ---- writing: commas are put where they belong ---- */

struct text {
    char *data;
    size_t length, capacity;
};

void text_free(struct text *text);
void text_add(struct text *text, const char *bytes, size_t count);

void json_open(struct text *text, const char *name, char bracket); /* '{' or '['; name may be NULL */
void json_close(struct text *text, char bracket);                  /* '}' or ']' */
void json_number(struct text *text, const char *name, long long value);
void json_hundredths(struct text *text, const char *name, long long value); /* 150 is 1.50 */
void json_real(struct text *text, const char *name, double value); /* what is not finite is null */
void json_boolean(struct text *text, const char *name, bool value);
void json_string(struct text *text, const char *name, const char *value); /* NULL is null */
void json_numbers(struct text *text, const char *name, const long long *values, size_t count);

/* ---- reading: each function returns false after the first error, which stays in `error` ---- */

struct reader {
    const char *at, *end;
    char error[160];
};

struct reader reader_of(const char *bytes, size_t count);
bool read_fail(struct reader *reader, const char *message);
bool read_open(struct reader *reader, char bracket);
/* Steps to the next member: *more is false once the closing bracket was read. */
bool read_more(struct reader *reader, char close, bool first, bool *more);
bool read_key(struct reader *reader, char **key); /* a string and its colon */
bool read_string(struct reader *reader, char **value);
bool read_integer(struct reader *reader, long long *value);
bool read_boolean(struct reader *reader, bool *value);
bool read_null(struct reader *reader); /* true and past it where null is next; never an error */
bool read_skip(struct reader *reader, int depth);
bool read_end(struct reader *reader); /* nothing but white space is left */

/* Length of the valid UTF-8 sequence at `bytes`, which end with 0; 0 where there is none. */
size_t utf8_length(const unsigned char *bytes);

void *checked_realloc(void *old, size_t count, size_t size);

#endif
