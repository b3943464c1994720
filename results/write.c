/* Store, writing: runs, manifests, cells, answers with their costs, calibrations. One transaction per call. */
#include "results/store_impl.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"

/* ---- runs ------------------------------------------------------------------------------------------------------------------ */

int store_begin_run(struct store *store, const struct run_facts *facts, int64_t *run, struct err *err)
{
    struct query query = query_on(store,
        "INSERT INTO run (command, sweep_name, config, revision, build_digest, libraries, host, device, started_at) "
        "VALUES (:command, :sweep_name, :config, :revision, :build_digest, :libraries, :host, :device, " NOW ")");
    query_text(&query, ":command", facts->command);
    query_text(&query, ":sweep_name", facts->sweep_name);
    query_text(&query, ":config", facts->config);
    query_text(&query, ":revision", facts->revision);
    query_text(&query, ":build_digest", facts->build_digest);
    query_text(&query, ":libraries", facts->libraries);
    query_text(&query, ":host", facts->host);
    query_text(&query, ":device", facts->device);
    int rc = query_run(&query, "begin a run", err);
    if (rc == 0)
        *run = sqlite3_last_insert_rowid(store->db);
    return rc;
}

int store_end_run(struct store *store, int64_t run, const char *outcome, struct err *err)
{
    static const char what[] = "end the run";
    int rc = store_begin(store, what, err);
    if (rc < 0)
        return rc;
    struct query update = query_on(store, "UPDATE run SET ended_at = " NOW ", outcome = :outcome WHERE id = :run");
    query_text(&update, ":outcome", outcome);
    query_integer(&update, ":run", run);
    rc = query_run(&update, what, err);
    if (rc == 0) {
        struct query drop = query_on(store, "DELETE FROM claim WHERE run_id = :run");
        query_integer(&drop, ":run", run);
        rc = query_run(&drop, what, err);
    }
    return store_commit(store, rc, what, err);
}

/* ---- manifests ------------------------------------------------------------------------------------------------------------- */

/* The id that a statement ending in RETURNING id gives. */
static int run_for_id(struct query *query, int64_t *id, const char *what, struct err *err)
{
    int rc = query_step(query, what, err);
    if (rc > 0) {
        *id = sqlite3_column_int64(query->stmt, 0);
        rc = query_step(query, what, err); /* the row is written when the statement is done */
    }
    return rc;
}

/* `path` NULL: only a cell has named the benchmark so far. */
static int put_benchmark(struct store *store, const char *name, const char *digest, const char *path, int64_t *id, struct err *err)
{
    struct query query = query_on(store,
        "INSERT INTO benchmark (name, digest, path) VALUES (:name, :digest, :path) "
        "ON CONFLICT (name, digest) DO UPDATE SET path = coalesce(excluded.path, path) RETURNING id");
    query_text(&query, ":name", name);
    query_text(&query, ":digest", digest);
    query_text(&query, ":path", path);
    return run_for_id(&query, id, "write the benchmark", err);
}

static int put_video(struct store *store, int64_t benchmark, const struct video_ref *video, int64_t *id, struct err *err)
{
    struct query query = query_on(store,
        "INSERT INTO video (benchmark_id, name, path, missing, is_folder, folder_fps, start_s, end_s) "
        "VALUES (:benchmark, :name, :path, :missing, :is_folder, :folder_fps, :start_s, :end_s) "
        "ON CONFLICT (benchmark_id, name, path, start_s, end_s) DO UPDATE SET missing = excluded.missing RETURNING id");
    query_integer(&query, ":benchmark", benchmark);
    query_text(&query, ":name", video->id);
    query_text(&query, ":path", video->path ? video->path : "");
    query_integer(&query, ":missing", video->missing);
    query_integer(&query, ":is_folder", video->is_folder);
    query_real(&query, ":folder_fps", video->folder_fps);
    query_real(&query, ":start_s", video->start_s);
    query_real(&query, ":end_s", video->end_s);
    return run_for_id(&query, id, "write a video", err);
}

/* Most questions have four options, which take a third of the time in one statement. */
static int put_four_options(struct store *store, int64_t id, const char *const *options, struct err *err)
{
    struct query query = query_on(store, "INSERT OR IGNORE INTO option (sample_id, position, text) "
                                         "VALUES (:sample, 0, :a), (:sample, 1, :b), (:sample, 2, :c), (:sample, 3, :d)");
    query_integer(&query, ":sample", id);
    query_text(&query, ":a", options[0]);
    query_text(&query, ":b", options[1]);
    query_text(&query, ":c", options[2]);
    query_text(&query, ":d", options[3]);
    return query_run(&query, "write options", err);
}

static int put_options(struct store *store, int64_t id, const struct sample *sample, struct err *err)
{
    int rc = sample->n_options >= 4 ? put_four_options(store, id, sample->options, err) : 0;
    for (int i = sample->n_options >= 4 ? 4 : 0; i < sample->n_options && rc == 0; i++) {
        struct query query = query_on(store, "INSERT OR IGNORE INTO option (sample_id, position, text) VALUES (:sample, :position, :text)");
        query_integer(&query, ":sample", id);
        query_integer(&query, ":position", i);
        query_text(&query, ":text", sample->options[i]);
        rc = query_run(&query, "write an option", err);
    }
    return rc;
}

static int put_tags(struct store *store, int64_t id, const struct sample *sample, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; i < sample->n_tags && rc == 0; i++) {
        struct query query = query_on(store, "INSERT OR IGNORE INTO tag (sample_id, kind, name) VALUES (:sample, :kind, :name)");
        query_integer(&query, ":sample", id);
        query_text(&query, ":kind", sample->tags[i].kind);
        query_text(&query, ":name", sample->tags[i].name);
        rc = query_run(&query, "write a tag", err);
    }
    return rc;
}

static int put_sample(struct store *store, int64_t benchmark, int64_t video, const struct sample *sample, struct err *err)
{
    /* The manifest's digest is the same, so all a known sample can have new is the place of its video. */
    struct query query = query_on(store,
        "INSERT INTO sample (benchmark_id, name, manifest_row, video_id, question, answer, task_type, duration, domain, sub_category) "
        "VALUES (:benchmark, :name, :row, :video, :question, :answer, :task_type, :duration, :domain, :sub_category) "
        "ON CONFLICT (benchmark_id, name) DO UPDATE SET video_id = excluded.video_id RETURNING id");
    query_integer(&query, ":benchmark", benchmark);
    query_text(&query, ":name", sample->id);
    query_integer(&query, ":row", (int64_t)sample->row);
    query_integer(&query, ":video", video);
    query_text(&query, ":question", sample->question);
    query_integer_or_null(&query, ":answer", sample->answer, sample->answer < 0);
    query_text(&query, ":task_type", sample->task_type);
    query_text(&query, ":duration", sample->duration);
    query_text(&query, ":domain", sample->domain);
    query_text(&query, ":sub_category", sample->sub_category);
    int64_t id = 0;
    int rc = run_for_id(&query, &id, "write a sample", err);
    if (rc >= 0)
        rc = put_options(store, id, sample, err);
    return rc < 0 ? rc : put_tags(store, id, sample, err);
}

/* Of all that store_put_manifest writes beyond what the manifest's digest tells. */
static int digest_videos(const struct manifest *manifest, char hex[DIGEST_HEX], struct err *err)
{
    struct digest *digest = digest_new();
    if (!digest)
        return err_no_memory(err, "writing a manifest");
    digest_add_u64(digest, manifest->n_samples);
    for (size_t i = 0; i < manifest->n_samples; i++)
        digest_add_u64(digest, manifest->samples[i].n_tags);
    for (size_t i = 0; i < manifest->n_videos; i++) {
        const struct video_ref *video = &manifest->videos[i];
        char facts[128];
        snprintf(facts, sizeof facts, "%d %d %a %a %a", video->missing, video->is_folder, video->folder_fps, video->start_s, video->end_s);
        digest_add_text(digest, video->id);
        digest_add_text(digest, video->path ? video->path : "");
        digest_add_text(digest, facts);
    }
    digest_finish(digest, hex);
    return 0;
}

static int has_videos(struct store *store, int64_t benchmark, const char *digest, bool *has, struct err *err)
{
    struct query query = query_on(store, "SELECT 1 FROM benchmark WHERE id = :benchmark AND videos_digest = :digest");
    query_integer(&query, ":benchmark", benchmark);
    query_text(&query, ":digest", digest);
    int rc = query_step(&query, "look for a manifest", err);
    *has = rc > 0;
    query_end(&query);
    return rc < 0 ? rc : 0;
}

static int put_videos_digest(struct store *store, int64_t benchmark, const char *digest, struct err *err)
{
    struct query query = query_on(store, "UPDATE benchmark SET videos_digest = :digest WHERE id = :benchmark");
    query_integer(&query, ":benchmark", benchmark);
    query_text(&query, ":digest", digest);
    return query_run(&query, "write the benchmark", err);
}

/* Videos that no sample asks about any more: their folder has moved, and they were written again under the new path. */
static int drop_unused_videos(struct store *store, int64_t benchmark, struct err *err)
{
    struct query query = query_on(store, "DELETE FROM video WHERE benchmark_id = :benchmark AND id NOT IN (SELECT video_id FROM sample)");
    query_integer(&query, ":benchmark", benchmark);
    return query_run(&query, "drop videos that moved", err);
}

static int put_samples(struct store *store, int64_t benchmark, const struct manifest *manifest, struct err *err)
{
    int64_t *videos = malloc((manifest->n_videos + 1) * sizeof *videos);
    int rc = videos ? 0 : err_no_memory(err, "writing a manifest");
    for (size_t i = 0; i < manifest->n_videos && rc == 0; i++)
        rc = put_video(store, benchmark, &manifest->videos[i], &videos[i], err);
    for (size_t i = 0; i < manifest->n_samples && rc == 0; i++)
        rc = put_sample(store, benchmark, videos[manifest->samples[i].video], &manifest->samples[i], err);
    free(videos);
    return rc == 0 ? drop_unused_videos(store, benchmark, err) : rc;
}

int store_put_manifest(struct store *store, const struct manifest *manifest, struct err *err)
{
    static const char what[] = "write the manifest";
    char digest[DIGEST_HEX];
    int64_t benchmark = 0;
    bool has = false;
    int rc = digest_videos(manifest, digest, err);
    if (rc < 0 || (rc = store_begin(store, what, err)) < 0)
        return rc;
    rc = put_benchmark(store, manifest->benchmark, manifest->digest, manifest->path, &benchmark, err);
    if (rc == 0)
        rc = has_videos(store, benchmark, digest, &has, err);
    if (rc == 0 && !has && (rc = put_samples(store, benchmark, manifest, err)) == 0)
        rc = put_videos_digest(store, benchmark, digest, err);
    store->summing |= !has; /* samples may have gone to other videos */
    return store_commit(store, rc, what, err);
}

/* ---- cells ----------------------------------------------------------------------------------------------------------------- */

static int put_model(struct store *store, const struct cell *cell, int64_t *id, struct err *err)
{
    struct query query = query_on(store,
        "INSERT INTO model (digest, name) VALUES (:digest, :name) ON CONFLICT (digest) DO UPDATE SET name = name RETURNING id");
    query_text(&query, ":digest", cell->model_digest);
    query_text(&query, ":name", cell->model);
    return run_for_id(&query, id, "write the model", err);
}

/* How a headline is made. */
static void put_protocol(struct query *query, const struct protocol *protocol)
{
    query_integer(query, ":macro", protocol->macro);
    query_integer(query, ":macro_types", protocol->macro_types);
    query_integer(query, ":drop_empty", protocol->drop_empty);
    query_integer(query, ":drop_unread", protocol->drop_unread);
    query_integer(query, ":guesses", protocol->guesses);
}

static int put_cell(struct store *store, const struct cell *cell, const struct protocol *protocol, int64_t model, int64_t benchmark,
                    int64_t *id, struct err *err)
{
    struct query query = query_on(store,
        "INSERT INTO cell (digest, model_id, benchmark_id, profile, frames, sampling, compressor, params, label, pooling, image_size, "
        "newline, conversation, prompt_form, time_instruction, repetition_penalty, max_new_tokens, dtype, runner, isa, build_digest, "
        "macro, drop_empty, drop_unread, guesses, macro_types, assistant_digest, body, match_digest) "
        "VALUES (:digest, :model, :benchmark, :profile, :frames, :sampling, :compressor, :params, :label, :pooling, :image_size, "
        ":newline, :conversation, :prompt_form, :time_instruction, :repetition_penalty, :max_new_tokens, :dtype, :runner, :isa, "
        ":build_digest, :macro, :drop_empty, :drop_unread, :guesses, :macro_types, :assistant_digest, :body, :match_digest) "
        "ON CONFLICT (digest) DO UPDATE SET digest = digest RETURNING id");
    query_text(&query, ":digest", cell->digest);
    query_integer(&query, ":model", model);
    query_integer(&query, ":benchmark", benchmark);
    query_text(&query, ":profile", cell->profile);
    query_integer(&query, ":frames", cell->frames);
    query_text(&query, ":sampling", frame_rule_name(cell->sampling));
    query_text(&query, ":compressor", cell->compressor);
    query_text(&query, ":params", cell->params);
    query_text(&query, ":label", cell->label);
    query_text(&query, ":pooling", cell->pooling);
    query_integer(&query, ":image_size", cell->image_size);
    query_text(&query, ":newline", cell->newline);
    query_text(&query, ":conversation", cell->conversation);
    query_text(&query, ":prompt_form", cell->prompt_form);
    query_integer(&query, ":time_instruction", cell->time_instruction);
    query_real(&query, ":repetition_penalty", cell->repetition_penalty);
    query_integer(&query, ":max_new_tokens", cell->max_new_tokens);
    query_text(&query, ":dtype", cell->dtype);
    query_text(&query, ":runner", cell->runner);
    query_text(&query, ":isa", cell->isa);
    query_text(&query, ":build_digest", cell->build_digest);
    query_text(&query, ":assistant_digest", cell->assistant_digest);
    query_text(&query, ":body", cell->body);
    query_text(&query, ":match_digest", cell->match_digest);
    put_protocol(&query, protocol);
    return run_for_id(&query, id, "write the cell", err);
}

int store_put_cell(struct store *store, const struct cell *cell, const struct protocol *protocol, int64_t *id, struct err *err)
{
    static const char what[] = "write the cell";
    int64_t model = 0, benchmark = 0;
    int rc = store_begin(store, what, err);
    if (rc < 0)
        return rc;
    if ((rc = put_model(store, cell, &model, err)) == 0 &&
        (rc = put_benchmark(store, cell->benchmark, cell->manifest_digest, NULL, &benchmark, err)) == 0)
        rc = put_cell(store, cell, protocol, model, benchmark, id, err);
    return store_commit(store, rc, what, err);
}

/* ---- answers --------------------------------------------------------------------------------------------------------------- */

static bool is_reply(const char *status)
{
    for (int i = 0; i < ANSWER_STATUSES; i++)
        if (!strcmp(status, answer_status_name((enum answer_status)i)))
            return answer_is_reply((enum answer_status)i);
    return false;
}

/* The row of a sample that this cell asks, and the answer there is (0 if none). A sample that is not there is ERR_CONFIG. */
static int find_sample(struct store *store, int64_t cell, const struct manifest *manifest, size_t sample, int64_t *id, int64_t *answer,
                       bool *failed, struct err *err)
{
    struct query query = query_on(store,
        "SELECT sample.id, answer.id, answer.status FROM cell "
        "JOIN benchmark ON benchmark.id = cell.benchmark_id AND benchmark.name = :benchmark AND benchmark.digest = :digest "
        "JOIN sample ON sample.benchmark_id = benchmark.id AND sample.name = :sample "
        "LEFT JOIN answer ON answer.cell_id = cell.id AND answer.sample_id = sample.id "
        "WHERE cell.id = :cell");
    query_text(&query, ":benchmark", manifest->benchmark);
    query_text(&query, ":digest", manifest->digest);
    query_text(&query, ":sample", manifest->samples[sample].id);
    query_integer(&query, ":cell", cell);
    int rc = query_step(&query, "look for the sample", err);
    if (rc < 0)
        return rc;
    if (rc == 0)
        return err_set(err, ERR_CONFIG,
                       "cell %lld of store '%s' does not ask sample '%s' of manifest '%s'; write this manifest and a cell of it first",
                       (long long)cell, store->path, manifest->samples[sample].id,
                       manifest->path ? manifest->path : manifest->benchmark);
    *id = sqlite3_column_int64(query.stmt, 0);
    *answer = sqlite3_column_int64(query.stmt, 1);
    *failed = *answer && !is_reply(store_column_text(query.stmt, 2));
    query_end(&query);
    return 0;
}

static int drop_answer(struct store *store, int64_t answer, struct err *err)
{
    struct query query = query_on(store, "DELETE FROM answer WHERE id = :answer");
    query_integer(&query, ":answer", answer);
    return query_run(&query, "replace a failed answer", err);
}

static int insert_answer(struct store *store, int64_t run, int64_t cell, int64_t sample, const struct answer *answer, struct err *err)
{
    struct query query = query_on(store,
        "INSERT INTO answer (cell_id, sample_id, run_id, status, raw, message, extracted, correct, empty, margin, tokens_digest, answered_at) "
        "VALUES (:cell, :sample, :run, :status, :raw, :message, :extracted, :correct, :empty, :margin, :tokens_digest, " NOW ")");
    query_integer(&query, ":cell", cell);
    query_integer(&query, ":sample", sample);
    query_integer(&query, ":run", run);
    query_text(&query, ":status", answer_status_name(answer->status));
    query_text(&query, ":raw", answer->raw);
    query_text(&query, ":message", answer->message);
    query_integer_or_null(&query, ":extracted", answer->extracted, answer->extracted < 0);
    query_integer(&query, ":correct", answer->correct);
    bool wordless = answer->raw ? !*answer->raw : answer->status == ANSWER_NO_ANSWER;
    query_integer(&query, ":empty", answer->empty || wordless);
    query_real(&query, ":margin", answer->margin);
    query_text(&query, ":tokens_digest", answer->tokens_digest[0] ? answer->tokens_digest : NULL);
    return query_run(&query, "write an answer", err);
}

#define STAGE_PARAMETERS(kind)                                                                                            \
    {                                                                                                                     \
        [STAGE_OPEN] = ":open_" kind "_ms", [STAGE_DECODE] = ":decode_" kind "_ms", [STAGE_RESIZE] = ":resize_" kind "_ms",   \
        [STAGE_VISION] = ":vision_" kind "_ms", [STAGE_GUIDE] = ":guide_" kind "_ms", [STAGE_COMPRESS] = ":compress_" kind "_ms", \
        [STAGE_PREFILL] = ":prefill_" kind "_ms", [STAGE_GENERATE] = ":generate_" kind "_ms"                                  \
    }
static const char *const alone_names[STAGES] = STAGE_PARAMETERS("alone"), *const paid_names[STAGES] = STAGE_PARAMETERS("paid");

static int insert_cost(struct store *store, int64_t answer, const struct cost *cost, struct err *err)
{
    struct query query = query_on(store,
        "INSERT INTO cost (answer_id, frames, frames_encoded, tokens_before, tokens_marker_before, tokens_visual, tokens_marker, tokens_text, "
        "tokens_generated, tokens_prefilled, tokens_mean, tokens_cached, shared_layers, tokens_guide, tokens_match, "
        "open_alone_ms, decode_alone_ms, resize_alone_ms, vision_alone_ms, guide_alone_ms, compress_alone_ms, prefill_alone_ms, "
        "generate_alone_ms, open_paid_ms, decode_paid_ms, resize_paid_ms, vision_paid_ms, guide_paid_ms, compress_paid_ms, prefill_paid_ms, "
        "generate_paid_ms, peak_bytes, joules) "
        "VALUES (:answer, :frames, :frames_encoded, :tokens_before, :tokens_marker_before, :tokens_visual, :tokens_marker, :tokens_text, "
        ":tokens_generated, :tokens_prefilled, :tokens_mean, :tokens_cached, :shared_layers, :tokens_guide, :tokens_match, "
        ":open_alone_ms, :decode_alone_ms, :resize_alone_ms, :vision_alone_ms, :guide_alone_ms, :compress_alone_ms, :prefill_alone_ms, "
        ":generate_alone_ms, :open_paid_ms, :decode_paid_ms, :resize_paid_ms, :vision_paid_ms, :guide_paid_ms, :compress_paid_ms, :prefill_paid_ms, "
        ":generate_paid_ms, :peak_bytes, :joules)");
    query_integer(&query, ":answer", answer);
    query_integer(&query, ":frames", cost->frames);
    query_integer(&query, ":frames_encoded", cost->frames_encoded);
    query_integer(&query, ":tokens_before", cost->tokens_before);
    query_integer(&query, ":tokens_marker_before", cost->tokens_marker_before);
    query_integer(&query, ":tokens_visual", cost->tokens_visual);
    query_integer(&query, ":tokens_marker", cost->tokens_marker);
    query_integer(&query, ":tokens_text", cost->tokens_text);
    query_integer(&query, ":tokens_generated", cost->tokens_generated);
    query_integer(&query, ":tokens_prefilled", cost->tokens_prefilled);
    bool counted = cost->tokens_mean > 0; /* some visual token is in some layer */
    query_real(&query, ":tokens_mean", counted ? cost->tokens_mean : NAN);
    query_real(&query, ":tokens_cached", counted ? cost->tokens_cached : NAN);
    query_integer_or_null(&query, ":shared_layers", cost->shared_layers, !counted);
    query_integer(&query, ":tokens_guide", cost->tokens_guide);
    query_integer_or_null(&query, ":tokens_match", cost->tokens_match, cost->tokens_match == 0);
    for (int stage = 0; stage < STAGES; stage++)
        query_real(&query, alone_names[stage], cost->alone_ms[stage]);
    for (int stage = 0; stage < STAGES; stage++)
        query_real(&query, paid_names[stage], cost->paid_ms[stage]);
    query_integer_or_null(&query, ":peak_bytes", cost->peak_bytes, cost->peak_bytes == 0);
    query_real(&query, ":joules", cost->joules);
    return query_run(&query, "write a cost", err);
}

static int insert_remote(struct store *store, int64_t answer, const struct remote *remote, struct err *err)
{
    struct query query = query_on(store, "INSERT INTO remote (answer_id, attempts, request_ms, finish, usage) "
                                         "VALUES (:answer, :attempts, :request_ms, :finish, :usage)");
    query_integer(&query, ":answer", answer);
    query_integer(&query, ":attempts", remote->attempts);
    query_real(&query, ":request_ms", remote->request_ms);
    query_text(&query, ":finish", remote->finish);
    query_text(&query, ":usage", remote->usage);
    return query_run(&query, "write what a server said", err);
}

/* An answer with what belongs to it. */
static int insert_whole(struct store *store, int64_t run, int64_t cell, int64_t sample, const struct answer *answer, struct err *err)
{
    int rc = insert_answer(store, run, cell, sample, answer, err);
    int64_t id = sqlite3_last_insert_rowid(store->db);
    if (rc == 0 && answer->cost.frames >= 0)
        rc = insert_cost(store, id, &answer->cost, err);
    if (rc == 0 && answer->remote.attempts)
        rc = insert_remote(store, id, &answer->remote, err);
    return rc;
}

static int insert_groups(struct store *store, const char *digest, const struct answer_groups *groups, struct err *err)
{
    struct query query = query_on(store, "INSERT OR IGNORE INTO token_groups (digest, frames, h, w, map) "
                                         "VALUES (:digest, :frames, :h, :w, :map)");
    query_text(&query, ":digest", digest);
    query_text(&query, ":frames", groups->frames);
    query_integer(&query, ":h", groups->h);
    query_integer(&query, ":w", groups->w);
    query_text(&query, ":map", groups->map);
    return query_run(&query, "write token groups", err);
}

int store_put_answer(struct store *store, int64_t run, int64_t cell, const struct manifest *manifest, size_t sample,
                     const struct answer *answer, struct err *err)
{
    static const char what[] = "write an answer";
    int64_t sample_id = 0, there = 0;
    bool failed = false;
    int rc = store_begin(store, what, err);
    if (rc < 0)
        return rc;
    rc = find_sample(store, cell, manifest, sample, &sample_id, &there, &failed, err);
    if (rc == 0 && (!there || failed)) {
        store->summing = true;
        if (there)
            rc = drop_answer(store, there, err); /* and its cost with it */
        if (rc == 0)
            rc = insert_whole(store, run, cell, sample_id, answer, err);
        if (rc == 0 && answer->groups)
            rc = insert_groups(store, answer->tokens_digest, answer->groups, err);
    }
    return store_commit(store, rc, what, err);
}

int store_put_record(struct store *store, int64_t cell, const struct manifest *manifest, size_t sample, const char *record,
                     struct err *err)
{
    int64_t sample_id = 0, answer = 0;
    bool failed = false;
    int rc = find_sample(store, cell, manifest, sample, &sample_id, &answer, &failed, err);
    if (rc < 0)
        return rc;
    struct query query = query_on(store, "INSERT OR REPLACE INTO imported (answer_id, record) VALUES (:answer, :record)");
    query_integer(&query, ":answer", answer);
    query_text(&query, ":record", record);
    return query_run(&query, "write what a log says", err);
}

/* ---- scores under other profiles ------------------------------------------------------------------------------------------- */

static int put_rescoring(struct store *store, int64_t cell, const char *profile, const struct protocol *protocol, const char *build_digest,
                         int64_t *id, struct err *err)
{
    struct query drop = query_on(store, "DELETE FROM rescoring WHERE cell_id = :cell AND profile = :profile");
    query_integer(&drop, ":cell", cell);
    query_text(&drop, ":profile", profile);
    int rc = query_run(&drop, "replace a rescoring", err);
    if (rc < 0)
        return rc;
    struct query query = query_on(store,
        "INSERT INTO rescoring (cell_id, profile, macro, macro_types, build_digest, made_at) "
        "VALUES (:cell, :profile, :macro, :macro_types, :build_digest, " NOW ") RETURNING id");
    query_integer(&query, ":cell", cell);
    query_text(&query, ":profile", profile);
    query_integer(&query, ":macro", protocol->macro);
    query_integer(&query, ":macro_types", protocol->macro_types);
    query_text(&query, ":build_digest", build_digest);
    return run_for_id(&query, id, "write a rescoring", err);
}

static int put_score(struct store *store, int64_t rescoring, const struct rescored *score, struct err *err)
{
    struct query query = query_on(store,
        "INSERT INTO score (rescoring_id, answer_id, status, extracted, correct, counted) "
        "VALUES (:rescoring, :answer, :status, :extracted, :correct, :counted)");
    query_integer(&query, ":rescoring", rescoring);
    query_integer(&query, ":answer", score->answer);
    query_text(&query, ":status", answer_status_name(score->status));
    query_integer_or_null(&query, ":extracted", score->extracted, score->extracted < 0);
    query_integer(&query, ":correct", score->correct);
    query_integer(&query, ":counted", score->counted);
    return query_run(&query, "write a score", err);
}

int store_put_rescoring(struct store *store, int64_t cell, const char *profile, const struct protocol *protocol, const char *build_digest,
                        const struct rescored *scores, size_t n_scores, struct err *err)
{
    static const char what[] = "write scores";
    int64_t rescoring = 0;
    int rc = store_begin(store, what, err);
    if (rc < 0)
        return rc;
    rc = put_rescoring(store, cell, profile, protocol, build_digest, &rescoring, err);
    for (size_t i = 0; i < n_scores && rc == 0; i++)
        rc = put_score(store, rescoring, &scores[i], err);
    return store_commit(store, rc, what, err);
}

/* ---- calibrations ---------------------------------------------------------------------------------------------------------- */

int store_put_calibration(struct store *store, const char *key, const struct calibration *calibration, struct err *err)
{
    struct query query = query_on(store,
        "INSERT OR REPLACE INTO calibration (key, target_ratio, threshold, achieved_ratio, n_videos, made_at) "
        "VALUES (:key, :target_ratio, :threshold, :achieved_ratio, :n_videos, " NOW ")");
    query_text(&query, ":key", key);
    query_real(&query, ":target_ratio", calibration->target_ratio);
    query_real(&query, ":threshold", calibration->threshold);
    query_real(&query, ":achieved_ratio", calibration->achieved_ratio);
    query_integer(&query, ":n_videos", calibration->n_videos);
    return query_run(&query, "write a calibration", err);
}
