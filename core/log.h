/* Talk, for people: what is going on, and warnings about things that went on all the same.
 *
 * Nothing below harness/ prints; it says, and harness/ decides where that goes. Safe to call from any thread once the sink is set
 * (before threads start). Without a sink all is silent. */
#ifndef TOKSWEEP_CORE_LOG_H
#define TOKSWEEP_CORE_LOG_H

enum log_level { LOG_NOTE, LOG_WARNING };

typedef void log_sink(enum log_level level, const char *text);

void log_set_sink(log_sink *sink, enum log_level lowest);

/* One sentence, no newline at its end. */
void log_say(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
