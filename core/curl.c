/* libcurl and the table of what is called in it. */
#include "core/curl.h"

#include "core/library.h"

#include <pthread.h>

#define FIND(name) \
    if (!rc)       \
        rc = library_find(library, soname, #name, &curl.name, &failure);

struct curl curl;
static struct err failure; /* what came of opening */

static void bind_all(void)
{
    static const char soname[] = "libcurl.so.4"; /* the one that there has been since 2006 */
    void *library;
    int rc = library_open(&library, soname, "libcurl4", "talking to a server", &failure);
    CURL_FUNCTIONS(FIND)
    if (!rc)
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
