/* Errors: formatting only. */
#include "core/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int err_set(struct err *err, int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    err->code = code;
    vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    return code;
}

int err_prefix(struct err *err, const char *format, ...)
{
    char text[sizeof err->text];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    size_t used = n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
    const char *const parts[] = {": ", err->text};
    for (size_t i = 0; i < 2; i++)
        for (const char *p = parts[i]; *p && used + 1 < sizeof text; p++)
            text[used++] = *p;
    text[used] = 0;
    memcpy(err->text, text, sizeof text);
    return err->code;
}

int err_append(struct err *err, const char *format, ...)
{
    size_t used = strlen(err->text);
    va_list args;
    va_start(args, format);
    vsnprintf(err->text + used, sizeof err->text - used, format, args);
    va_end(args);
    return err->code;
}

int err_no_memory(struct err *err, const char *what)
{
    return err_set(err, ERR_MEMORY, "out of memory for %s", what);
}

int err_errno(struct err *err, const char *verb, const char *path)
{
    int saved = errno;
    return err_set(err, saved == ENOMEM ? ERR_MEMORY : ERR_IO, "cannot %s '%s': %s", verb, path, strerror(saved));
}
