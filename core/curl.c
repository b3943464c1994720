/* libcurl and the table of what is called in it. */
#include "core/curl.h"

#include "core/library.h"

#include <pthread.h>

#define FUNCTION(name) {#name, &curl.name},

struct curl curl;
static struct err failure; /* what came of opening */

static void bind_all(void)
{
    static const struct library_function functions[] = {CURL_FUNCTIONS(FUNCTION)};
    /* the soname that there has been since 2006 */
    if (!library_bind("libcurl.so.4", "libcurl4", "talking to a server", functions, sizeof functions / sizeof *functions, &failure))
        curl.curl_global_init(CURL_GLOBAL_DEFAULT);
}

int curl_open(struct err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, bind_all);
    if (failure.code)
        *err = failure;
    return failure.code;
}
