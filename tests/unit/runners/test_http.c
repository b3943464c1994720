/* The http runner against a server with every fault: each wanted answer ends in a reply or a status, once, and nothing is spent, kept or
 * told that should not be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "runners/http_impl.h"

#include "core/clock.h"
#include "tests/support/faulty_server.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST_SAMPLES = 40, FRAMES = 2, SIDE = 5 };

struct heard { enum answer_status status; int n, attempts; char raw[300], message[500], usage[200]; };

struct subject { /* the runner opened on a faulty server, and a job of one cell */
    struct faulty *server;
    struct json *keys;
    void *self, *worker;
    struct runner_facts facts;
    struct run_cell run;
    struct job_cell cell;
    struct sample samples[MOST_SAMPLES];
    struct job_sample asked[MOST_SAMPLES];
    struct video_ref video;
    uint32_t index[FRAMES + 1];
    bool wanted[MOST_SAMPLES];
    atomic_bool stop;
    struct job job;
    struct heard heard[MOST_SAMPLES];
    int total;
};

static int hear(void *context, size_t cell, size_t sample, const struct answer *answer)
{
    struct subject *subject = context;
    struct heard *heard = &subject->heard[sample];
    (void)cell;
    heard->n++;
    heard->status = answer->status;
    heard->attempts = answer->remote.attempts;
    snprintf(heard->raw, sizeof heard->raw, "%s", answer->raw ? answer->raw : "(none)");
    snprintf(heard->message, sizeof heard->message, "%s", answer->message ? answer->message : "");
    snprintf(heard->usage, sizeof heard->usage, "%s", answer->remote.usage ? answer->remote.usage : "");
    subject->total++;
    return 0;
}

/* `more` are keys of the runner beyond those that make a test quick, each with a comma before it. A busy machine may take seconds over any
 * reply, so nothing times out but where a test is about that. */
static void open_subject(struct subject *subject, int capacity, const char *more)
{
    char keys[600];
    struct err err = {0};
    memset(subject, 0, sizeof *subject);
    subject->server = faulty_start(capacity);
    snprintf(keys, sizeof keys, "{\"base_url\": \"%s\", \"backoff\": 0.005%s%s%s}", faulty_url(subject->server),
             strstr(more, "timeout") ? "" : ", \"timeout\": 60", strstr(more, "retries") ? "" : ", \"retries\": 3", more);
    assert_int_equal(json_parse(&subject->keys, keys, strlen(keys), "keys", &err), 0);
    struct runner_options options = {.model = "some-model", .dtype = "f32", .isa = "auto", .device = "cpu", .extra = subject->keys};
    if (runner_http.open(&subject->self, &options, &subject->facts, &err) || runner_http.worker_open(subject->self, &subject->worker, 1, &err))
        fail_msg("%s", err.text);
    struct frames *frames = &subject->job.frames;
    *frames = (struct frames){.width = SIDE, .height = SIDE, .n = FRAMES, .index = calloc(FRAMES, sizeof *frames->index),
                              .time_s = calloc(FRAMES, sizeof *frames->time_s), .rgb = calloc(FRAMES, SIDE * SIDE * 3)};
    subject->index[1] = subject->index[2] = frames->index[1] = 7;
    subject->run.methods[0].compressor = compressor_find("none");
    subject->run.n_methods = 1;
    subject->run.cell = (struct cell){.compressor = "none", .frames = 3, .pooling = subject->facts.pooling, .newline = subject->facts.newline,
                                      .conversation = "qwen_1_5", .repetition_penalty = 1, .max_new_tokens = 16};
    subject->cell = (struct job_cell){&subject->run, subject->index, FRAMES + 1};
    subject->video = (struct video_ref){.id = "v", .path = "v.mp4", .start_s = -1};
    subject->job.benchmark = "videomme";
    subject->job.video = &subject->video;
    subject->job.cells = &subject->cell;
    subject->job.n_cells = 1;
    subject->job.samples = subject->asked;
    subject->job.wanted = subject->wanted;
    subject->job.stop = &subject->stop;
}

/* Adds a question; the server does as it says. */
static void ask(struct subject *subject, const char *question)
{
    size_t s = subject->job.n_samples++;
    subject->samples[s] = (struct sample){.id = question, .question = question, .answer = 0};
    subject->asked[s] = (struct job_sample){&subject->samples[s], {.user = question}};
    subject->wanted[s] = true;
}

static int run(struct subject *subject, struct err *err)
{
    return runner_http.run(subject->self, subject->worker, &subject->job, hear, subject, err);
}

static void close_subject(struct subject *subject)
{
    runner_http.worker_close(subject->self, subject->worker);
    runner_http.close(subject->self);
    faulty_stop(subject->server);
    frames_free(&subject->job.frames);
    json_free(subject->keys);
}

/* ---- faults -------------------------------------------------------------------------------------------------------------------- */

static const struct fault { const char *question; enum answer_status status; int attempts; const char *said, *heard; } faults[] = {
    {"ok", ANSWER_OK, 1, "", "heard "},
    {"drop ok", ANSWER_OK, 2, "", "heard "},
    {"reset ok", ANSWER_OK, 2, "", "heard "},
    {"half ok", ANSWER_OK, 2, "", "heard "},
    {"408 409 429 ok", ANSWER_OK, 4, "", "heard "},
    {"500 502 503 ok", ANSWER_OK, 4, "", "heard "},
    {"nonsense ok", ANSWER_OK, 2, "", "heard "},
    {"empty ok", ANSWER_OK, 2, "", "heard "},
    {"huge ok", ANSWER_OK, 2, "", "heard "},
    {"null", ANSWER_OK, 1, "", ""},
    {"drop", ANSWER_RUNNER_FAILED, 4, "asked 4 times", ""},
    {"reset", ANSWER_RUNNER_FAILED, 4, "asked 4 times", ""},
    {"half", ANSWER_RUNNER_FAILED, 4, "asked 4 times", ""},
    {"500", ANSWER_RUNNER_FAILED, 4, "the server says 500: as you wish", ""},
    {"429", ANSWER_RUNNER_FAILED, 4, "the server says 429", ""},
    {"429:3600", ANSWER_RUNNER_FAILED, 1, "asks to wait for more than ten minutes", ""},
    {"nonsense", ANSWER_RUNNER_FAILED, 4, "not valid JSON", ""},
    {"empty", ANSWER_RUNNER_FAILED, 4, "no choices[0].message.content", ""},
    {"huge", ANSWER_RUNNER_FAILED, 4, "longer than 4 MiB", ""},
    {"400 ok", ANSWER_RUNNER_FAILED, 1, "the server says 400: as you wish", ""},
    {"404", ANSWER_RUNNER_FAILED, 1, "the server says 404", ""},
    {"422", ANSWER_RUNNER_FAILED, 1, "the server says 422", ""},
    {"long", ANSWER_TOO_LONG, 1, "maximum context length is 4096", ""},
};

enum { FAULTS = sizeof faults / sizeof *faults };

/* Asks all of them at once; every one is heard once, as it should be, and no request was made that is not counted. */
static void assert_all(const struct fault *asked, int n, const char *keys)
{
    struct subject subject;
    struct err err = {0};
    int requests = 0;
    open_subject(&subject, 0, keys);
    for (int i = 0; i < n; i++)
        ask(&subject, asked[i].question);
    if (run(&subject, &err))
        fail_msg("%s", err.text);
    assert_int_equal(subject.total, n);
    for (int i = 0; i < n; i++) {
        const struct heard *heard = &subject.heard[i];
        char expected[300] = "(none)";
        if (asked[i].status == ANSWER_OK)
            snprintf(expected, sizeof expected, "%s%s", asked[i].heard, *asked[i].heard ? asked[i].question : "");
        if (heard->n != 1 || heard->status != asked[i].status || heard->attempts != asked[i].attempts || strcmp(heard->raw, expected) ||
            !strstr(heard->message, asked[i].said))
            fail_msg("'%s': %d answers, %s after %d attempts, '%s', '%s'", asked[i].question, heard->n, answer_status_name(heard->status), heard->attempts,
                     heard->raw, heard->message);
        if (*asked[i].heard) /* a reply of the ordinary kind */
            assert_string_equal(heard->usage, "{\"cached\":{\"tokens\":1},\"completion_tokens\":10,\"prompt_tokens\":90}");
        requests += heard->attempts;
    }
    assert_int_equal(faulty_requests(subject.server), requests);
    close_subject(&subject);
}

static void test_every_fault_ends(void **state)
{
    (void)state;
    assert_all(faults, FAULTS, ", \"concurrency\": 32");
}

static void test_late_replies_end(void **state)
{
    (void)state;
    static const struct fault late[] = {
        {"stall ok", ANSWER_OK, 2, "", "heard "},
        {"slow ok", ANSWER_OK, 2, "", "heard "},
        {"stall", ANSWER_TIMEOUT, 2, "asked 2 times", ""},
        {"slow", ANSWER_TIMEOUT, 2, "asked 2 times", ""},
    };
    assert_all(late, sizeof late / sizeof *late, ", \"timeout\": 3, \"retries\": 1");
}

/* Seconds until the answer was there. */
static double time_of(const char *question)
{
    struct subject subject;
    struct err err = {0};
    open_subject(&subject, 0, "");
    ask(&subject, question);
    double start = now_s();
    assert_int_equal(run(&subject, &err), 0);
    double took = now_s() - start;
    assert_int_equal(subject.heard[0].status, ANSWER_OK);
    close_subject(&subject);
    return took;
}

/* Never sooner than the server asks; of several tries on a machine that may be busy one is not much later. */
static void test_waits_are_honoured(void **state)
{
    (void)state;
    enum { TRIES = 5 };
    static const struct { const char *question; double least, most; } waits[] = {{"429:1 ok", 1, 5}, {"503:-2 ok", 0.9, 6}, {"500 ok", 0, 0.9}};
    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
        double took = INFINITY;
        for (int try = 0; try < TRIES && took > waits[i].most; try++) {
            took = time_of(waits[i].question);
            if (took < waits[i].least)
                fail_msg("'%s' took %g s", waits[i].question, took);
        }
        if (took > waits[i].most)
            fail_msg("'%s' took %g s, and no less in %d tries", waits[i].question, took, TRIES);
    }
}

/* A server with room for three: nothing is lost, and it is not flooded. */
static void test_concurrency_adapts(void **state)
{
    (void)state;
    struct subject subject;
    struct err err = {0};
    char questions[MOST_SAMPLES][16];
    open_subject(&subject, 3, ", \"concurrency\": 12, \"retries\": 20");
    for (int i = 0; i < MOST_SAMPLES; i++) {
        snprintf(questions[i], sizeof questions[i], "ok %d", i);
        ask(&subject, questions[i]);
    }
    assert_int_equal(run(&subject, &err), 0);
    assert_int_equal(subject.total, MOST_SAMPLES);
    for (int i = 0; i < MOST_SAMPLES; i++) {
        assert_int_equal(subject.heard[i].status, ANSWER_OK);
        assert_string_equal(subject.heard[i].raw + 6, questions[i]);
    }
    assert_true(faulty_most_at_once(subject.server) <= 12);
    assert_true(faulty_requests(subject.server) < 3 * MOST_SAMPLES);
    close_subject(&subject);
}

static void *stop_soon(void *context)
{
    nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
    atomic_store(&((struct subject *)context)->stop, true);
    return NULL;
}

static void test_a_stop_ends_at_once(void **state)
{
    (void)state;
    struct subject subject;
    struct err err = {0};
    pthread_t thread;
    open_subject(&subject, 0, "");
    for (int i = 0; i < 5; i++)
        ask(&subject, i ? "stall" : "ok");
    assert_int_equal(pthread_create(&thread, NULL, stop_soon, &subject), 0);
    double start = now_s();
    assert_int_equal(run(&subject, &err), 0);
    assert_true(now_s() - start < 5);
    assert_int_equal(subject.total, 1);
    pthread_join(thread, NULL);
    close_subject(&subject);
}

/* ---- bounds and keys ----------------------------------------------------------------------------------------------------------- */

static void assert_bound(const char *keys, int answers, int requests, const char *said)
{
    struct subject subject;
    struct err err = {0};
    open_subject(&subject, 0, keys);
    for (int i = 0; i < 8; i++)
        ask(&subject, i % 2 ? "500 ok" : "ok");
    int rc = run(&subject, &err);
    assert_int_equal(rc, ERR_REMOTE);
    assert_non_null(strstr(err.text, said));
    assert_true(subject.total >= answers && subject.total <= requests);
    assert_true(faulty_requests(subject.server) <= requests);
    close_subject(&subject);
}

static void test_bounds_are_kept(void **state)
{
    (void)state;
    assert_bound(", \"most_requests\": 5", 2, 5, "bound of 5 requests");
    assert_bound(", \"most_tokens\": 350", 3, 8, "or 350 tokens is reached"); /* 100 each: three answers, and no request that could pass it */
}

static void test_a_refusal_ends_the_run(void **state)
{
    (void)state;
    static const char *const refusals[] = {"401", "402", "403", "quota"};
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        struct subject subject;
        struct err err = {0};
        open_subject(&subject, 0, "");
        ask(&subject, refusals[i]);
        assert_int_equal(run(&subject, &err), ERR_REMOTE);
        assert_non_null(strstr(err.text, "refuses"));
        assert_int_equal(subject.total, 0);
        close_subject(&subject);
    }
}

static void test_a_key_is_never_told(void **state)
{
    (void)state;
    struct subject subject;
    struct err err = {0};
    setenv("TEST_KEY", "sk-secret-123", 1);
    open_subject(&subject, 0, ", \"key_variable\": \"TEST_KEY\"");
    ask(&subject, "echo");
    assert_int_equal(run(&subject, &err), 0);
    assert_string_equal(subject.heard[0].message, "the server says 400: what is Bearer *************?"); /* so it was sent */
    close_subject(&subject);
}

static void assert_refused(const char *keys, const char *said)
{
    struct json *json;
    struct err err = {0};
    struct runner_facts facts;
    void *self;
    assert_int_equal(json_parse(&json, keys, strlen(keys), "keys", &err), 0);
    struct runner_options options = {.model = "m", .dtype = "f32", .isa = "auto", .device = "cpu", .extra = json};
    assert_int_equal(runner_http.open(&self, &options, &facts, &err), ERR_CONFIG);
    if (!strstr(err.text, said) || strstr(err.text, "sk-secret"))
        fail_msg("%s: %s", keys, err.text);
    json_free(json);
}

static void test_settings_are_checked(void **state)
{
    (void)state;
    setenv("TEST_KEY", "sk-secret-123", 1);
    setenv("BAD_KEY", "sk-secret\r\nX: y", 1);
    assert_refused("{}", "does not know its server");
    assert_refused("{\"base_url\": \"ftp://x\"}", "http:// or https://");
    assert_refused("{\"base_url\": \"http://u:sk-secret@x/v1\"}", "keys belong into the environment");
    assert_refused("{\"base_url\": \"http://x/v1?key=sk-secret\"}", "without '?'");
    assert_refused("{\"base_url\": \"http://example.org/v1\", \"key_variable\": \"TEST_KEY\"}", "unencrypted");
    assert_refused("{\"base_url\": \"http://127.0.0.1/v1\", \"key_variable\": \"BAD_KEY\"}", "BAD_KEY has blanks");
    assert_refused("{\"base_url\": \"http://127.0.0.1/v1\", \"key_variable\": \"NO_KEY\"}", "NO_KEY holds no key");
    assert_refused("{\"base_url\": \"http://127.0.0.1/v1\", \"temperature\": 3}", "'temperature' should be a number from 0 to 2");
    assert_refused("{\"base_url\": \"http://127.0.0.1/v1\", \"timeout\": null}", "cannot be null");
    assert_refused("{\"base_url\": \"http://127.0.0.1/v1\", \"retries\": 1.5}", "'retries' should be a whole number");
    assert_refused("{\"base_url\": \"http://127.0.0.1/v1\", \"picture\": \"gif\"}", "png or jpeg");
    assert_refused("{\"base_url\": \"http://127.0.0.1/v1\", \"jpeg_quantiser\": 3}", "add picture: jpeg");
    assert_refused("{\"base_url\": \"http://127.0.0.1/v1\", \"body\": {\"messages\": []}}", "cannot have 'messages'");
    assert_refused("{\"base_url\": \"http://127.0.0.1/v1\", \"body\": {\"api_key\": \"sk-secret\"}}", "has 'api_key'");
    assert_refused("{\"base_url\": \"http://127.0.0.1/v1\", \"length_key\": \"limit\"}", "max_completion_tokens");
}

/* ---- bodies -------------------------------------------------------------------------------------------------------------------- */

static const struct json *part(const struct json *list, int i)
{
    const struct json *at = json_first(list);
    while (i-- && at)
        at = json_next(at);
    return at;
}

static struct json *body_of(struct subject *subject)
{
    struct json *body;
    struct err err = {0};
    if (run(subject, &err) || json_parse(&body, faulty_last_body(subject->server), strlen(faulty_last_body(subject->server)), "body", &err))
        fail_msg("%s", err.text);
    return body;
}

static void test_what_is_sent(void **state)
{
    (void)state;
    struct subject subject;
    open_subject(&subject, 0, ", \"seed\": 5, \"top_p\": null, \"body\": {\"x\": {\"n\": \"{frames}\"}, \"temperature\": 0.5, \"y\": 1}, \"length_key\": \"max_completion_tokens\"");
    ask(&subject, "ok \n");
    subject.asked[0].prompt = (struct prompt_text){.system = "be \"brief\"", .user = "ok which?", .prefill = "("};
    subject.run.cell.body = "{\"y\": 2, \"z\": [1]}";
    struct json *body = body_of(&subject);
    const struct json *messages = json_get(body, "messages"), *content = json_get(part(messages, 1), "content");
    assert_int_equal(json_count(messages), 3);
    assert_string_equal(json_string(json_get(part(messages, 0), "content")), "be \"brief\"");
    assert_int_equal(json_count(content), 4); /* three frames, two of them the same, then the question */
    const char *first = json_string(json_get(json_get(part(content, 0), "image_url"), "url"));
    assert_int_equal(strncmp(first, "data:image/png;base64,iVBOR", 27), 0);
    assert_string_equal(json_string(json_get(json_get(part(content, 1), "image_url"), "url")),
                        json_string(json_get(json_get(part(content, 2), "image_url"), "url")));
    assert_string_equal(json_string(json_get(part(content, 3), "text")), "ok which?");
    assert_string_equal(json_string(json_get(part(messages, 2), "content")), "(");
    assert_string_equal(json_string(json_get(body, "model")), "some-model");
    assert_true(json_number(json_get(body, "max_completion_tokens")) == 16 && !json_get(body, "max_tokens"));
    assert_true(json_number(json_get(body, "temperature")) == 0.5 && json_number(json_get(body, "seed")) == 5 && !json_get(body, "top_p"));
    assert_true(json_number(json_get(json_get(body, "x"), "n")) == 3 && json_number(json_get(body, "y")) == 2);
    assert_false(json_get(body, "compressor") || json_get(body, "repetition_penalty"));
    json_free(body);
    close_subject(&subject);
}

static void test_other_forms_of_a_video(void **state)
{
    (void)state;
    struct subject subject;
    struct err err = {0};
    open_subject(&subject, 0, ", \"picture\": \"jpeg\", \"system\": \"s\"");
    ask(&subject, "ok");
    struct json *body = body_of(&subject);
    const struct json *content = json_get(part(json_get(body, "messages"), 1), "content");
    assert_int_equal(strncmp(json_string(json_get(json_get(part(content, 0), "image_url"), "url")), "data:image/jpeg;base64,/9j/", 27), 0);
    json_free(body);
    close_subject(&subject);

    open_subject(&subject, 0, ", \"video_url\": \"http://there/{name}?from={path}\"");
    assert_int_equal(subject.facts.frame_side, -1);
    ask(&subject, "ok");
    subject.video.path = FIXTURES_DIR "/micro/config.json"; /* any file that is there */
    body = body_of(&subject);
    content = json_get(part(json_get(body, "messages"), 0), "content");
    assert_int_equal(json_count(content), 2);
    const char *url = json_string(json_get(json_get(part(content, 0), "video_url"), "url"));
    assert_int_equal(strncmp(url, "http://there/config.json?from=/", 31), 0);
    json_free(body);
    subject.video.start_s = 3;
    assert_int_equal(run(&subject, &err), 0);
    assert_int_equal(subject.heard[0].status, ANSWER_RUNNER_FAILED);
    subject.video = (struct video_ref){.id = "v", .path = "v.mp4", .missing = true, .start_s = -1};
    assert_int_equal(run(&subject, &err), 0);
    assert_int_equal(subject.heard[0].status, ANSWER_MISSING_VIDEO);
    assert_int_equal(faulty_requests(subject.server), 1);
    close_subject(&subject);
}

static void test_a_server_without_compressors(void **state)
{
    (void)state;
    struct subject subject;
    struct err err = {0};
    size_t bytes;
    open_subject(&subject, 0, "");
    assert_int_equal(runner_http.bytes_needed(subject.self, &subject.cell, 1, 3, 1, &bytes, &err), 0);
    subject.run.methods[0].compressor = compressor_find("dyntok");
    assert_int_equal(runner_http.bytes_needed(subject.self, &subject.cell, 1, 3, 1, &bytes, &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "has no compressor 'dyntok'"));
    subject.run.methods[0].compressor = compressor_find("none");
    subject.run.cell.pooling = "average";
    assert_int_equal(runner_http.bytes_needed(subject.self, &subject.cell, 1, 3, 1, &bytes, &err), ERR_CONFIG);
    subject.run.cell.pooling = "server";
    subject.run.cell.body = "{\"stream\":true}";
    assert_int_equal(runner_http.bytes_needed(subject.self, &subject.cell, 1, 3, 1, &bytes, &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "axes.body cannot have 'stream'"));
    close_subject(&subject);
}

/* ---- parts --------------------------------------------------------------------------------------------------------------------- */

static void test_retry_after(void **state)
{
    (void)state;
    assert_true(http_retry_after(" 120 \r\n", 0) == 120);
    assert_true(http_retry_after("1.5", 0) == 1.5);
    assert_true(http_retry_after("Fri, 31 Dec 1999 23:59:59 GMT", 946684790) == 9);
    assert_true(http_retry_after("Fri, 31 Dec 1999 23:59:59 GMT", 946684999) == 0);
    assert_true(isnan(http_retry_after("soon", 0)) && isnan(http_retry_after("", 0)) && isnan(http_retry_after("12 monkeys", 0)));
}

static void test_the_gate(void **state)
{
    (void)state;
    struct http_gate gate;
    const struct http_settings settings = {.concurrency = 8, .most_requests = 30};
    http_gate_open(&gate, &settings);
    for (int i = 0; i < 4; i++)
        assert_int_equal(http_gate_enter(&gate, 1), HTTP_GO);
    assert_int_equal(http_gate_enter(&gate, 1), HTTP_WAIT);
    for (int i = 0; i < 4; i++) /* a round of answers is one place more */
        http_gate_leave(&gate, HTTP_ANSWER, 1, 2, 0, NAN);
    assert_true(gate.limit > 4.8 && gate.limit <= 5);
    for (int i = 0; i < 4; i++)
        assert_int_equal(http_gate_enter(&gate, 2), HTTP_GO);
    http_gate_leave(&gate, HTTP_STRAINED, 2, 3, 0, NAN);
    double once = gate.limit;
    http_gate_leave(&gate, HTTP_STRAINED, 2, 3.1, 0, NAN); /* sent before the cut */
    assert_true(once < 2.6 && gate.limit == once);
    http_gate_leave(&gate, HTTP_STRAINED, 4, 5, 0, 10);
    assert_true(gate.limit < once);
    http_gate_leave(&gate, HTTP_AGAIN, 4, 5, 0, 10);
    assert_int_equal(http_gate_enter(&gate, 14.9), HTTP_WAIT);
    assert_int_equal(http_gate_enter(&gate, 15.1), HTTP_GO);
    gate.requests = 30;
    assert_int_equal(http_gate_enter(&gate, 16), HTTP_WAIT); /* what is paid for comes in first */
    http_gate_leave(&gate, HTTP_ANSWER, 15.1, 16, 0, NAN);
    assert_int_equal(http_gate_enter(&gate, 16), HTTP_SPENT);
    http_gate_close(&gate);
}

int main(void)
{
    static const char *const variables[] = {"OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_BASE", "http_proxy", "all_proxy"};
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        unsetenv(variables[i]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_fault_ends),
        cmocka_unit_test(test_late_replies_end),
        cmocka_unit_test(test_waits_are_honoured),
        cmocka_unit_test(test_concurrency_adapts),
        cmocka_unit_test(test_a_stop_ends_at_once),
        cmocka_unit_test(test_bounds_are_kept),
        cmocka_unit_test(test_a_refusal_ends_the_run),
        cmocka_unit_test(test_a_key_is_never_told),
        cmocka_unit_test(test_settings_are_checked),
        cmocka_unit_test(test_what_is_sent),
        cmocka_unit_test(test_other_forms_of_a_video),
        cmocka_unit_test(test_a_server_without_compressors),
        cmocka_unit_test(test_retry_after),
        cmocka_unit_test(test_the_gate),
    };
    return cmocka_run_group_tests_name("http", tests, NULL, NULL);
}
