#include "json.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *checked_realloc(void *old, size_t count, size_t size)
{
    if (count == 0)
        count = 1;
    void *fresh = size && count > SIZE_MAX / size ? NULL : realloc(old, count * size);
    if (!fresh) {
        fprintf(stderr, "agent: out of memory for %zu items of %zu bytes\n", count, size);
        _Exit(9);
    }
    return fresh;
}

void text_free(struct text *text)
{
    free(text->data);
    *text = (struct text){0};
}

void text_add(struct text *text, const char *bytes, size_t count)
{
    if (text->capacity - text->length < count) {
        text->capacity = (text->length + count) * 2;
        text->data = checked_realloc(text->data, text->capacity, 1);
    }
    if (count)
        memcpy(text->data + text->length, bytes, count);
    text->length += count;
}

size_t utf8_length(const unsigned char *s)
{
    static const struct {
        unsigned char low, high, second_low, second_high;
        size_t length;
    } forms[] = {
        {0x01, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if (s[0] < forms[i].low || s[0] > forms[i].high)
            continue;
        if (forms[i].length > 1 && (s[1] < forms[i].second_low || s[1] > forms[i].second_high))
            return 0;
        for (size_t k = 2; k < forms[i].length; k++)
            if ((s[k] & 0xc0) != 0x80)
                return 0;
        return forms[i].length;
    }
    return 0;
}

static void quoted(struct text *text, const char *value)
{
    text_add(text, "\"", 1);
    for (const unsigned char *s = (const unsigned char *)value; *s;) {
        size_t length = utf8_length(s);
        char escaped[8];
        if (*s == '"' || *s == '\\')
            text_add(text, escaped, (size_t)snprintf(escaped, sizeof escaped, "\\%c", *s));
        else if (*s < 0x20)
            text_add(text, escaped, (size_t)snprintf(escaped, sizeof escaped, "\\u%04x", *s));
        else if (length)
            text_add(text, (const char *)s, length);
        else
            text_add(text, "?", 1); /* names on disk may be any bytes; JSON may not */
        s += length ? length : 1;
    }
    text_add(text, "\"", 1);
}

/* A comma unless this is the first member; then the name. */
static void member(struct text *text, const char *name)
{
    char last = text->length ? text->data[text->length - 1] : '{';
    if (last != '{' && last != '[')
        text_add(text, ",", 1);
    if (name) {
        quoted(text, name);
        text_add(text, ":", 1);
    }
}

void json_open(struct text *text, const char *name, char bracket)
{
    if (text->length)
        member(text, name);
    text_add(text, &bracket, 1);
}

void json_close(struct text *text, char bracket)
{
    text_add(text, &bracket, 1);
}

static void number(struct text *text, long long value)
{
    char digits[24];
    if (value == UNKNOWN)
        text_add(text, "null", 4);
    else
        text_add(text, digits, (size_t)snprintf(digits, sizeof digits, "%lld", value));
}

void json_number(struct text *text, const char *name, long long value)
{
    member(text, name);
    number(text, value);
}

void json_hundredths(struct text *text, const char *name, long long value)
{
    char digits[24];
    member(text, name);
    if (value == UNKNOWN)
        text_add(text, "null", 4);
    else
        text_add(text, digits,
                 (size_t)snprintf(digits, sizeof digits, "%lld.%02lld", value / 100, value % 100));
}

void json_real(struct text *text, const char *name, double value)
{
    char digits[32];
    member(text, name);
    if (!(value - value == 0))
        text_add(text, "null", 4);
    else
        text_add(text, digits, (size_t)snprintf(digits, sizeof digits, "%.6g", value));
}

void json_boolean(struct text *text, const char *name, bool value)
{
    member(text, name);
    text_add(text, value ? "true" : "false", value ? 4 : 5);
}

void json_string(struct text *text, const char *name, const char *value)
{
    member(text, name);
    if (value)
        quoted(text, value);
    else
        text_add(text, "null", 4);
}

void json_numbers(struct text *text, const char *name, const long long *values, size_t count)
{
    json_open(text, name, '[');
    for (size_t i = 0; i < count; i++) {
        if (i)
            text_add(text, ",", 1);
        number(text, values[i]);
    }
    json_close(text, ']');
}
