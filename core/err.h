/* Errors, returned and never printed below harness/.
 *
 * A function that can fail returns 0 or one of the negative codes here and takes a caller-owned `struct err *err` as its last
 * argument. On success the struct is untouched. On failure its text is one sentence, without a capital or a full stop, that names
 * the thing, the place, the expectation and the way out, and that can be shown to a user as it is. The innermost function speaks;
 * callers clean up, may put what they know in front (err_prefix), and pass the code on. `err` is never NULL. */
#ifndef TOKSWEEP_CORE_ERR_H
#define TOKSWEEP_CORE_ERR_H

#include <stdarg.h>

enum err_code {
    ERR_CONFIG = -1, /* what the user asked for makes no sense: change the command or the sweep file */
    ERR_DATA = -2,   /* bytes from outside are ill-formed: change the file */
    ERR_IO = -3,     /* the system refused to read or write */
    ERR_MEMORY = -4, /* it does not fit */
    ERR_DEVICE = -5, /* an accelerator is missing or failed */
    ERR_REMOTE = -6, /* a server failed */
    ERR_LIBRARY = -7, /* a library that is opened when it is needed is not installed */
};

struct err {
    int code; /* an err_code, 0 while nothing failed */
    char text[1024];
};

/* Sets code and text (cut at the end of the buffer) and returns `code`, so that a failure is one line:
 * return err_set(err, ERR_DATA, "'%s' has no column '%s'", path, name); */
int err_set(struct err *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Puts "<formatted>: " in front of the text and returns the code that is already there. */
int err_prefix(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts the formatted behind the text, as err_prefix: the way out that many errors of a function share. */
int err_append(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ERR_MEMORY for `bytes` wanted by `what`. */
int err_no_memory(struct err *err, const char *what);

/* ERR_IO with the text of `errno`: "cannot <verb> '<path>': <strerror>". */
int err_errno(struct err *err, const char *verb, const char *path);

#endif
