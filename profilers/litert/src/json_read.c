#include "json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEEPEST 32 /* nesting of values that are skipped */

struct reader reader_of(const char *bytes, size_t count)
{
    return (struct reader){.at = bytes, .end = bytes + count, .error = ""};
}

bool read_fail(struct reader *reader, const char *message)
{
    if (!reader->error[0])
        snprintf(reader->error, sizeof reader->error, "%s", message);
    return false;
}

/* The next byte that is not white space, or 0 at the end. */
static char peek(struct reader *reader)
{
    while (reader->at < reader->end && memchr(" \t\r\n", *reader->at, 4))
        reader->at++;
    return reader->at < reader->end ? *reader->at : 0;
}

static bool expect(struct reader *reader, char wanted)
{
    char message[32];
    if (peek(reader) == wanted) {
        reader->at++;
        return true;
    }
    snprintf(message, sizeof message, "JSON: '%c' expected", wanted);
    return read_fail(reader, message);
}

bool read_open(struct reader *reader, char bracket)
{
    return expect(reader, bracket);
}

bool read_more(struct reader *reader, char close, bool first, bool *more)
{
    *more = false;
    if (peek(reader) == close) {
        reader->at++;
        return true;
    }
    if (!first && !expect(reader, ','))
        return false;
    *more = true;
    return true;
}

bool read_key(struct reader *reader, char **key)
{
    if (!read_string(reader, key))
        return false;
    if (expect(reader, ':'))
        return true;
    free(*key);
    *key = NULL;
    return false;
}

static bool read_hex(struct reader *reader, unsigned *code)
{
    *code = 0;
    for (int i = 0; i < 4; i++, reader->at++) {
        char c = reader->at < reader->end ? *reader->at : 0;
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
                         : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A') + 10
                                                : 16;
        if (digit > 15)
            return read_fail(reader, "JSON: four hexadecimal digits must follow \\u");
        *code = *code * 16 + digit;
    }
    return true;
}

static size_t utf8_encode(unsigned code, char *out)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    size_t count = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = count - 1; i > 0; i--, code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3f));
    out[0] = (char)((count == 2 ? 0xc0 : count == 3 ? 0xe0 : 0xf0) | code);
    return count;
}

/* What follows a backslash; a pair of surrogates is one character. */
static bool read_escape(struct reader *reader, struct text *text)
{
    static const char names[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    char encoded[4], c = reader->at < reader->end ? *reader->at++ : 0;
    const char *found = c ? strchr(names, c) : NULL;
    unsigned code, low;
    if (found) {
        text_add(text, &meanings[found - names], 1);
        return true;
    }
    if (c != 'u')
        return read_fail(reader, "JSON: unknown escape in a string");
    if (!read_hex(reader, &code))
        return false;
    if (code >= 0xd800 && code < 0xdc00) {
        if (reader->end - reader->at < 2 || reader->at[0] != '\\' || reader->at[1] != 'u')
            return read_fail(reader, "JSON: half a surrogate pair in a string");
        reader->at += 2;
        if (!read_hex(reader, &low))
            return false;
        if (low < 0xdc00 || low > 0xdfff)
            return read_fail(reader, "JSON: half a surrogate pair in a string");
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    } else if (code >= 0xdc00 && code < 0xe000) {
        return read_fail(reader, "JSON: half a surrogate pair in a string");
    }
    if (code == 0)
        return read_fail(reader, "JSON: a string must not hold the character 0");
    text_add(text, encoded, utf8_encode(code, encoded));
    return true;
}

static bool is_utf8(struct reader *reader, const char *value)
{
    const unsigned char *s = (const unsigned char *)value;
    for (size_t length; *s; s += length)
        if ((length = utf8_length(s)) == 0)
            return read_fail(reader, "JSON: a string must be UTF-8");
    return true;
}

bool read_string(struct reader *reader, char **value)
{
    struct text text = {0};
    *value = NULL;
    if (!expect(reader, '"'))
        return false;
    while (reader->at < reader->end && *reader->at != '"') {
        char c = *reader->at++;
        if ((unsigned char)c < 0x20) {
            read_fail(reader, "JSON: control character in a string");
            break;
        }
        if (c != '\\')
            text_add(&text, &c, 1);
        else if (!read_escape(reader, &text))
            break;
    }
    text_add(&text, "", 1);
    if (reader->error[0] || !expect(reader, '"') || !is_utf8(reader, text.data)) {
        text_free(&text);
        return false;
    }
    *value = text.data;
    return true;
}

bool read_integer(struct reader *reader, long long *value)
{
    char c = peek(reader);
    bool negative = c == '-';
    const char *start = reader->at += negative;
    long long result = 0;
    while (reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9') {
        int digit = *reader->at++ - '0';
        if (result > (9223372036854775807LL - digit) / 10)
            return read_fail(reader, "JSON: a number does not fit 64 bits");
        result = result * 10 + digit;
    }
    if (reader->at == start || (*start == '0' && reader->at - start > 1))
        return read_fail(reader, "JSON: an integer expected");
    if (reader->at < reader->end && memchr(".eE", *reader->at, 3))
        return read_fail(reader, "JSON: an integer expected, not a fraction");
    *value = negative ? -result : result;
    return true;
}

static bool read_word(struct reader *reader, const char *word)
{
    size_t length = strlen(word);
    if (peek(reader) != word[0] || (size_t)(reader->end - reader->at) < length ||
        memcmp(reader->at, word, length) != 0)
        return false;
    reader->at += length;
    return true;
}

bool read_boolean(struct reader *reader, bool *value)
{
    *value = read_word(reader, "true");
    return *value || read_word(reader, "false") || read_fail(reader, "JSON: true or false expected");
}

bool read_null(struct reader *reader)
{
    return read_word(reader, "null");
}

/* The digits of a number, at least one. */
static bool skip_digits(struct reader *reader)
{
    const char *start = reader->at;
    while (reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9')
        reader->at++;
    return reader->at > start || read_fail(reader, "JSON: a digit expected");
}

static bool skip_number(struct reader *reader)
{
    reader->at += *reader->at == '-';
    bool zero = reader->at < reader->end && *reader->at == '0';
    const char *start = reader->at;
    if (!skip_digits(reader))
        return false;
    if (zero && reader->at - start > 1)
        return read_fail(reader, "JSON: a number must not begin with 0");
    if (reader->at < reader->end && *reader->at == '.' && (reader->at++, !skip_digits(reader)))
        return false;
    if (reader->at == reader->end || !memchr("eE", *reader->at, 2))
        return true;
    reader->at++;
    if (reader->at < reader->end && memchr("+-", *reader->at, 2))
        reader->at++;
    return skip_digits(reader);
}

bool read_skip(struct reader *reader, int depth)
{
    char *ignored = NULL, c = peek(reader);
    bool flag, more = true;
    if (depth > DEEPEST)
        return read_fail(reader, "JSON: nested too deeply");
    if (c == '"') {
        bool good = read_string(reader, &ignored);
        free(ignored);
        return good;
    }
    if (c == 't' || c == 'f')
        return read_boolean(reader, &flag);
    if (c == 'n')
        return read_null(reader) || read_fail(reader, "JSON: null expected");
    if (c == '-' || (c >= '0' && c <= '9'))
        return skip_number(reader);
    if (c != '[' && c != '{')
        return read_fail(reader, "JSON: a value expected");
    reader->at++;
    char close = c == '[' ? ']' : '}';
    for (bool first = true; read_more(reader, close, first, &more) && more; first = false) {
        if (c == '{' && !read_key(reader, &ignored))
            return false;
        free(ignored);
        ignored = NULL;
        if (!read_skip(reader, depth + 1))
            return false;
    }
    return !reader->error[0];
}

bool read_end(struct reader *reader)
{
    return peek(reader) == 0 && reader->at == reader->end ? true
                                                           : read_fail(reader, "JSON: text after the value");
}
