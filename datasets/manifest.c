/* Manifests: the table of benchmarks, and what every manifest must pass whichever of them it is from. */
#include "datasets/manifest.h"

#include "datasets/manifest_build.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct benchmark *const benchmarks[] = {
    &benchmark_videomme,
    &benchmark_mvbench,
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
            rc = err_set(err, ERR_DATA, "'%s': rows %zu and %zu have the same id '%s'; ids must be unique", manifest->path, first, i,
                         sample->id);
        else if (sample->answer < -1 || sample->answer >= sample->n_options)
            rc = err_set(err, ERR_DATA, "'%s': row %zu ('%s') has answer %d of %d options", manifest->path, i, sample->id, sample->answer,
                         sample->n_options);
    }
    names_free(&ids);
    return rc;
}

int manifest_read(struct manifest *out, const struct benchmark *benchmark, const struct manifest_source *source, struct err *err)
{
    *out = (struct manifest){.benchmark = benchmark->name};
    if (access(source->path, R_OK))
        return err_errno(err, "open", source->path);
    out->path = arena_strdup(&out->arena, source->path);
    int rc = out->path ? benchmark->load(out, source, err) : err_no_memory(err, "a manifest");
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

/* Whether there is no sample before `sample` on its video: a missing video is told once. */
static bool is_first_on_video(struct names *videos, const struct sample *sample, const struct manifest *manifest)
{
    size_t first = sample->row;
    struct err err = {0};
    return names_put(videos, manifest->videos[sample->video].path, sample->row, &first, &err) || first == sample->row;
}

static void options_check(struct check *check, const struct sample *sample)
{
    int most = check->benchmark->max_option_letters;
    for (int i = 0; i < sample->n_options; i++)
        for (int j = 0; j < i; j++)
            if (!strcmp(sample->options[i], sample->options[j]))
                report(check, false, "equal_options", sample->id, "options %c and %c are both '%s'", 'A' + j, 'A' + i, sample->options[i]);
    if (sample->n_options == 1)
        report(check, false, "one_option", sample->id, "there is one option, so that any letter but A is wrong");
    if (sample->n_options > most)
        report(check, false, "many_options", sample->id, "there are %d options; the benchmark's letters end with %c", sample->n_options,
               'A' + most - 1);
}

static void sample_check(struct check *check, const struct sample *sample, struct names *ids, struct names *videos)
{
    const struct manifest *manifest = check->manifest;
    const struct video_ref *video = &manifest->videos[sample->video];
    struct err err = {0};
    size_t first = sample->row;
    if (names_put(ids, sample->id, sample->row, &first, &err))
        report(check, true, "memory", sample->id, "the id was not compared with others: %s", err.text);
    else if (first != sample->row)
        report(check, true, "duplicate_id", sample->id, "rows %zu and %zu have the same id", first, sample->row);
    if (video->missing && is_first_on_video(videos, sample, manifest))
        report(check, true, "missing_video", sample->id, "no video '%s', nor under the names that are tried instead", video->path);
    if (!*sample->question)
        report(check, false, "empty_question", sample->id, "the question is empty");
    if (sample->answer < -1 || sample->answer >= sample->n_options)
        report(check, true, "answer_range", sample->id, "the answer is %d of %d options", sample->answer, sample->n_options);
    if (sample->answer == -1)
        report(check, false, "no_answer", sample->id, "the right answer is not told, so that the question cannot be scored");
    options_check(check, sample);
}

static size_t group_count(const struct manifest *manifest, const char *task_type)
{
    size_t n = 0;
    for (size_t i = 0; i < manifest->n_samples; i++)
        n += manifest->samples[i].task_type && !strcmp(manifest->samples[i].task_type, task_type);
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
    for (const struct published_group *group = benchmark->groups; group && group->task_type; group++) {
        char what[256];
        snprintf(what, sizeof what, "questions of type '%s'", group->task_type);
        count_check(check, what, group_count(manifest, group->task_type), group->samples);
    }
}

size_t manifest_check(const struct manifest *manifest, const struct benchmark *benchmark,
                      void (*say)(const struct finding *finding, void *context), void *context)
{
    struct check check = {manifest, benchmark, say, context, 0};
    struct names ids = {0}, videos = {0};
    for (size_t i = 0; i < manifest->n_samples; i++)
        sample_check(&check, &manifest->samples[i], &ids, &videos);
    counts_check(&check);
    names_free(&ids);
    names_free(&videos);
    return check.n_errors;
}
