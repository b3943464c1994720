/* The gate of the http runner: places for requests that are under way, and what the run may spend. */
#include "runners/http_impl.h"

#include <math.h>
#include <time.h>

enum { FIRST_LIMIT = 4 };

void http_gate_open(struct http_gate *gate, const struct http_settings *settings)
{
    *gate = (struct http_gate){.most = settings->concurrency, .most_requests = settings->most_requests, .most_tokens = settings->most_tokens};
    gate->limit = gate->most < FIRST_LIMIT ? gate->most : FIRST_LIMIT;
    pthread_mutex_init(&gate->lock, NULL);
}

void http_gate_close(struct http_gate *gate)
{
    pthread_mutex_destroy(&gate->lock);
}

/* Whether one more request stays within the bound on tokens, each of those under way being as large as the largest so far; before any has
 * come back, one goes alone. */
static enum http_pass affordable(const struct http_gate *gate)
{
    if (!gate->most_tokens)
        return HTTP_GO;
    bool fits = gate->tokens + (gate->in_flight + 1) * gate->largest <= gate->most_tokens;
    if (gate->in_flight)
        return gate->largest && fits ? HTTP_GO : HTTP_WAIT;
    return fits ? HTTP_GO : HTTP_SPENT;
}

enum http_pass http_gate_enter(struct http_gate *gate, double now)
{
    enum http_pass pass = HTTP_WAIT;
    pthread_mutex_lock(&gate->lock);
    if (gate->most_requests && gate->requests >= gate->most_requests)
        pass = gate->in_flight ? HTTP_WAIT : HTTP_SPENT; /* what is paid for comes in first */
    else if (now >= gate->paused_until && gate->in_flight + 1 <= (int)gate->limit)
        pass = affordable(gate);
    if (pass == HTTP_GO) {
        gate->in_flight++;
        gate->requests++;
    }
    pthread_mutex_unlock(&gate->lock);
    return pass;
}

void http_gate_leave(struct http_gate *gate, enum http_verdict verdict, double started, double now, int64_t tokens, double pause_s)
{
    pthread_mutex_lock(&gate->lock);
    gate->in_flight--;
    gate->tokens += tokens;
    gate->largest = tokens > gate->largest ? tokens : gate->largest;
    if (verdict == HTTP_ANSWER)
        gate->limit = fmin(gate->most, gate->limit + 1 / gate->limit);
    if (verdict == HTTP_STRAINED && started >= gate->cut_at) { /* of those sent before the last cut, one complaint was enough */
        gate->limit = fmax(1, gate->limit / 2);
        gate->cut_at = now;
    }
    if (verdict == HTTP_STRAINED && pause_s > 0)
        gate->paused_until = fmax(gate->paused_until, now + pause_s);
    pthread_mutex_unlock(&gate->lock);
}
