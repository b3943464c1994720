/* Talk: one sink for the process. */
#include "core/log.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

static log_sink *current;
static enum log_level floor_level = LOG_NOTE;

void log_set_sink(log_sink *sink, enum log_level lowest)
{
    current = sink;
    floor_level = lowest;
}

void log_say(enum log_level level, const char *format, ...)
{
    if (!current || level < floor_level)
        return;
    char text[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    current(level, text);
}
