/* `import`: logs of lmms-eval become a cell. Everything is read and held against the manifest before the store is touched, and then
 * written in one transaction. */
#include "harness/accuracy.h"
#include "harness/asked.h"
#include "harness/cli.h"
#include "harness/origin.h"

#include "core/json.h"
#include "core/log.h"
#include "core/text.h"
#include "datasets/manifest.h"
#include "metrics/score.h"
#include "results/log_match.h"
#include "results/python.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct cli_option options[] = {
    {"store", "FILE", "results.sqlite", "the SQLite file of answers; made if it is not there", false},
    {"benchmark", "NAME", NULL, "what the logs are of: a name of 'toksweep list benchmarks'", false},
    {"manifest", "PATH", NULL, "its manifest (looked for in the Hub's cache and below HF_HOME)", false},
    {"videos", "FOLDER", NULL, "where its videos are (beside the manifest); none needs to be there", false},
    {"subtitles", "FOLDER", NULL, "where its subtitles are, if it has some (beside the videos)", false},
    {"model", "NAME", NULL, "who answered: a Hub id, or what you call it", false},
    {"profile", "NAME", "toksweep", "how the replies are scored: a name of 'toksweep list profiles'", false},
    {"frames", "N", "0", "most frames that were shown; 0: not known", false},
    {"sampling", "RULE", "uniform", "how they were chosen: uniform, 1fps or centre; logs do not tell", false},
    {"label", "TEXT", "imported", "what tables call the cell", false},
    {0},
};

struct import {
    const struct cli_args *args;
    const struct benchmark *benchmark;
    const struct profile *profile;
    const struct protocol *protocol;
    struct manifest manifest;
    struct sample_log logs[CLI_MOST_OPERANDS];
    size_t n_logs;
    const struct logged **entries; /* [n_samples], NULL where no log has the question */
    size_t n_entries;
    struct answer *answers;        /* [n_samples] */
    int form;                      /* of the prompts; -1: none that this program knows, or the logs do not tell */
    struct cell cell;
    char model_digest[DIGEST_HEX], params[128];
    size_t n_new;
    struct arena arena;
};

/* ---- reading --------------------------------------------------------------------------------------------------------------- */

static int required(const struct cli_args *args, const char *name, const char **out, struct err *err)
{
    *out = cli_text(args, name);
    return *out && **out ? 0 : err_set(err, ERR_CONFIG, "--%s is missing; see 'toksweep help import'", name);
}

static int read_names(struct import *import, struct err *err)
{
    const char *benchmark, *profile = cli_text(import->args, "profile");
    int rc;
    if ((rc = required(import->args, "benchmark", &benchmark, err)) || (rc = required(import->args, "model", &import->cell.model, err)))
        return rc;
    import->benchmark = benchmark_find(benchmark);
    import->profile = profile_find(profile);
    if (!import->benchmark)
        return err_set(err, ERR_CONFIG, "no benchmark '%s'; see 'toksweep list benchmarks'", benchmark);
    if (!import->profile)
        return err_set(err, ERR_CONFIG, "no profile '%s'; see 'toksweep list profiles'", profile);
    import->protocol = profile_protocol(import->profile, benchmark);
    return import->protocol ? 0 : err_set(err, ERR_CONFIG, "profile '%s' has no %s; see 'toksweep list profiles'", profile, benchmark);
}

static int read_manifest(struct import *import, struct err *err)
{
    const struct cli_args *args = import->args;
    struct manifest_source source = {.path = cli_text(args, "manifest"), .videos = cli_text(args, "videos"),
                                     .subtitles = cli_text(args, "subtitles")};
    benchmark_locate(&source, import->benchmark, NULL, &import->arena);
    if (!source.path)
        return err_set(err, ERR_CONFIG, "--manifest is missing: %s is neither in the Hub's cache nor below HF_HOME",
                       import->benchmark->name);
    return manifest_load(&import->manifest, import->benchmark, &source, err);
}

static int read_files(struct import *import, struct err *err)
{
    int rc = read_names(import, err);
    if (!rc)
        rc = read_manifest(import, err);
    for (int i = 0; i < import->args->n_operands && !rc; i++) {
        rc = sample_log_load(&import->logs[i], import->args->operands[i], err);
        import->n_logs += rc == 0;
    }
    if (rc)
        return rc;
    size_t n = import->manifest.n_samples;
    import->entries = arena_alloc(&import->arena, n, sizeof *import->entries);
    import->answers = arena_alloc(&import->arena, n, sizeof *import->answers);
    if (!import->entries || !import->answers)
        return err_no_memory(err, "an import");
    rc = log_match(import->entries, &import->manifest, import->logs, import->n_logs, err);
    for (size_t i = 0; i < n; i++)
        import->n_entries += import->entries[i] != NULL;
    return rc;
}

/* ---- scoring --------------------------------------------------------------------------------------------------------------- */

/* What lmms-eval's LLaVA-Video says of a video it cannot read, and scores as if the model had said it. */
static bool is_failure_text(const char *reply)
{
    static const char begins[] = "Video ", ends[] = " can not load, check the source";
    size_t n = strlen(reply);
    return n > sizeof begins + sizeof ends && !strncmp(reply, begins, sizeof begins - 1) && !strcmp(reply + n + 1 - sizeof ends, ends);
}

static int score_entry(struct import *import, size_t i, struct err *err)
{
    const char *reply = import->entries[i]->reply;
    size_t length = strlen(reply);
    text_strip(&reply, &length);
    struct answer *answer = &import->answers[i];
    *answer = (struct answer){.extracted = -1, .margin = (double)NAN, .cost.frames = -1};
    const char *raw = arena_strndup(&import->arena, reply, length);
    if (!raw)
        return err_no_memory(err, "an import");
    if (is_failure_text(raw)) {
        answer->status = ANSWER_DECODE_FAILED;
        answer->message = raw;
        return 0;
    }
    answer->raw = raw;
    return score_reply(answer, raw, &import->manifest.samples[i], import->profile, import->protocol, import->benchmark->max_option_letters,
                       err);
}

static int score_entries(struct import *import, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; i < import->manifest.n_samples && !rc; i++)
        if (import->entries[i])
            rc = score_entry(import, i, err);
    return rc;
}

/* Whether every prompt of the logs is the one that this program makes in a form. */
static int fits_form(const struct import *import, int form, bool *fits, size_t *n_prompts, struct err *err)
{
    struct arena arena = {0};
    int rc = 0;
    *n_prompts = 0;
    *fits = true;
    for (size_t i = 0; i < import->manifest.n_samples && *fits && !rc; i++) {
        const char *input = import->entries[i] ? import->entries[i]->input : NULL, *prompt;
        if (!input)
            continue;
        rc = asked_prompt(&prompt, import->benchmark, import->protocol, form, &import->manifest, i, &arena, err);
        *fits = !rc && prompt && !strcmp(prompt, input);
        ++*n_prompts;
        arena_reset(&arena);
    }
    arena_free(&arena);
    *fits &= *n_prompts > 0;
    return rc;
}

static int find_form(struct import *import, struct err *err)
{
    size_t n_prompts = 0;
    int rc = 0;
    for (int form = 0; asked_form_name(form) && import->form < 0 && !rc; form++) {
        bool fits = false;
        rc = fits_form(import, form, &fits, &n_prompts, err);
        import->form = fits ? form : -1;
    }
    bool depends = import->benchmark->needs_header || import->benchmark->interleaves; /* on more than the manifest */
    if (!rc && n_prompts && import->form < 0 && !depends)
        log_say(LOG_NOTE, "the prompts of the log are not those that profile %s makes of the manifest; they are kept as they are",
                import->profile->name);
    return rc;
}

/* ---- the cell -------------------------------------------------------------------------------------------------------------- */

static int by_text(const void *a, const void *b)
{
    return strcmp(((const struct sample_log *)a)->digest, ((const struct sample_log *)b)->digest);
}

/* One digest of all logs, whatever their order and names. */
static int digest_logs(struct import *import, struct err *err)
{
    char digest[DIGEST_HEX];
    struct sample_log sorted[CLI_MOST_OPERANDS];
    memcpy(sorted, import->logs, sizeof sorted);
    qsort(sorted, import->n_logs, sizeof *sorted, by_text);
    struct digest *all = digest_new();
    if (!all)
        return err_no_memory(err, "the digest of a log");
    for (size_t i = 0; i < import->n_logs; i++)
        digest_add_text(all, sorted[i].digest);
    digest_finish(all, digest);
    snprintf(import->params, sizeof import->params, "{\"logs\":\"%s\"}", digest);
    return 0;
}

/* What is not known of how the answers came about is "" or 0. */
static int make_cell(struct import *import, struct err *err)
{
    const char *sampling = cli_text(import->args, "sampling");
    struct text model = {0};
    int64_t frames = 0;
    int rule = frame_rule_find(sampling), rc = cli_integer(import->args, "frames", 0, 1000000, &frames, err);
    if (!rc && rule < 0)
        rc = err_set(err, ERR_CONFIG, "--sampling should be uniform, 1fps or centre, it is '%s'", sampling);
    if (!rc)
        rc = digest_logs(import, err);
    if (rc)
        return rc;
    text_printf(&model, "imported %s", import->cell.model);
    if (model.failed)
        return err_no_memory(err, "an import");
    digest_of(model.bytes, model.length, import->model_digest);
    text_free(&model);
    import->cell = (struct cell){
        .model = import->cell.model, .benchmark = import->benchmark->name, .profile = import->profile->name, .frames = (int)frames,
        .sampling = (enum frame_rule)rule, .compressor = "imported", .params = import->params, .label = cli_text(import->args, "label"),
        .pooling = "", .newline = "", .conversation = "", .prompt_form = import->form < 0 ? "" : asked_form_name(import->form),
        .repetition_penalty = 1, .max_new_tokens = import->protocol->max_new_tokens, .dtype = "", .runner = "imported", .isa = "",
        .model_digest = import->model_digest, .manifest_digest = import->manifest.digest, .build_digest = ""};
    cell_identify(&import->cell);
    return 0;
}

/* ---- writing --------------------------------------------------------------------------------------------------------------- */

/* What the run's row says of an import. */
static char *config_text(const struct import *import)
{
    struct json *config = json_new(JSON_OBJECT), *files = config ? json_add(config, "import", json_new(JSON_ARRAY)) : NULL;
    bool ok = files;
    for (size_t i = 0; i < import->n_logs && ok; i++) {
        struct json *file = json_add(files, NULL, json_new(JSON_OBJECT));
        ok = file && json_add(file, "path", json_new_string(import->logs[i].path)) &&
             json_add(file, "digest", json_new_string(import->logs[i].digest));
    }
    char *text = ok ? json_text(config) : NULL;
    json_free(config);
    return text;
}

/* A log's record, with the prompt where it is none that this program can make again. */
static int put_record(struct import *import, struct store *store, int64_t cell, size_t i, struct err *err)
{
    const struct logged *entry = import->entries[i];
    struct text record = {0};
    bool first = false;
    text_add(&record, entry->record, strlen(entry->record) - 1);
    if (entry->input && import->form < 0) {
        python_key(&record, &first, "input");
        python_string(&record, entry->input);
    }
    text_put(&record, "}");
    int rc = record.failed ? err_no_memory(err, "an import") : store_put_record(store, cell, &import->manifest, i, record.bytes, err);
    text_free(&record);
    return rc;
}

static int put_answers(struct import *import, struct store *store, int64_t cell, const bool *done, struct err *err)
{
    char *config = config_text(import);
    int64_t run = 0;
    int rc = config ? origin_begin_run(store, import->args, "import", config, "", &run, err) : err_no_memory(err, "an import");
    free(config);
    for (size_t i = 0; i < import->manifest.n_samples && !rc; i++) {
        if (!import->entries[i] || done[i])
            continue;
        rc = store_put_answer(store, run, cell, &import->manifest, i, &import->answers[i], err);
        if (!rc)
            rc = put_record(import, store, cell, i, err);
    }
    return rc ? rc : store_end_run(store, run, "done", err);
}

static int put_all(struct import *import, struct store *store, int64_t *cell, struct err *err)
{
    bool *done = arena_alloc(&import->arena, import->manifest.n_samples, sizeof *done), has = false;
    int rc = done ? store_has_manifest(store, &import->manifest, &has, err) : err_no_memory(err, "an import");
    if (!rc && !has) /* a run may have told where the videos are */
        rc = store_put_manifest(store, &import->manifest, err);
    if (!rc)
        rc = store_put_cell(store, &import->cell, import->protocol, cell, err);
    if (!rc)
        rc = store_answered(store, *cell, &import->manifest, false, done, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < import->manifest.n_samples; i++)
        import->n_new += import->entries[i] && !done[i];
    return import->n_new ? put_answers(import, store, *cell, done, err) : 0;
}

/* ---- telling --------------------------------------------------------------------------------------------------------------- */

/* Whether the profile finds right what the log found right: the wrong profile shows at once. */
static void tell_agreement(const struct import *import)
{
    size_t n = 0, n_same = 0, first = 0;
    for (size_t i = import->manifest.n_samples; i-- > 0;) {
        if (!import->entries[i] || import->entries[i]->right < 0 || !import->answers[i].raw)
            continue;
        bool same = import->entries[i]->right == import->answers[i].correct;
        n++;
        n_same += same;
        first = same ? first : i;
    }
    if (n_same < n)
        log_say(LOG_NOTE, "profile %s agrees with the log's own scores on %zu of %zu replies; the first it does not is '%s', %s in the log",
                import->profile->name, n_same, n, import->manifest.samples[first].id, import->entries[first]->right ? "right" : "wrong");
    else if (n)
        log_say(LOG_NOTE, "profile %s agrees with the log's own scores on all %zu replies", import->profile->name, n);
}

static int print_table(struct store *store, int64_t cell, struct err *err)
{
    char where[40];
    struct text out = {0};
    size_t n;
    snprintf(where, sizeof where, "id = %lld", (long long)cell);
    int rc = accuracy_table(store, where, TABLE_TERMINAL, &out, &n, err);
    if (!rc && out.bytes)
        fputs(out.bytes, stdout);
    text_free(&out);
    return rc;
}

static int write_store(struct import *import, struct err *err)
{
    struct store *store = NULL;
    int64_t cell = 0;
    int rc = store_open(&store, cli_text(import->args, "store"), STORE_WRITE, err);
    if (!rc && !(rc = store_begin_batch(store, err)))
        rc = store_end_batch(store, put_all(import, store, &cell, err), err);
    if (!rc) {
        log_say(LOG_NOTE, "%zu of %zu questions are in the log, %zu answers are new to the store; cell %.12s", import->n_entries,
                import->manifest.n_samples, import->n_new, import->cell.digest);
        tell_agreement(import);
        rc = print_table(store, cell, err);
    }
    store_close(store);
    return rc;
}

static int import_command(const struct cli_args *args, struct err *err)
{
    struct import import = {.args = args, .form = -1};
    int rc;
    if (!(rc = read_files(&import, err)) && !(rc = score_entries(&import, err)) && !(rc = find_form(&import, err)) &&
        !(rc = make_cell(&import, err)))
        rc = write_store(&import, err);
    for (size_t i = 0; i < import.n_logs; i++)
        sample_log_free(&import.logs[i]);
    manifest_free(&import.manifest);
    arena_free(&import.arena);
    return rc;
}

const struct cli_command command_import = {
    .name = "import",
    .operands = "LOG...",
    .least_operands = 1,
    .most_operands = CLI_MOST_OPERANDS,
    .summary = "takes in samples logs of lmms-eval: their replies become a cell",
    .options = options,
    .run = import_command,
};
