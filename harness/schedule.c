/* Schedule: one mutex, three queues. Events are rare (a video, an answer), so nothing finer is needed. */
#include "harness/schedule.h"

#include "core/clock.h"
#include "core/log.h"
#include "core/text.h"
#include "metrics/score.h"
#include "plots/group_map.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct task { /* one job on its way */
    struct task *next;
    const struct plan_job *planned;
    struct job job;
    struct job_cell *cells;
    struct job_sample *samples;
    enum answer_status status; /* ANSWER_OK, or why there are no frames */
    struct err why;
    struct err failure;        /* with which it ends, if it does */
    size_t bytes;              /* admitted */
    struct arena arena;
};

struct result { /* one answer, or the end of a task */
    struct result *next;
    struct task *task;
    bool ends;
    size_t cell, sample;
    struct answer answer;
    struct answer_groups groups; /* texts owned */
    char *raw, *message, *finish, *usage; /* owned */
};

static int keep_groups(void *context, size_t cell, size_t sample, const struct shown_tokens *shown);

struct queue { void *head, *tail; }; /* of things whose first member is `next` */

struct schedule {
    const struct sweep *sweep;
    const struct plan *plan;
    struct store *store;
    int64_t run;
    const int64_t *cell_ids;
    void *runner;
    const struct runner_facts *facts;
    const struct schedule_options *options;

    pthread_mutex_t lock;      /* guards the queues, `closed` and `to_decode`, `to_run`, `results` */
    pthread_cond_t decoding, running, news; /* something is in to_decode, to_run, results; the first two also: closed */
    struct queue to_decode, to_run, results;
    bool closed;               /* no more work will come */

    /* the caller's alone */
    struct task **in_flight;   /* [n_in_flight], room for two per worker */
    size_t next_job, n_in_flight, bytes_in_flight;
    struct schedule_progress progress;
    double started, renewed;
    double batched;            /* when the writes began that are not committed yet; 0: none are */
    atomic_bool halt;          /* the run ends early: options->stop, or a failure of the store */
};

struct link { struct link *next; };

static void push(struct queue *queue, void *item)
{
    struct link *link = item;
    link->next = NULL;
    if (queue->tail)
        ((struct link *)queue->tail)->next = link;
    else
        queue->head = link;
    queue->tail = link;
}

static void *pop(struct queue *queue)
{
    struct link *link = queue->head;
    if (link) {
        queue->head = link->next;
        if (!queue->head)
            queue->tail = NULL;
    }
    return link;
}

static const struct manifest *manifest_of(const struct schedule *schedule, const struct task *task)
{
    return &schedule->sweep->benchmarks[task->planned->benchmark].manifest;
}

static const struct video_ref *video_of(const struct schedule *schedule, const struct task *task)
{
    return &manifest_of(schedule, task)->videos[task->planned->video];
}

/* ---- tasks --------------------------------------------------------------------------------------------------------------- */

static void task_free(struct task *task)
{
    frames_free(&task->job.frames);
    arena_free(&task->arena);
    free(task);
}

static int task_new(struct task **out, struct schedule *schedule, const struct plan_job *planned, struct err *err)
{
    const struct sweep *sweep = schedule->sweep;
    const struct sweep_benchmark *benchmark = &sweep->benchmarks[planned->benchmark];
    struct task *task = calloc(1, sizeof *task);
    *out = NULL;
    if (!task)
        return err_no_memory(err, "a job");
    task->planned = planned;
    task->cells = arena_alloc(&task->arena, planned->n_cells, sizeof *task->cells);
    task->samples = arena_alloc(&task->arena, planned->n_samples, sizeof *task->samples);
    bool whole = task->cells && task->samples;
    for (size_t c = 0; c < planned->n_cells && whole; c++)
        task->cells[c].run = &sweep->cells[planned->cells[c]].run;
    for (size_t s = 0; s < planned->n_samples && whole; s++)
        task->samples[s].sample = &benchmark->manifest.samples[planned->samples[s]];
    if (!whole) {
        task_free(task);
        return err_no_memory(err, "a job");
    }
    task->job = (struct job){.benchmark = benchmark->benchmark->name,
                             .video = &benchmark->manifest.videos[planned->video],
                             .cells = task->cells,
                             .n_cells = planned->n_cells,
                             .samples = task->samples,
                             .n_samples = planned->n_samples,
                             .wanted = planned->wanted,
                             .viewer = schedule->options->keep_groups ? keep_groups : NULL,
                             .stop = &schedule->halt};
    *out = task;
    return 0;
}

/* Bytes of a task before its video is known: every cell's frames distinct, but never more than each count's own. */
static int task_bytes(struct schedule *schedule, struct task *task, struct err *err)
{
    int side = schedule->facts->frame_side;
    size_t frames = 0, pixels = side > 0 ? (size_t)side * (size_t)side : side == 0 ? RUNNER_UNKNOWN_PIXELS : 0, state;
    for (size_t c = 0; c < task->job.n_cells; c++) {
        bool seen = false;
        task->cells[c].n = (size_t)task->cells[c].run->cell.frames;
        for (size_t other = 0; other < c; other++)
            seen |= task->cells[other].n == task->cells[c].n && task->cells[other].run->cell.sampling == task->cells[c].run->cell.sampling;
        frames += seen ? 0 : task->cells[c].n;
    }
    int rc = schedule->sweep->runner->bytes_needed(schedule->runner, task->cells, task->job.n_cells, frames, schedule->options->threads, &state, err);
    task->bytes = state + frames * pixels * 3;
    return rc;
}

/* ---- decoders and workers ------------------------------------------------------------------------------------------------ */

static void post(struct schedule *schedule, struct result *result)
{
    pthread_mutex_lock(&schedule->lock);
    if (!schedule->results.head) /* else it is not waiting */
        pthread_cond_signal(&schedule->news);
    push(&schedule->results, result);
    pthread_mutex_unlock(&schedule->lock);
}

static void hand_on(struct schedule *schedule, struct task *task, struct queue *queue, pthread_cond_t *takers)
{
    pthread_mutex_lock(&schedule->lock);
    push(queue, task);
    pthread_cond_signal(takers);
    pthread_mutex_unlock(&schedule->lock);
}

/* Takes the next task of a queue, waiting for it; NULL when no more will come. */
static struct task *take(struct schedule *schedule, struct queue *queue, pthread_cond_t *takers)
{
    struct task *task;
    pthread_mutex_lock(&schedule->lock);
    while (!(task = pop(queue)) && !schedule->closed)
        pthread_cond_wait(takers, &schedule->lock);
    pthread_mutex_unlock(&schedule->lock);
    return task;
}

static void *decode_tasks(void *context)
{
    struct schedule *schedule = context;
    struct task *task;
    while ((task = take(schedule, &schedule->to_decode, &schedule->decoding))) {
        if (!atomic_load(&schedule->halt) &&
            fetch_frames(schedule->sweep, video_of(schedule, task), schedule->facts->frame_side, &task->job, task->cells,
                         schedule->options->threads, &task->arena, &task->status, &task->why) == 0 &&
            fetch_prompts(schedule->sweep, task->planned->benchmark, &task->job, task->samples, &task->arena, &task->status,
                          &task->why) == 0)
            task->status = ANSWER_OK;
        hand_on(schedule, task, &schedule->to_run, &schedule->running);
    }
    return NULL;
}

struct sink_context {
    struct schedule *schedule;
    struct task *task;
    const struct tok_plan *seen; /* whose groups came last */
    struct text frames, map;     /* its groups, until an answer takes them along */
    int side;                    /* of their grid */
};

static char *copy_text(const char *text)
{
    return text ? strdup(text) : NULL;
}

static void result_free(struct result *result)
{
    free(result->raw);
    free(result->message);
    free((char *)result->groups.frames);
    free((char *)result->groups.map);
    free(result->finish);
    free(result->usage);
    free(result);
}

static int post_answer(void *context, size_t cell, size_t sample, const struct answer *answer)
{
    struct sink_context *at = context;
    struct result *result = calloc(1, sizeof *result);
    if (!result)
        return 1;
    *result = (struct result){.task = at->task, .cell = cell, .sample = sample, .answer = *answer};
    result->answer.raw = result->raw = copy_text(answer->raw);
    result->answer.message = result->message = copy_text(answer->message);
    result->answer.remote.finish = result->finish = copy_text(answer->remote.finish);
    result->answer.remote.usage = result->usage = copy_text(answer->remote.usage);
    if (at->map.length && answer->tokens_digest[0]) {
        result->groups.h = result->groups.w = at->side;
        result->groups.frames = text_take(&at->frames);
        result->groups.map = text_take(&at->map);
        result->answer.groups = result->groups.frames && result->groups.map ? &result->groups : NULL;
    }
    post(at->schedule, result);
    return atomic_load(&at->schedule->halt);
}

/* The first answer on some tokens takes their groups along. */
static int keep_groups(void *context, size_t cell, size_t sample, const struct shown_tokens *shown)
{
    (void)sample;
    struct sink_context *at = context;
    const struct job_cell *frames = &at->task->job.cells[cell];
    struct token_groups groups = {0};
    struct arena arena = {0};
    struct err ignored = {0}; /* without memory for groups the answer goes without them */
    int side = shown->plan->dom == DOM_H_POOLED ? shown->pooled_side : shown->raw_side;
    if (shown->plan == at->seen)
        return 0;
    at->seen = shown->plan;
    at->side = side;
    text_free(&at->frames);
    text_free(&at->map);
    if (token_groups_make(&groups, shown->plan, side, side, &arena, &ignored) == 0 && group_map(&at->map, &groups, &ignored) == 0)
        for (size_t i = 0; i < frames->n; i++)
            text_printf(&at->frames, "%s%u%s", i ? "," : "[", frames->index[i], i + 1 < frames->n ? "" : "]");
    arena_free(&arena);
    return 0;
}

/* A task without frames: every wanted answer is the same failure. */
static void answer_failure(struct sink_context *at)
{
    const struct job *job = &at->task->job;
    struct answer answer = {.status = at->task->status, .message = at->task->why.text, .extracted = -1, .margin = NAN, .cost = {.joules = NAN}};
    for (size_t c = 0; c < job->n_cells; c++)
        for (size_t s = 0; s < job->n_samples; s++)
            if (job->wanted[c * job->n_samples + s])
                post_answer(at, c, s, &answer);
}

static void *run_tasks(void *context)
{
    struct schedule *schedule = context;
    const struct runner *runner = schedule->sweep->runner;
    void *worker = NULL;
    struct err opened = {0};
    struct task *task;
    int rc = runner->worker_open(schedule->runner, &worker, schedule->options->threads, &opened);
    while ((task = take(schedule, &schedule->to_run, &schedule->running))) {
        struct sink_context at = {.schedule = schedule, .task = task};
        struct result *end = calloc(1, sizeof *end); /* without it nothing else would work either */
        if (!end)
            abort();
        *end = (struct result){.task = task, .ends = true};
        if (rc)
            task->failure = opened;
        else if (task->why.code == ERR_LIBRARY) /* no video can be read here */
            task->failure = task->why;
        else if (task->status != ANSWER_OK)
            answer_failure(&at);
        else if (!atomic_load(&schedule->halt))
            runner->run(schedule->runner, worker, &task->job, post_answer, &at, &task->failure);
        text_free(&at.frames);
        text_free(&at.map);
        frames_free(&task->job.frames);
        post(schedule, end);
    }
    if (!rc)
        runner->worker_close(schedule->runner, worker);
    return NULL;
}

/* ---- the caller ---------------------------------------------------------------------------------------------------------- */

/* Writes are committed when there is nothing else to do, and after BATCH_S at the latest: a model's answers at once, those of a fast runner
 * in batches. What a killed run had not committed is asked again. */
#define BATCH_S 0.2

static int batch_begin(struct schedule *schedule, struct err *err)
{
    if (schedule->batched > 0)
        return 0;
    schedule->batched = now_s();
    int rc = store_begin_batch(schedule->store, err);
    if (rc)
        schedule->batched = 0;
    return rc;
}

static int batch_end(struct schedule *schedule, int rc, struct err *err)
{
    if (schedule->batched == 0)
        return rc;
    schedule->batched = 0;
    return store_end_batch(schedule->store, rc, err);
}

static bool wants_any(const struct plan_job *planned, size_t cell)
{
    bool any = false;
    for (size_t s = 0; s < planned->n_samples; s++)
        any |= planned->wanted[cell * planned->n_samples + s];
    return any;
}

/* Takes what other processes have not: drops cells that another holds and answers that came since the plan was made. */
static int claim_task(struct schedule *schedule, struct task *task, bool *any, struct err *err)
{
    const struct manifest *manifest = manifest_of(schedule, task);
    const struct plan_job *planned = task->planned;
    int64_t version = 0;
    *any = false;
    int rc = batch_begin(schedule, err);
    if (!rc)
        rc = store_version(schedule->store, &version, err);
    bool others_wrote = version != schedule->options->asked_at;
    for (size_t c = 0; c < planned->n_cells && !rc; c++) {
        int64_t id = schedule->cell_ids[planned->cells[c]];
        bool taken;
        if (!wants_any(planned, c))
            continue;
        rc = store_claim(schedule->store, schedule->run, id, manifest->benchmark, task->job.video->id, &taken, err);
        for (size_t s = 0; s < planned->n_samples && !rc; s++) {
            bool *wanted = &planned->wanted[c * planned->n_samples + s], there = false;
            if (*wanted && taken && others_wrote)
                rc = store_has_answer(schedule->store, id, manifest, planned->samples[s], schedule->options->retry_failed, &there, err);
            if (*wanted && (!taken || there)) {
                *wanted = false;
                schedule->progress.answers_total--;
                schedule->progress.answers_elsewhere += !taken;
            }
            *any |= *wanted;
        }
    }
    return rc;
}

/* Without sharing every question is a task of its own, and several of them stand on one claim. */
static bool other_needs_claim(const struct schedule *schedule, const struct task *task, size_t cell)
{
    for (size_t i = 0; i < schedule->n_in_flight; i++) {
        const struct task *other = schedule->in_flight[i];
        if (other == task || other->job.video != task->job.video)
            continue;
        for (size_t c = 0; c < other->planned->n_cells; c++)
            if (other->planned->cells[c] == cell)
                return true;
    }
    return false;
}

static int release_task(struct schedule *schedule, const struct task *task, struct err *err)
{
    int rc = batch_begin(schedule, err);
    for (size_t c = 0; c < task->planned->n_cells && !rc; c++) {
        size_t cell = task->planned->cells[c];
        if (!other_needs_claim(schedule, task, cell))
            rc = store_release(schedule->store, schedule->run, schedule->cell_ids[cell], manifest_of(schedule, task)->benchmark,
                               task->job.video->id, err);
    }
    return rc;
}

static int refuse_too_big(const struct schedule *schedule, const struct task *task, struct err *err)
{
    return err_set(err, ERR_MEMORY, "video '%s' needs %zu MiB for its %zu cells, --memory leaves %zu MiB beside %zu MiB of weights; use fewer frames, --dtype bf16 or more --memory",
                   task->job.video->id, (task->bytes >> 20) + 1, task->job.n_cells, schedule->options->memory_bytes >> 20,
                   schedule->facts->fixed_bytes >> 20);
}

/* Starts the next job if there is one, a place for it, and memory. */
static int dispatch(struct schedule *schedule, bool *started, struct err *err)
{
    *started = false;
    if (schedule->next_job == schedule->plan->n_jobs || schedule->n_in_flight >= 2 * (size_t)schedule->options->jobs || atomic_load(&schedule->halt))
        return 0;
    struct task *task;
    int rc = task_new(&task, schedule, &schedule->plan->jobs[schedule->next_job], err);
    if (rc)
        return rc;
    if ((rc = task_bytes(schedule, task, err)))
        goto dropped;
    if (task->bytes > schedule->options->memory_bytes) {
        rc = refuse_too_big(schedule, task, err);
        goto dropped;
    }
    if (schedule->n_in_flight && schedule->bytes_in_flight + task->bytes > schedule->options->memory_bytes)
        goto dropped; /* later */
    bool any;
    schedule->next_job++;
    *started = true;
    if ((rc = claim_task(schedule, task, &any, err)))
        goto dropped;
    if (!any) {
        schedule->progress.jobs_done++;
        rc = release_task(schedule, task, err);
        goto dropped;
    }
    schedule->in_flight[schedule->n_in_flight++] = task;
    schedule->bytes_in_flight += task->bytes;
    hand_on(schedule, task, &schedule->to_decode, &schedule->decoding);
    return 0;
dropped:
    task_free(task);
    return rc;
}

/* Strips the reply and scores it; without a reply there is nothing to score. */
static int score(const struct schedule *schedule, const struct task *task, struct result *result, struct err *err)
{
    const struct benchmark *benchmark = schedule->sweep->benchmarks[task->planned->benchmark].benchmark;
    const struct profile *profile = schedule->sweep->profile;
    if (result->answer.status != ANSWER_OK || !result->raw)
        return 0;
    const char *text = result->raw;
    size_t length = strlen(text);
    text_strip(&text, &length);
    memmove(result->raw, text, length);
    result->raw[length] = 0;
    return score_reply(&result->answer, result->raw, task->samples[result->sample].sample, profile,
                       profile_protocol(profile, benchmark->name), benchmark->max_option_letters, err);
}

/* The first failure of each kind is told as it comes: what is wrong with one is often wrong with all. */
static void count_failure(struct schedule *schedule, const struct task *task, const struct result *result)
{
    const struct answer *answer = &result->answer;
    if (!!answer_is_reply(answer->status))
        return;
    schedule->progress.answers_failed++;
    if (!schedule->progress.failed[answer->status]++)
        log_say(LOG_WARNING, "sample '%s' is %s: %s", task->samples[result->sample].sample->id, answer_status_name(answer->status),
                answer->message ? answer->message : "no reason given");
}

static int keep_answer(struct schedule *schedule, struct result *result, struct err *err)
{
    struct task *task = result->task;
    int rc = score(schedule, task, result, err);
    if (rc || (rc = batch_begin(schedule, err)))
        return rc;
    rc = store_put_answer(schedule->store, schedule->run, schedule->cell_ids[task->planned->cells[result->cell]],
                          manifest_of(schedule, task), task->planned->samples[result->sample], &result->answer, err);
    schedule->progress.answers_done++;
    count_failure(schedule, task, result);
    return rc;
}

static void drop_in_flight(struct schedule *schedule, const struct task *task)
{
    size_t i = 0;
    while (schedule->in_flight[i] != task)
        i++;
    schedule->in_flight[i] = schedule->in_flight[--schedule->n_in_flight];
    schedule->bytes_in_flight -= task->bytes;
}

static int end_task(struct schedule *schedule, struct result *result, struct err *err)
{
    int rc = release_task(schedule, result->task, err);
    if (!rc && result->task->failure.code) {
        *err = result->task->failure;
        rc = err->code;
    }
    drop_in_flight(schedule, result->task);
    schedule->progress.jobs_done++;
    task_free(result->task);
    return rc;
}

/* The next result, or NULL: at once if `patient` is false, else after a quarter of a second. */
static struct result *next_result(struct schedule *schedule, bool patient)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 250000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&schedule->lock);
    if (!schedule->results.head && patient)
        pthread_cond_timedwait(&schedule->news, &schedule->lock, &until);
    struct result *result = pop(&schedule->results);
    pthread_mutex_unlock(&schedule->lock);
    return result;
}

static void tell_progress(struct schedule *schedule, double now)
{
    schedule->progress.seconds = now - schedule->started;
    if (schedule->options->progress)
        schedule->options->progress(&schedule->progress, schedule->options->context);
}

static int keep_house(struct schedule *schedule, struct err *err)
{
    double now = now_s();
    int rc = schedule->batched > 0 && now - schedule->batched > BATCH_S ? batch_end(schedule, 0, err) : 0;
    tell_progress(schedule, now);
    if (rc || now - schedule->renewed < 60)
        return rc;
    schedule->renewed = now;
    rc = batch_begin(schedule, err);
    return rc ? rc : store_renew_claims(schedule->store, schedule->run, err);
}

/* Takes the next result; *ended: a task gave its place back. After a failure (rc) results are dropped. */
static int take_result(struct schedule *schedule, int rc, bool *ended, struct err *err)
{
    int step = 0;
    struct result *result = next_result(schedule, false);
    if (!result) {
        step = rc ? 0 : batch_end(schedule, 0, err);
        result = next_result(schedule, true);
    }
    *ended = result && result->ends;
    if (*ended)
        step = end_task(schedule, result, err);
    else if (result && !rc && !step)
        step = keep_answer(schedule, result, err);
    if (result)
        result_free(result);
    return step;
}

/* After a failure the loop goes on without the store until all threads have given their tasks back. */
static int conduct(struct schedule *schedule, struct err *err)
{
    int rc = 0;
    bool started = true;
    while (started || schedule->n_in_flight) {
        struct err why = {0};
        int step = 0;
        started = false;
        if (atomic_load(schedule->options->stop))
            atomic_store(&schedule->halt, true);
        if (!rc)
            step = dispatch(schedule, &started, &why);
        if (!step && !started && schedule->n_in_flight)
            step = take_result(schedule, rc, &started, &why); /* there may be room now */
        if (!step && !rc)
            step = keep_house(schedule, &why);
        if (step && !rc) {
            rc = batch_end(schedule, step, &why);
            *err = why;
            atomic_store(&schedule->halt, true);
        }
    }
    tell_progress(schedule, now_s());
    return batch_end(schedule, rc, err);
}

int schedule_run(const struct sweep *sweep, const struct plan *plan, struct store *store, int64_t run, const int64_t *cell_ids, void *runner,
                 const struct runner_facts *facts, const struct schedule_options *options, struct err *err)
{
    struct schedule schedule = {.sweep = sweep, .plan = plan, .store = store, .run = run, .cell_ids = cell_ids, .runner = runner, .facts = facts,
                                .options = options, .started = now_s(), .renewed = now_s()};
    schedule.progress.answers_total = plan->n_wanted;
    schedule.progress.jobs_total = plan->n_jobs;
    size_t n = 2 * (size_t)options->jobs, n_started = 0;
    pthread_t *threads = calloc(n, sizeof *threads);
    schedule.in_flight = calloc(n, sizeof(struct task *));
    if (!threads || !schedule.in_flight) {
        free(threads);
        free(schedule.in_flight);
        return err_no_memory(err, "threads");
    }
    pthread_mutex_init(&schedule.lock, NULL);
    pthread_cond_init(&schedule.decoding, NULL);
    pthread_cond_init(&schedule.running, NULL);
    pthread_cond_init(&schedule.news, NULL);
    int rc = 0;
    for (; n_started < n && !rc; n_started += !rc)
        if (pthread_create(&threads[n_started], NULL, n_started % 2 ? run_tasks : decode_tasks, &schedule))
            rc = err_set(err, ERR_MEMORY, "cannot start %zu threads; use fewer --jobs", n);
    if (!rc)
        rc = conduct(&schedule, err);
    pthread_mutex_lock(&schedule.lock);
    schedule.closed = true;
    pthread_cond_broadcast(&schedule.decoding);
    pthread_cond_broadcast(&schedule.running);
    pthread_mutex_unlock(&schedule.lock);
    for (size_t i = 0; i < n_started; i++)
        pthread_join(threads[i], NULL);
    pthread_cond_destroy(&schedule.news);
    pthread_cond_destroy(&schedule.running);
    pthread_cond_destroy(&schedule.decoding);
    pthread_mutex_destroy(&schedule.lock);
    free(schedule.in_flight);
    free(threads);
    return rc;
}
