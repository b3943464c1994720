/* Manifests: the table of benchmarks, and what every manifest must pass whichever of them it is from. */
#include "datasets/manifest.h"

#include "datasets/manifest_build.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct benchmark *const benchmarks[] = {
    &benchmark_videomme,
    &benchmark_videomme_w_subtitle,
    &benchmark_mlvu_dev,
    &benchmark_mlvu_test,
    &benchmark_mvbench,
    &benchmark_longvideobench_val_v,
    &benchmark_longvideobench_val_i,
    &benchmark_nextqa_mc_test,
    &benchmark_nextqa_mc_val,
    &benchmark_perceptiontest_val_mc,
    &benchmark_tinyworld,
    &benchmark_tinyworld_smoke,
    &benchmark_tinyworld_quick,
    &benchmark_tinyworld_full,
    &benchmark_tinyworld_shuffled,
    &benchmark_tinyworld_blank,
};

const struct benchmark *benchmark_at(int i)
{
    return i >= 0 && (size_t)i < sizeof benchmarks / sizeof *benchmarks ? benchmarks[i] : NULL;
}

const struct benchmark *benchmark_find(const char *name)
{
    for (size_t i = 0; i < sizeof benchmarks / sizeof *benchmarks; i++)
        if (!strcmp(benchmarks[i]->name, name))
            return benchmarks[i];
    return NULL;
}

/* ---- loading ------------------------------------------------------------------------------------------------------------- */

static int samples_check(const struct manifest *manifest, struct err *err)
{
    struct names ids = {0};
    int rc = 0;
    for (size_t i = 0; i < manifest->n_samples && !rc; i++) {
        const struct sample *sample = &manifest->samples[i];
        size_t first = i;
        if ((rc = names_put(&ids, sample->id, i, &first, err)))
            break;
        if (first != i)
            rc = err_set(err, ERR_DATA, "'%s': rows %zu and %zu have the same id '%s'; ids must be unique", manifest->path,
                         manifest->samples[first].row, sample->row, sample->id);
        else if (sample->flaw)
            rc = err_set(err, ERR_DATA, "'%s': row %zu ('%s') cannot be asked: %s; 'toksweep check manifest' lists all such rows, "
                         "and 'exclude' in the sweep file leaves them out", manifest->path, sample->row, sample->id, sample->flaw);
        else if (sample->answer < -1 || sample->answer >= sample->n_options)
            rc = err_set(err, ERR_DATA, "'%s': row %zu ('%s') has answer %d of %d options", manifest->path, sample->row, sample->id,
                         sample->answer, sample->n_options);
    }
    names_free(&ids);
    return rc;
}

/* What was given, or the file in it when that is a folder which is no manifest itself. */
static int source_resolve(struct manifest_source *source, const struct benchmark *benchmark, struct arena *arena, struct err *err)
{
    if (access(source->path, R_OK))
        return err_errno(err, "open", source->path);
    const char *file = path_is_folder(source->path) ? manifest_in_folder(benchmark, source->path, arena) : NULL;
    source->path = arena_strdup(arena, file ? file : source->path);
    return source->path ? 0 : err_no_memory(err, "a manifest");
}

int manifest_read(struct manifest *out, const struct benchmark *benchmark, const struct manifest_source *source, struct err *err)
{
    struct manifest_source resolved = *source;
    *out = (struct manifest){.benchmark = benchmark->name};
    int rc = source_resolve(&resolved, benchmark, &out->arena, err);
    out->path = resolved.path;
    if (!rc)
        rc = benchmark->load(out, benchmark, &resolved, err);
    if (!rc && source->exclude)
        rc = manifest_exclude(out, source->exclude, err);
    if (rc)
        manifest_free(out);
    return rc;
}

int manifest_load(struct manifest *out, const struct benchmark *benchmark, const struct manifest_source *source, struct err *err)
{
    int rc = manifest_read(out, benchmark, source, err);
    if (rc)
        return rc;
    if (out->n_samples == 0)
        rc = err_set(err, ERR_DATA, "'%s' has no questions", source->path);
    else
        rc = samples_check(out, err);
    if (rc)
        manifest_free(out);
    return rc;
}

void manifest_free(struct manifest *manifest)
{
    arena_free(&manifest->arena);
    *manifest = (struct manifest){0};
}

/* ---- checking ------------------------------------------------------------------------------------------------------------ */

struct check {
    const struct manifest *manifest;
    const struct benchmark *benchmark;
    void (*say)(const struct finding *finding, void *context);
    void *context;
    size_t n_errors;
    struct names ids, questions;
    struct arena arena; /* of the questions' keys */
};

static void report(struct check *check, bool is_error, const char *kind, const char *sample_id, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

static void report(struct check *check, bool is_error, const char *kind, const char *sample_id, const char *format, ...)
{
    char text[4096];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    check->n_errors += is_error;
    check->say(&(struct finding){is_error, kind, sample_id, text}, check->context);
}

static void options_check(struct check *check, const struct sample *sample)
{
    int most = check->benchmark->max_option_letters;
    for (int i = 0; i < sample->n_options; i++)
        for (int j = 0; j < i; j++) {
            if (strcmp(sample->options[i], sample->options[j]))
                continue;
            report(check, false, "equal_options", sample->id, "options %c and %c are both '%s'", 'A' + j, 'A' + i, sample->options[i]);
            if (i == sample->answer || j == sample->answer)
                report(check, false, "two_answers", sample->id, "options %c and %c are both right, and only %c counts", 'A' + j, 'A' + i,
                       'A' + sample->answer);
        }
    if (sample->n_options == 1)
        report(check, false, "one_option", sample->id, "there is one option, so that any letter but A is wrong");
    if (sample->n_options > most)
        report(check, false, "many_options", sample->id, "there are %d options; the benchmark's letters end with %c", sample->n_options,
               'A' + most - 1);
}

/* A row that stands there twice under two ids: the same question about the same video, with the same options. */
static void twin_check(struct check *check, const struct sample *sample, size_t at)
{
    struct arena *arena = &check->arena;
    const char *options = options_text(sample, NULL, NULL, "\n", arena);
    const char *key = options ? arena_printf(arena, "%zu\n%s\n%s", sample->video, sample->question, options) : NULL;
    struct err err = {0};
    size_t first = at;
    if (key && !names_put(&check->questions, key, at, &first, &err) && first != at)
        report(check, false, "same_question", sample->id, "'%s' asks the same about the same video, with the same options",
               check->manifest->samples[first].id);
}

static void places_check(struct check *check, const struct sample *sample)
{
    const struct video_ref *video = &check->manifest->videos[sample->video];
    const struct subtitles *subtitles = check->benchmark->interleaves ? sample->subtitles : NULL; /* elsewhere a video may have none */
    if (video->missing)
        report(check, true, "missing_video", sample->id, "no video '%s', nor under the names that are tried instead", video->path);
    if (subtitles && subtitles->missing)
        report(check, true, "missing_subtitles", sample->id, "no subtitles '%s'", subtitles->path);
}

static void sample_check(struct check *check, const struct sample *sample, size_t at)
{
    struct err err = {0};
    size_t first = at;
    if (names_put(&check->ids, sample->id, at, &first, &err))
        report(check, true, "memory", sample->id, "the id was not compared with others: %s", err.text);
    else if (first != at)
        report(check, true, "duplicate_id", sample->id, "rows %zu and %zu have the same id", check->manifest->samples[first].row,
               sample->row);
    places_check(check, sample);
    if (sample->flaw)
        report(check, true, "ill_formed", sample->id, "%s", sample->flaw);
    if (!*sample->question)
        report(check, false, "empty_question", sample->id, "the question is empty");
    if (sample->answer < -1 || sample->answer >= sample->n_options)
        report(check, true, "answer_range", sample->id, "the answer is %d of %d options", sample->answer, sample->n_options);
    if (sample->answer == -1 && !sample->flaw)
        report(check, false, "no_answer", sample->id, "the right answer is not told, so that the question cannot be scored");
    options_check(check, sample);
    if (first == at)
        twin_check(check, sample, at);
}

static const char *group_of(const struct sample *sample, const char *by)
{
    const char *group = !strcmp(by, "task_type") ? sample->task_type : !strcmp(by, "duration") ? sample->duration
                      : !strcmp(by, "domain") ? sample->domain : sample->sub_category;
    return group ? group : "";
}

static size_t group_count(const struct manifest *manifest, const struct published_group *group)
{
    size_t n = 0;
    for (size_t i = 0; i < manifest->n_samples; i++)
        n += !strcmp(group_of(&manifest->samples[i], group->by), group->name);
    return n;
}

static void count_check(struct check *check, const char *what, size_t found, size_t published)
{
    if (published && found != published)
        report(check, false, "count", NULL, "%zu %s; the published set has %zu", found, what, published);
}

static void counts_check(struct check *check)
{
    const struct benchmark *benchmark = check->benchmark;
    const struct manifest *manifest = check->manifest;
    count_check(check, "questions", manifest->n_samples, benchmark->published_samples);
    count_check(check, "videos", manifest->n_videos, benchmark->published_videos);
    for (const struct published_group *group = benchmark->groups; group && group->name; group++) {
        char what[256];
        snprintf(what, sizeof what, "questions of %s '%s'", group->by, group->name);
        count_check(check, what, group_count(manifest, group), group->samples);
    }
}

size_t manifest_check(const struct manifest *manifest, const struct benchmark *benchmark,
                      void (*say)(const struct finding *finding, void *context), void *context)
{
    struct check check = {.manifest = manifest, .benchmark = benchmark, .say = say, .context = context};
    for (size_t i = 0; i < manifest->n_notes; i++)
        report(&check, false, manifest->notes[i].kind, manifest->notes[i].sample_id, "%s", manifest->notes[i].text);
    for (size_t i = 0; i < manifest->n_samples; i++)
        sample_check(&check, &manifest->samples[i], i);
    if (manifest->n_excluded)
        report(&check, false, "excluded", NULL, "%zu questions are left out by the exclusion list", manifest->n_excluded);
    counts_check(&check);
    names_free(&check.ids);
    names_free(&check.questions);
    arena_free(&check.arena);
    return check.n_errors;
}
