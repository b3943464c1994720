/* A server on loopback that does to each request what the question asks for, for tests of clients: a question is a list of words, one for
 * each time it is asked, the last one for all times after.
 *
 *   ok         a chat completion: "heard <question>", 100 tokens       null     one whose content is null
 *   400 ... 599  that status with OpenAI's error; "429:3" adds Retry-After: 3, "429:-2" a date two seconds ahead
 *   quota      429 with code insufficient_quota                        long     400 of a prompt that is too long
 *   echo       400 that quotes the request's Authorization
 *   drop       closes without a word                                   reset    so, with a reset
 *   stall      says nothing for ever                                   half     half of a body
 *   slow       a byte now and then, for ever                           huge     64 MiB
 *   nonsense   200 with a page of HTML                                 empty    200 with {} */
#ifndef TOKSWEEP_TESTS_FAULTY_SERVER_H
#define TOKSWEEP_TESTS_FAULTY_SERVER_H

#include <stddef.h>

struct faulty;

/* `capacity`: of requests at once; those beyond get 503. 0: no bound. Ends the process when it cannot start. */
struct faulty *faulty_start(int capacity);
void faulty_stop(struct faulty *server); /* when all clients are gone */

const char *faulty_url(const struct faulty *server);  /* base_url of the http runner */
int faulty_requests(struct faulty *server);           /* chat completions so far */
int faulty_most_at_once(struct faulty *server);
const char *faulty_last_body(struct faulty *server);  /* of the last of them; valid until the next */

#endif
