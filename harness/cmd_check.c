/* `check`: looks at what strangers gave us before hours are spent on it. Findings go to stdout, one a line or as JSON. */
#include "harness/cli.h"
#include "harness/table.h"

#include "core/config.h"
#include "datasets/manifest.h"
#include "datasets/video.h"
#include "engine/model.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const struct cli_option options[] = {
    {"videos", "FOLDER", NULL, "manifest: where its videos are", false},
    {"subtitles", "FOLDER", NULL, "manifest: where its subtitles are", false},
    {"exclude", "FILE", NULL, "manifest: a list of samples to leave out, as in a sweep file", false},
    {"decode", NULL, NULL, "manifest: opens every video, and decodes its first, middle and last frame", false},
    {"format", "NAME", "terminal", "terminal, md, csv or json", false},
    {0},
};

static int print_table(struct table *table, const struct cli_args *args, struct err *err)
{
    struct text out = {0};
    int format = table_format_find(cli_text(args, "format")), rc = 0;
    if (format < 0)
        rc = err_set(err, ERR_CONFIG, "--format should be terminal, md, csv or json, it is '%s'", cli_text(args, "format"));
    else if (!table_write(table, (enum table_format)format, &out))
        rc = err_no_memory(err, "a table");
    else
        fputs(out.bytes, stdout);
    text_free(&out);
    return rc;
}

/* ---- videos -------------------------------------------------------------------------------------------------------------- */

static const char truncated_words[] = "its end cannot be decoded; the last good frame stands in";

/* Opens a video and decodes its first, middle and last frame; of a part, those of the part. */
static int probe_video(const struct video_ref *ref, struct video_facts *facts, size_t *n_replaced, struct err *err)
{
    struct video *video = NULL;
    struct frames frames = {0};
    *facts = (struct video_facts){0};
    *n_replaced = 0;
    int rc = video_open(&video, ref, 1, err);
    if (!rc) {
        uint32_t index[3], first = 0, last;
        *facts = *video_facts(video);
        last = facts->n_frames - 1;
        if (ref->start_s >= 0)
            clip_range(facts, ref, &first, &last);
        uint32_t n_frames = last - first + 1;
        size_t n = frame_indices(FRAMES_UNIFORM, facts->n_frames, facts->fps, first, last, n_frames < 3 ? n_frames : 3, index);
        rc = video_read(video, index, n, 0, &frames, n_replaced, err);
    }
    frames_free(&frames);
    video_close(video);
    return rc;
}

static bool check_video(const char *path, struct table *table)
{
    struct err err = {0};
    size_t n_replaced;
    struct video_facts facts;
    int rc = probe_video(&(struct video_ref){.id = path, .path = path, .start_s = -1}, &facts, &n_replaced, &err);
    const char *slash = strrchr(path, '/');
    table_cell(table, "%s", slash ? slash + 1 : path);
    table_cell(table, "%u", facts.n_frames);
    table_cell(table, "%.3f", facts.fps);
    table_cell(table, "%.2f", facts.duration_s);
    table_cell(table, "%d", facts.width);
    table_cell(table, "%d", facts.height);
    table_cell(table, "%d", facts.rotation);
    table_cell(table, "%s", rc ? err.text : n_replaced ? truncated_words : "ok");
    return !rc;
}

/* ---- manifest ------------------------------------------------------------------------------------------------------------ */

static void add_finding(const struct finding *finding, void *context)
{
    struct table *table = context;
    table_cell(table, "%s", finding->is_error ? "error" : "note");
    table_cell(table, "%s", finding->kind);
    table_cell(table, "%s", finding->sample_id ? finding->sample_id : "");
    table_cell(table, "%s", finding->text);
}

struct probed { bool done, failed, truncated; struct err why; };

/* A finding for each sample whose video is there and cannot be decoded. Adds to *errors. */
static int decode_videos(const struct manifest *manifest, struct table *table, size_t *errors, struct err *err)
{
    struct probed *videos = calloc(manifest->n_videos + 1, sizeof *videos);
    if (!videos)
        return err_no_memory(err, "a list of videos");
    for (size_t i = 0; i < manifest->n_samples; i++) {
        const struct sample *sample = &manifest->samples[i];
        const struct video_ref *ref = &manifest->videos[sample->video];
        struct probed *video = &videos[sample->video];
        struct video_facts facts;
        size_t n_replaced;
        if (!video->done && !ref->missing) {
            video->failed = probe_video(ref, &facts, &n_replaced, &video->why) != 0;
            video->truncated = !video->failed && n_replaced;
        }
        video->done = true;
        if (video->failed)
            add_finding(&(struct finding){true, "undecodable_video", sample->id, video->why.text}, table);
        else if (video->truncated)
            add_finding(&(struct finding){false, "truncated_video", sample->id, truncated_words}, table);
        *errors += video->failed;
    }
    free(videos);
    return 0;
}

static int unknown_benchmark(const char *name, struct err *err)
{
    const char *known[64] = {NULL};
    for (int i = 0; i < 63 && benchmark_at(i); i++)
        known[i] = benchmark_at(i)->name;
    const char *near = nearest_word(name, known);
    return near ? err_set(err, ERR_CONFIG, "no benchmark '%s'; did you mean '%s'?", name, near)
                : err_set(err, ERR_CONFIG, "no benchmark '%s'; see 'toksweep list benchmarks'", name);
}

static int check_manifest(const struct cli_args *args, struct err *err)
{
    struct manifest manifest;
    struct table table = {0};
    if (args->n_operands != 3)
        return err_set(err, ERR_CONFIG, "usage: toksweep check manifest BENCHMARK PATH; see 'toksweep list benchmarks'");
    const struct benchmark *benchmark = benchmark_find(args->operands[1]);
    if (!benchmark)
        return unknown_benchmark(args->operands[1], err);
    struct manifest_source source = {.path = args->operands[2], .videos = cli_text(args, "videos"), .subtitles = cli_text(args, "subtitles"),
                                     .exclude = cli_text(args, "exclude")};
    int rc = manifest_read(&manifest, benchmark, &source, err);
    if (rc)
        return rc;
    fprintf(stderr, "%s: %zu samples on %zu videos\n", source.path, manifest.n_samples, manifest.n_videos);
    table_column(&table, "level", false);
    table_column(&table, "kind", false);
    table_column(&table, "sample", false);
    table_column(&table, "finding", false);
    size_t errors = manifest_check(&manifest, benchmark, add_finding, &table);
    if (cli_flag(args, "decode"))
        rc = decode_videos(&manifest, &table, &errors, err);
    if (!rc && (table.n_cells || strcmp(cli_text(args, "format"), "terminal"))) /* machines expect a table without rows, people nothing */
        rc = print_table(&table, args, err);
    table_free(&table);
    manifest_free(&manifest);
    return rc ? rc : errors ? EXIT_RUN_FAILED : EXIT_DONE;
}

/* ---- checkpoint ---------------------------------------------------------------------------------------------------------- */

static int check_checkpoint(const struct cli_args *args, struct err *err)
{
    const struct kernels *kernels;
    struct model *model;
    if (args->n_operands != 2)
        return err_set(err, ERR_CONFIG, "usage: toksweep check checkpoint FOLDER");
    int rc = kernels_open(&kernels, NULL, err);
    if (!rc)
        rc = model_open(&model, args->operands[1], kernels, DTYPE_BF16, err);
    if (rc)
        return rc;
    const struct model_shape *s = &model->shape;
    printf("layout      %s\nvision      %d layers of width %d, %d heads, %d x %d patches of %d pixels\n", s->layout == LAYOUT_HF ? "llava-hf" : "lmms-lab",
           s->vision.layers, s->vision.width, s->vision.heads, s->vision.side, s->vision.side, s->vision.patch);
    printf("language    %d layers of width %d, %d heads on %d, rope theta %g, %s embeddings\n", s->language.layers, s->language.width,
           s->language.heads, s->language.kv_heads, s->language.rope_theta, s->language.tied ? "tied" : "separate");
    printf("tokens      %s pooling, newline %s, context %d, repetition penalty %g\n", pool_mode_name(s->pool_mode), newline_name(s->newline),
           s->context, s->repetition_penalty);
    printf("tokenizer   %d ids in %d rows\nmemory      %.1f MiB in bf16\ndigest      %s\n", tokenizer_size(model->tokenizer), s->language.vocab,
           (double)model->weight_bytes / 0x1p20, model->digest);
    model_close(model);
    return EXIT_DONE;
}

/* ---- folders of videos --------------------------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Files of a folder in the order of their names, or the one file. */
static int list_files(const char *path, char **out, size_t most, size_t *n, struct err *err)
{
    struct stat stat_of;
    *n = 0;
    if (stat(path, &stat_of))
        return err_errno(err, "open", path);
    if (!S_ISDIR(stat_of.st_mode)) {
        out[(*n)++] = strdup(path);
        return 0;
    }
    DIR *folder = opendir(path);
    if (!folder)
        return err_errno(err, "open", path);
    for (struct dirent *entry; *n < most && (entry = readdir(folder));) {
        char full[4096];
        snprintf(full, sizeof full, "%s/%s", path, entry->d_name);
        if (!stat(full, &stat_of) && S_ISREG(stat_of.st_mode))
            out[(*n)++] = strdup(full);
    }
    closedir(folder);
    qsort(out, *n, sizeof *out, by_name);
    return 0;
}

static int check_videos(const struct cli_args *args, struct err *err)
{
    enum { MOST = 100000 };
    static const char *const columns[] = {"video", "frames", "fps", "seconds", "width", "height", "rotated", "verdict"};
    struct table table = {0};
    size_t n = 0, bad = 0;
    if (args->n_operands != 2)
        return err_set(err, ERR_CONFIG, "usage: toksweep check videos FOLDER (or one file)");
    char **files = calloc(MOST, sizeof *files);
    int rc = files ? list_files(args->operands[1], files, MOST, &n, err) : err_no_memory(err, "a list of files");
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        table_column(&table, columns[i], i && i < 7);
    for (size_t i = 0; i < n && !rc; i++)
        bad += files[i] && !check_video(files[i], &table);
    if (!rc)
        rc = print_table(&table, args, err);
    for (size_t i = 0; i < n; i++)
        free(files[i]);
    free(files);
    table_free(&table);
    return rc ? rc : bad ? EXIT_RUN_FAILED : EXIT_DONE;
}

static int check(const struct cli_args *args, struct err *err)
{
    static const struct { const char *name; int (*run)(const struct cli_args *, struct err *); } checks[] = {
        {"manifest", check_manifest}, {"checkpoint", check_checkpoint}, {"videos", check_videos}};
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++)
        if (!strcmp(checks[i].name, args->operands[0]))
            return checks[i].run(args, err);
    return err_set(err, ERR_CONFIG, "nothing to check by the name '%s'; there are manifest BENCHMARK PATH, checkpoint FOLDER, videos FOLDER",
                   args->operands[0]);
}

const struct cli_command command_check = {
    .name = "check",
    .operands = "WHAT PATH...",
    .least_operands = 1,
    .most_operands = 3,
    .summary = "checks 'manifest BENCHMARK PATH', 'checkpoint FOLDER' or 'videos FOLDER'; status 3 when something is wrong",
    .options = options,
    .run = check,
};
