/* libcurl, opened at the first request: its functions are called as curl.<name> behind curl_open(). The program is not linked with it, so
 * that a call by the plain name does not link. For the http files of datasets/ and runners/ only.
 *
 * libcurl's own checks of option types are macros around its functions, and do without a table. */
#ifndef TOKSWEEP_CORE_CURL_H
#define TOKSWEEP_CORE_CURL_H

#include "core/err.h"

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>

#define CURL_FUNCTIONS(each)                                                                                                     \
    each(curl_easy_cleanup) each(curl_easy_getinfo) each(curl_easy_init) each(curl_easy_perform) each(curl_easy_setopt)          \
    each(curl_easy_strerror) each(curl_getdate) each(curl_global_init) each(curl_multi_add_handle) each(curl_multi_cleanup)      \
    each(curl_multi_info_read) each(curl_multi_init) each(curl_multi_perform) each(curl_multi_poll) each(curl_multi_remove_handle) \
    each(curl_slist_append) each(curl_slist_free_all)
#define CURL_MEMBER(name) __typeof__(&name) name;

extern struct curl { CURL_FUNCTIONS(CURL_MEMBER) } curl;

/* Fills the table and starts libcurl, once for the process. ERR_LIBRARY when it is missing. */
int curl_open(struct err *err);

#endif
