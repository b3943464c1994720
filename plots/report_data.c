/* The HTML report, first step: the store as JSON. Questions once per manifest, answers in columns per cell, replies as numbers of a list of
 * distinct texts: 100,000 answers are about 3 MB. plots/report/store.js reads it. */
#include "plots/report_impl.h"

#include "metrics/interval.h"
#include "metrics/special.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const double confidence = 0.95;

/* ---- JSON ------------------------------------------------------------------------------------------------------------------ */

static void put_escaped(struct text *out, const char *at, size_t length)
{
    unsigned char byte = (unsigned char)*at;
    if (!length)
        text_put(out, "\xef\xbf\xbd"); /* U+FFFD */
    else if (byte == '"' || byte == '\\')
        text_printf(out, "\\%c", byte);
    else if (byte < 0x20 || byte == 0x7f || byte == '<')
        text_printf(out, "\\u%04x", byte);
    else
        text_add(out, at, length);
}

void json_put_text(struct text *out, const char *string)
{
    if (!string) {
        text_put(out, "null");
        return;
    }
    text_put(out, "\"");
    for (size_t left = strlen(string); left;) {
        size_t length = utf8_length(string, left), step = length ? length : 1;
        put_escaped(out, string, length);
        string += step;
        left -= step;
    }
    text_put(out, "\"");
}

void json_put_real(struct text *out, double value, int digits)
{
    if (isfinite(value))
        text_printf(out, "%.*g", digits, value);
    else
        text_put(out, "null");
}

static void put_key(struct text *out, const char *name)
{
    text_printf(out, "%s\n\"%s\":", out->bytes[out->length - 1] == '{' ? "" : ",", name);
}

static void put_member(struct text *out, const char *name, const char *value)
{
    put_key(out, name);
    json_put_text(out, value);
}

static void put_number(struct text *out, const char *name, double value)
{
    put_key(out, name);
    json_put_real(out, value, 9);
}

static void put_comma(struct text *out)
{
    if (out->bytes[out->length - 1] != '[')
        text_put(out, ",");
}

static void put_texts(struct text *out, const struct texts *texts)
{
    text_put(out, "[");
    for (size_t i = 0; i < texts->n; i++) {
        put_comma(out);
        json_put_text(out, texts->all[i]);
    }
    text_put(out, "]");
}

/* ---- manifests ------------------------------------------------------------------------------------------------------------- */

static const struct group_kind { const char *name; size_t offset; } group_kinds[] = {
    {"task_type", offsetof(struct sample, task_type)},
    {"duration", offsetof(struct sample, duration)},
    {"domain", offsetof(struct sample, domain)},
    {"sub_category", offsetof(struct sample, sub_category)},
};

static void put_groups(struct text *out, const struct manifest *manifest, const struct group_kind *kind)
{
    struct texts names = {0};
    struct text of = {0};
    for (size_t i = 0; i < manifest->n_samples; i++)
        text_printf(&of, "%s%ld", i ? "," : "",
                    texts_number(&names, *(const char *const *)((const char *)&manifest->samples[i] + kind->offset)));
    if (names.n) {
        put_key(out, kind->name);
        text_put(out, "{\"names\":");
        put_texts(out, &names);
        text_printf(out, ",\"of\":[%s]}", of.bytes);
    }
    out->failed |= names.failed || of.failed;
    text_free(&of);
    texts_free(&names);
}

static void put_options(struct text *out, const struct sample *sample)
{
    text_put(out, "[");
    for (int i = 0; i < sample->n_options; i++) {
        put_comma(out);
        json_put_text(out, sample->options[i]);
    }
    text_put(out, "]");
}

#define PUT_COLUMN(out, name, n, put)        \
    do {                                     \
        put_key(out, name);                  \
        text_put(out, "[");                  \
        for (size_t i = 0; i < (n); i++) {   \
            put_comma(out);                  \
            put;                             \
        }                                    \
        text_put(out, "]");                  \
    } while (0)

static void put_manifest(struct text *out, const struct manifest *manifest)
{
    const struct sample *samples = manifest->samples;
    put_comma(out);
    text_put(out, "\n{");
    put_member(out, "name", manifest->benchmark);
    put_member(out, "digest", manifest->digest);
    PUT_COLUMN(out, "videos", manifest->n_videos, json_put_text(out, manifest->videos[i].id));
    PUT_COLUMN(out, "id", manifest->n_samples, json_put_text(out, samples[i].id));
    PUT_COLUMN(out, "video", manifest->n_samples, text_printf(out, "%zu", samples[i].video));
    PUT_COLUMN(out, "question", manifest->n_samples, json_put_text(out, samples[i].question));
    PUT_COLUMN(out, "options", manifest->n_samples, put_options(out, &samples[i]));
    PUT_COLUMN(out, "answer", manifest->n_samples, text_printf(out, "%d", samples[i].answer));
    put_key(out, "groups");
    text_put(out, "{");
    for (size_t k = 0; k < sizeof group_kinds / sizeof *group_kinds; k++)
        put_groups(out, manifest, &group_kinds[k]);
    text_put(out, "}}");
}

/* ---- cells ----------------------------------------------------------------------------------------------------------------- */

static char verdict_of(const struct stored_answer *stored)
{
    static const char failures[ANSWER_STATUSES] = {
        [ANSWER_NO_ANSWER] = 'n',     [ANSWER_AMBIGUOUS] = 'a',     [ANSWER_DECODE_FAILED] = 'd', [ANSWER_MISSING_VIDEO] = 'm',
        [ANSWER_TOO_LONG] = 'l',      [ANSWER_OUT_OF_MEMORY] = 'o', [ANSWER_RUNNER_FAILED] = 'f', [ANSWER_TIMEOUT] = 't',
    };
    if (!stored->id)
        return '.';
    return stored->answer.status == ANSWER_OK ? (stored->answer.correct ? '1' : '0') : failures[stored->answer.status];
}

static char letter_of(const struct stored_answer *stored)
{
    return stored->id && stored->answer.extracted >= 0 ? (char)('A' + stored->answer.extracted) : '-';
}

static char counted_of(const struct stored_answer *stored)
{
    return stored->counted ? '1' : '0';
}

static double alone_of(const struct stored_answer *stored)
{
    double sum = 0;
    bool any = false;
    for (int stage = 0; stage < STAGES && stored->id; stage++)
        if (!isnan(stored->answer.cost.alone_ms[stage])) {
            sum += stored->answer.cost.alone_ms[stage];
            any = true;
        }
    return any && sum > 0 ? sum : NAN;
}

static double tokens_of(const struct stored_answer *stored)
{
    const struct cost *cost = &stored->answer.cost;
    return stored->id && cost->frames >= 0 && cost->tokens_before > 0 ? (double)(cost->tokens_visual + cost->tokens_marker) : (double)NAN;
}

static double margin_of(const struct stored_answer *stored)
{
    return stored->id ? stored->answer.margin : NAN;
}

/* The reply, or why there is none. */
static const char *words_of(const struct stored_answer *stored)
{
    return stored->answer.raw ? stored->answer.raw : stored->answer.message;
}

/* A column of numbers; left out where nothing is known. */
static void put_reals(struct text *out, const char *name, const struct stored_cell *cell, double (*of)(const struct stored_answer *stored),
                      int digits)
{
    bool known = false;
    for (size_t i = 0; i < cell->manifest.n_samples && !known; i++)
        known = !isnan(of(&cell->answers[i]));
    if (known)
        PUT_COLUMN(out, name, cell->manifest.n_samples, json_put_real(out, of(&cell->answers[i]), digits));
}

/* A column of characters, as a string. */
static void put_characters(struct text *out, const char *name, const struct stored_cell *cell,
                           char (*of)(const struct stored_answer *stored))
{
    put_key(out, name);
    text_put(out, "\"");
    for (size_t i = 0; i < cell->manifest.n_samples; i++) {
        char character = of(&cell->answers[i]);
        text_add(out, &character, 1);
    }
    text_put(out, "\"");
}

static long groups_number(struct report *report, const struct stored_answer *stored)
{
    return stored->id && stored->answer.tokens_digest[0] ? texts_number(&report->digests, stored->answer.tokens_digest) : -1;
}

static void put_answers(struct text *out, const struct stored_cell *cell, struct report *report)
{
    size_t n = cell->manifest.n_samples;
    put_characters(out, "verdict", cell, verdict_of);
    put_characters(out, "letter", cell, letter_of);
    put_characters(out, "counted", cell, counted_of);
    PUT_COLUMN(out, "reply", n, text_printf(out, "%ld", texts_number(&report->replies, words_of(&cell->answers[i]))));
    if (report->options->frames)
        PUT_COLUMN(out, "groups", n, text_printf(out, "%ld", groups_number(report, &cell->answers[i])));
    put_reals(out, "margin", cell, margin_of, 3);
    put_reals(out, "tokens", cell, tokens_of, 9);
    put_reals(out, "ms", cell, alone_of, 4);
}

static void put_axes(struct text *out, const struct cell_row *row)
{
    const struct { const char *name, *value; } texts[] = {
        {"digest", row->digest},         {"model", row->model},
        {"benchmark", row->benchmark},   {"profile", row->profile},
        {"compressor", row->compressor}, {"params", row->params},
        {"label", row->label},           {"dtype", row->dtype},
        {"sampling", row->sampling},     {"pooling", row->pooling},
        {"newline", row->newline},       {"conversation", row->conversation},
        {"runner", row->runner},         {"prompt_form", row->prompt_form},
        {"isa", row->isa},               {"build", row->build_digest},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        put_member(out, texts[i].name, texts[i].value);
    put_number(out, "frames", row->frames);
    put_number(out, "image_size", row->image_size);
}

static void put_numbers(struct text *out, const struct cell_row *row)
{
    struct interval interval = share_interval(row->accuracy, row->accuracy_se, row->headline_n, row->n_videos, confidence);
    const struct { const char *name; double value; } numbers[] = {
        {"n_samples", (double)row->n_samples},     {"n_answered", (double)row->n_answered},
        {"n_correct", (double)row->n_correct},     {"n_failed", (double)row->n_failed},
        {"accuracy", row->accuracy},               {"ratio", row->ratio},
        {"low", row->n_videos > 1 ? interval.low : (double)NAN},
        {"high", row->n_videos > 1 ? interval.high : (double)NAN},
        {"tokens_before", row->tokens_before},     {"tokens_visual", row->tokens_visual},
        {"tokens_marker", row->tokens_marker},     {"tokens_text", row->tokens_text},
        {"tokens_generated", row->tokens_generated},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        put_number(out, numbers[i].name, numbers[i].value);
    put_key(out, "macro");
    text_put(out, row->macro ? "true" : "false");
    PUT_COLUMN(out, "alone_ms", STAGES, json_put_real(out, row->alone_ms[i], 6));
    PUT_COLUMN(out, "paid_ms", STAGES, json_put_real(out, row->paid_ms[i], 6));
}

/* ---- everything ------------------------------------------------------------------------------------------------------------ */

/* The manifest of a cell, told once; its place in report->pictured. */
static long add_manifest(struct report *report, struct stored_cell *cell)
{
    struct text name = {0};
    size_t before = report->known.n;
    text_printf(&name, "%s %s", cell->manifest.benchmark, cell->manifest.digest);
    long place = texts_number(&report->known, name.bytes);
    text_free(&name);
    if (place < 0 || report->known.n == before)
        return place;
    struct pictured *grown = realloc(report->pictured, report->known.n * sizeof *grown);
    unsigned char *seen = grown ? calloc(cell->manifest.n_samples + 1, 1) : NULL;
    report->pictured = grown ? grown : report->pictured;
    if (!seen) {
        report->known.n = before; /* so that what is freed is what is there */
        return -1;
    }
    put_manifest(&report->manifests, &cell->manifest);
    if (cell->manifest.n_videos > report->most_videos)
        report->most_videos = cell->manifest.n_videos;
    report->pictured[place] = (struct pictured){.manifest = cell->manifest, .seen = seen};
    cell->manifest.arena = (struct arena){0}; /* it stays: pictures are looked up by it */
    return place;
}

/* Which videos are wanted with which groups, and where cells disagree. */
static int want_pictures(struct report *report, const struct stored_cell *cell, size_t place)
{
    struct pictured *pictured = &report->pictured[place];
    struct wanted_groups *grown = realloc(report->wanted, (report->n_wanted + cell->manifest.n_samples) * sizeof *grown + 1);
    if (!grown)
        return -1;
    report->wanted = grown;
    for (size_t i = 0; i < cell->manifest.n_samples; i++) {
        const struct answer *answer = &cell->answers[i].answer;
        if (!cell->answers[i].id || answer->status != ANSWER_OK)
            continue;
        pictured->seen[i] |= answer->correct ? 2 : 1;
        struct wanted_groups one = {place, pictured->manifest.samples[i].video, 0};
        const struct wanted_groups *last = grown + report->n_wanted - (report->n_wanted > 0);
        if (!answer->tokens_digest[0] || !report->options->frames)
            continue;
        one.digest = (size_t)texts_number(&report->digests, answer->tokens_digest);
        if (!report->n_wanted || last->video != one.video || last->digest != one.digest || last->manifest != place)
            grown[report->n_wanted++] = one;
    }
    return 0;
}

static int add_cell(const struct cell_row *row, void *context)
{
    struct report *report = context;
    struct stored_cell cell;
    if (store_load_cell(&cell, report->store, row->id, &report->err))
        return 1;
    struct arena own = cell.manifest.arena;
    long place = add_manifest(report, &cell);
    if (place < 0 || want_pictures(report, &cell, (size_t)place)) {
        cell.manifest.arena = own;
        stored_cell_free(&cell);
        return err_no_memory(&report->err, "a report");
    }
    put_comma(&report->cells);
    text_put(&report->cells, "\n{");
    put_number(&report->cells, "manifest", (double)place);
    put_member(&report->cells, "manifest_digest", cell.manifest.digest);
    put_axes(&report->cells, row);
    put_numbers(&report->cells, row);
    put_answers(&report->cells, &cell, report);
    text_put(&report->cells, "}");
    report->counts->cells++;
    report->counts->answers += cell.n_answers;
    stored_cell_free(&cell); /* but for the first one's manifest, whose arena add_manifest has taken */
    return report->cells.failed;
}

/* Quantiles for intervals over up to so many videos. */
static void put_quantiles(struct text *out, size_t n)
{
    put_number(out, "quantile_normal", normal_quantile((1 + confidence) / 2));
    PUT_COLUMN(out, "quantile_student", n, json_put_real(out, student_quantile((1 + confidence) / 2, (double)(i + 1)), 9));
}

static void put_origin(struct text *out, const struct report_options *options)
{
    char now[64] = "";
    time_t seconds = time(NULL);
    struct tm utc;
    if (gmtime_r(&seconds, &utc))
        strftime(now, sizeof now, "%Y-%m-%d %H:%M UTC", &utc);
    struct text made = {0}, program = {0};
    text_printf(&made, "%s, %s", options->store, now);
    text_printf(&program, "Written by %s from %s.", options->program, options->store);
    put_member(out, "made", made.bytes);
    put_member(out, "program", program.bytes);
    out->failed |= made.failed || program.failed;
    text_free(&made);
    text_free(&program);
}

static void put_collected(struct text *out, const struct report *report)
{
    text_put(out, "{");
    put_origin(out, report->options);
    PUT_COLUMN(out, "stages", STAGES, json_put_text(out, stage_name((enum stage)i)));
    put_quantiles(out, report->most_videos);
    put_key(out, "manifests");
    text_add(out, report->manifests.bytes, report->manifests.length);
    text_put(out, "]");
    put_key(out, "cells");
    text_add(out, report->cells.bytes, report->cells.length);
    text_put(out, "]");
    put_key(out, "texts");
    put_texts(out, &report->replies);
    text_put(out, "}");
}

int report_data(struct text *out, struct report *report, struct err *err)
{
    text_put(&report->cells, "[");
    text_put(&report->manifests, "[");
    int rc = store_each_cell(report->store, report->options->where, add_cell, report, err);
    if (!rc && report->err.code) {
        *err = report->err;
        rc = err->code;
    }
    bool failed = report->cells.failed || report->manifests.failed;
    if (!rc && (failed || report->replies.failed || report->known.failed || report->digests.failed))
        rc = err_no_memory(err, "a report");
    if (!rc && !report->counts->cells)
        rc = err_set(err, ERR_CONFIG, "'%s' holds no such cell; 'toksweep run' fills it, --where chooses", report->options->store);
    if (!rc)
        put_collected(out, report);
    return rc;
}
