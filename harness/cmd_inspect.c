/* `inspect`: pictures of frames with what became of their tokens, for one video or one sample of a sweep. Frames are fetched, and tokens
 * made, by what `run` uses; the language model runs only for methods that act in it or listen to a guide. */
#include "harness/calibrate.h"
#include "harness/cli.h"
#include "harness/schedule.h"
#include "harness/shown.h"

#include "core/log.h"
#include "plots/plot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct cli_option options[] = {
    {"out", "FILE", NULL, "the picture: .svg, .png or .pdf (VIDEO-tokens.png)", false},
    {"show", "PLACES", NULL, "which of the frames that the model sees are drawn: 1,3,5-8, or all (six spread over all)", false},
    {"width", "PIXELS", "300", "width of a frame in the picture", false},
    {"format", "NAME", "terminal", "of the counts: terminal, md, csv, json or latex", false},
    {"model", "FOLDER", NULL, "video: the checkpoint, a folder or a Hub id", false},
    {"compressor", "METHODS", NULL, "video: as tables name it, 'dyntok threshold=0.6 + fastv layer=2'; may be repeated (dyntok)", true},
    {"frames", "N", NULL, "video: how many frames the model sees (8)", false},
    {"sampling", "RULE", NULL, "video: how they are chosen: uniform, 1fps or centre (uniform)", false},
    {"pooling", "NAME", NULL, "video: a value of the axis 'pooling' (the checkpoint's own)", false},
    {"newline", "NAME", NULL, "video: a value of the axis 'newline' (the checkpoint's own)", false},
    {"assistant", "FOLDER", NULL, "video: the checkpoint that guides allocators", false},
    {"question", "TEXT", NULL, "video: what is asked, for methods that look at it (What happens in this video?)", false},
    {"sample", "ID", NULL, "sweep: which sample (the first)", false},
    {"data", "FOLDER", NULL, "sweep: where benchmarks named without a manifest are looked for", false},
    {"store", "FILE", NULL, "sweep: where thresholds of target ratios are looked up, and kept", false},
    {"set", "KEY=VALUE", NULL, "changes the sweep file: --set axes.frames=8", true},
    {"plugin", "FILE.so", NULL, "a compressor in a shared object; may be repeated", true},
    {"threads", "N", NULL, "threads (all processors)", false},
    {"dtype", "NAME", NULL, "overrides runner.dtype: f32, bf16 or int8", false},
    {"isa", "NAME", NULL, "overrides runner.isa: a kernel table of 'toksweep list devices'", false},
    {0},
};

struct inspect {
    const struct cli_args *args;
    struct sweep sweep;
    struct runner_facts facts;
    void *runner, *worker;
    int64_t threads;
    struct job job;
    struct job_cell *cells; /* the job's */
    struct job_sample sample;
    size_t benchmark;
    struct shown shown;
    struct arena arena;
};

/* ---- a video alone ------------------------------------------------------------------------------------------------------- */

static const char *const video_options[] = {"model", "compressor", "frames", "sampling", "pooling", "newline", "assistant", "question",
                                            NULL};
static const char *const sweep_options[] = {"sample", "data", "store", NULL};

static int refuse_options(const struct cli_args *args, const char *const *names, const char *instead, struct err *err)
{
    for (; *names; names++)
        if (cli_texts(args, *names)[0])
            return err_set(err, ERR_CONFIG, "--%s does not go with '%s'; %s", *names, args->operands[0], instead);
    return 0;
}

/* One method as tables name it, "fastv layer=2 keep=0.5", to the flow mapping of a sweep file. */
static int put_method(const char *words, size_t n, struct text *out, struct err *err)
{
    const char *end = words + n;
    bool first = true;
    text_put(out, "{name: ");
    for (const char *at = words; at < end;) {
        size_t blank = strspn(at, " "), length;
        at += blank;
        if (at >= end)
            break;
        length = strcspn(at, " ");
        const char *equals = memchr(at, '=', length);
        if (first == (equals != NULL))
            return err_set(err, ERR_CONFIG, "--compressor '%.*s': write a name, then options as name=value, as in 'dyntok threshold=0.6'",
                           (int)n, words);
        if (equals) {
            text_put(out, ", ");
            text_add(out, at, (size_t)(equals - at));
            text_put(out, ": ");
        }
        text_add(out, equals ? equals + 1 : at, length - (equals ? (size_t)(equals - at) + 1 : 0));
        first = false;
        at += length;
    }
    text_put(out, "}");
    return first ? err_set(err, ERR_CONFIG, "--compressor '%.*s': a name is missing; see 'toksweep list compressors'", (int)n, words) : 0;
}

/* Methods with " + " between them; what begins with a bracket is as in a sweep file. */
static int put_methods(const char *words, struct text *out, struct err *err)
{
    int rc = 0;
    if (*words == '{' || *words == '[') {
        text_put(out, words);
        return 0;
    }
    text_put(out, "[");
    for (const char *plus; (plus = strstr(words, " + ")) && !rc; words = plus + 3) {
        rc = put_method(words, (size_t)(plus - words), out, err);
        text_put(out, ", ");
    }
    if (!rc)
        rc = put_method(words, strlen(words), out, err);
    text_put(out, "]");
    return rc;
}

/* What the command line says of a video, as a sweep file would have it; `sets` ends with NULL. */
struct sets { const char *set[16 + CLI_MOST_REPEATS]; size_t n; };

static int add_set(struct inspect *inspect, struct sets *sets, const char *key, const char *value, struct err *err)
{
    sets->set[sets->n] = arena_printf(&inspect->arena, "%s=%s", key, value);
    return sets->set[sets->n++] ? 0 : err_no_memory(err, "a sweep");
}

static int add_words(struct inspect *inspect, struct sets *sets, const char *option, const char *key, struct err *err)
{
    const char *value = cli_text(inspect->args, option);
    struct json *word = value ? json_new_string(value) : NULL;
    char *quoted = word ? json_text(word) : NULL;
    int rc = !value ? 0 : quoted ? add_set(inspect, sets, key, quoted, err) : err_no_memory(err, "a sweep");
    json_free(word);
    free(quoted);
    return rc;
}

static int add_compressors(struct inspect *inspect, struct sets *sets, struct err *err)
{
    static const char *const usual[] = {"dyntok", NULL};
    const char *const *words = cli_texts(inspect->args, "compressor");
    struct text text = {0};
    int rc = 0;
    text_put(&text, "[");
    for (words = words[0] ? words : usual; *words && !rc; words++) {
        rc = put_methods(*words, &text, err);
        text_put(&text, words[1] ? ", " : "]");
    }
    if (!rc)
        rc = text.failed ? err_no_memory(err, "a sweep") : add_set(inspect, sets, "axes.compressor", text.bytes, err);
    text_free(&text);
    return rc;
}

static int list_sets(struct inspect *inspect, struct sets *sets, struct err *err)
{
    static const struct { const char *option, *key; } words[] = {
        {"model", "model"}, {"assistant", "assistant"}, {"sampling", "axes.sampling"}, {"pooling", "axes.pooling"},
        {"newline", "axes.newline"}};
    const char *frames = cli_text(inspect->args, "frames");
    int rc = add_set(inspect, sets, "axes.frames", frames ? frames : "8", err);
    for (size_t i = 0; i < sizeof words / sizeof *words && !rc; i++)
        rc = add_words(inspect, sets, words[i].option, words[i].key, err);
    if (!rc)
        rc = add_compressors(inspect, sets, err);
    for (const char *const *more = cli_texts(inspect->args, "set"); *more && !rc; more++)
        sets->set[sets->n++] = *more;
    return rc;
}

/* The user wrote --frames, not --set axes.frames. */
static int say_option(struct err *err)
{
    static const char *const roots[] = {"--set axes.", "--set "};
    for (int i = 0; i < 2; i++)
        if (!strncmp(err->text, roots[i], strlen(roots[i]))) {
            struct err inner = *err;
            return err_set(err, inner.code, "--%s", inner.text + strlen(roots[i]));
        }
    return err->code;
}

static struct sweep_overrides overrides_of(const struct cli_args *args, const char *const *sets)
{
    return (struct sweep_overrides){.plugins = cli_texts(args, "plugin"), .sets = sets, .dtype = cli_text(args, "dtype"),
                                    .isa = cli_text(args, "isa"), .data = cli_text(args, "data")};
}

/* The file's name without folder and ending: what manifests call their videos, so that what is drawn by chance is drawn as in a sweep. */
static const char *video_name(const char *path, struct arena *arena)
{
    const char *slash = strrchr(path, '/'), *name = slash && slash[1] ? slash + 1 : path, *dot = strrchr(name, '.');
    return arena_strndup(arena, name, dot && dot > name ? (size_t)(dot - name) : strlen(name));
}

/* A sweep of one video with one question. The protocol round it is Video-MME's, whose words are not used. */
static int load_video(struct inspect *inspect, const char *path, struct err *err)
{
    static const char text[] = "axes: {benchmark: videomme}\n";
    struct sets sets = {0};
    struct stat stat_of;
    const char *question = cli_text(inspect->args, "question");
    int rc = refuse_options(inspect->args, sweep_options, "it is for sweep files", err);
    if (!rc && !cli_text(inspect->args, "model"))
        rc = err_set(err, ERR_CONFIG, "no checkpoint is named; give --model FOLDER beside '%s'", path);
    if (!rc && stat(path, &stat_of))
        rc = err_errno(err, "open", path);
    if (!rc && (rc = list_sets(inspect, &sets, err)) == 0) {
        struct sweep_overrides overrides = overrides_of(inspect->args, sets.set);
        if ((rc = sweep_parse(&inspect->sweep, text, "inspect", &overrides, err)))
            rc = say_option(err);
    }
    if (rc)
        return rc;
    struct manifest *manifest = &inspect->sweep.benchmarks[0].manifest;
    struct video_ref *video = arena_alloc(&inspect->arena, 1, sizeof *video);
    struct sample *sample = arena_alloc(&inspect->arena, 1, sizeof *sample);
    const char *id = video_name(path, &inspect->arena);
    if (!video || !sample || !id)
        return err_no_memory(err, "a video");
    *video = (struct video_ref){.id = id, .path = path, .start_s = -1, .is_folder = S_ISDIR(stat_of.st_mode), .folder_fps = 3};
    *sample = (struct sample){.id = id, .question = question ? question : "What happens in this video?", .answer = -1};
    *manifest = (struct manifest){.benchmark = "videomme", .path = path, .videos = video, .n_videos = 1, .samples = sample, .n_samples = 1};
    inspect->sample = (struct job_sample){.sample = sample, .prompt = {.user = sample->question}};
    inspect->job.video = video;
    return 0;
}

/* ---- a sample of a sweep ------------------------------------------------------------------------------------------------- */

static bool is_sweep(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot && (!strcmp(dot, ".yaml") || !strcmp(dot, ".yml") || !strcmp(dot, ".json"));
}

/* The first sample, or the one of that name. */
static int find_sample(struct inspect *inspect, struct err *err)
{
    const char *id = cli_text(inspect->args, "sample");
    for (size_t b = 0; b < inspect->sweep.n_benchmarks; b++) {
        const struct manifest *manifest = &inspect->sweep.benchmarks[b].manifest;
        for (size_t s = 0; s < manifest->n_samples; s++)
            if (!id || !strcmp(manifest->samples[s].id, id)) {
                inspect->benchmark = b;
                inspect->sample.sample = &manifest->samples[s];
                inspect->job.video = &manifest->videos[manifest->samples[s].video];
                return 0;
            }
    }
    return id ? err_set(err, ERR_CONFIG, "no manifest of the sweep has a sample '%s'", id)
              : err_set(err, ERR_DATA, "the manifests of the sweep have no samples");
}

static int load_sweep(struct inspect *inspect, const char *path, struct err *err)
{
    struct sweep_overrides overrides = overrides_of(inspect->args, cli_texts(inspect->args, "set"));
    int rc = refuse_options(inspect->args, video_options, "the sweep file says that; change it with --set", err);
    if (!rc)
        rc = sweep_load(&inspect->sweep, path, &overrides, err);
    if (!rc && !inspect->sweep.runner->opens_checkpoint)
        rc = err_set(err, ERR_CONFIG, "runner %s has no tokens to show; use --set runner.name=native", inspect->sweep.runner->name);
    if (!rc)
        rc = sweep_load_manifests(&inspect->sweep, err);
    return rc ? rc : find_sample(inspect, err);
}

/* ---- looking ------------------------------------------------------------------------------------------------------------- */

static bool wants_language(const struct run_cell *run)
{
    return methods_find(run->methods, run->n_methods, ROLE_ALLOCATE) || methods_find(run->methods, run->n_methods, ROLE_LAYER);
}

/* The cells of the sample's benchmark. One generated text id is enough to see what layers do. */
static int list_cells(struct inspect *inspect, struct err *err)
{
    struct sweep *sweep = &inspect->sweep;
    struct job_cell *cells = inspect->cells = arena_alloc(&inspect->arena, sweep->n_cells, sizeof *cells);
    bool *wanted = arena_alloc(&inspect->arena, sweep->n_cells, sizeof *wanted);
    if (!cells || !wanted)
        return err_no_memory(err, "a picture");
    inspect->job.plan_only = true;
    for (size_t c = 0; c < sweep->n_cells; c++) {
        struct run_cell *run = &sweep->cells[c].run;
        if (sweep->cells[c].benchmark != inspect->benchmark)
            continue;
        run->cell.max_new_tokens = 1;
        inspect->job.plan_only &= !wants_language(run);
        wanted[inspect->job.n_cells] = true;
        cells[inspect->job.n_cells++].run = run;
    }
    inspect->job.cells = cells;
    inspect->job.wanted = wanted;
    return 0;
}

/* Thresholds of target ratios; of a video alone, its own. */
static int calibrate(struct inspect *inspect, struct err *err)
{
    const char *path = cli_text(inspect->args, "store");
    struct store *store = NULL;
    bool any = false;
    for (size_t c = 0; c < inspect->sweep.n_cells; c++)
        any |= sweep_target(&inspect->sweep.cells[c].run) != NULL;
    if (!any)
        return 0;
    int rc = path ? store_open(&store, path, STORE_WRITE, err) : 0;
    if (!rc)
        rc = calibrate_cells(&inspect->sweep, store, inspect->runner, &inspect->facts, (int)inspect->threads, &cli_stopped, err);
    store_close(store);
    return rc;
}

static int prepare(struct inspect *inspect, struct err *err)
{
    const char *path = inspect->args->operands[0];
    inspect->threads = sysconf(_SC_NPROCESSORS_ONLN);
    int rc = cli_integer(inspect->args, "threads", 1, 1024, &inspect->threads, err);
    if (!rc)
        rc = is_sweep(path) ? load_sweep(inspect, path, err) : load_video(inspect, path, err);
    if (!rc)
        rc = sweep_open_runner(&inspect->sweep, &inspect->runner, &inspect->facts, err);
    if (!rc)
        rc = sweep_bind(&inspect->sweep, &inspect->facts, err);
    if (!rc)
        rc = calibrate(inspect, err);
    return rc ? rc : list_cells(inspect, err);
}

/* What cannot be run at all: a layer that the model does not have. */
static int refuse_cells(struct inspect *inspect, struct err *err)
{
    const struct job *job = &inspect->job;
    const struct runner *runner = inspect->sweep.runner;
    size_t bytes;
    return runner->bytes_needed(inspect->runner, job->cells, job->n_cells, job->frames.n, (int)inspect->threads, &bytes, err);
}

static int look(struct inspect *inspect, struct err *err)
{
    struct job *job = &inspect->job;
    enum answer_status status;
    job->benchmark = inspect->sweep.benchmarks[inspect->benchmark].benchmark->name;
    job->samples = &inspect->sample;
    job->n_samples = 1;
    job->viewer = shown_add;
    job->stop = &cli_stopped;
    inspect->shown.job = job;
    int rc = fetch_frames(&inspect->sweep, job->video, inspect->facts.frame_side, job, inspect->cells, (int)inspect->threads,
                          &inspect->arena, &status, err);
    if (!rc && !job->plan_only && !inspect->sample.prompt.user)
        rc = fetch_prompts(&inspect->sweep, inspect->benchmark, job, &inspect->sample, &inspect->arena, &status, err);
    if (!rc)
        rc = refuse_cells(inspect, err);
    if (!rc)
        rc = inspect->sweep.runner->worker_open(inspect->runner, &inspect->worker, (int)inspect->threads, err);
    if (!rc)
        rc = inspect->sweep.runner->run(inspect->runner, inspect->worker, job, shown_fail, &inspect->shown, err);
    if (!rc && inspect->shown.err.code) {
        *err = inspect->shown.err;
        rc = err->code;
    }
    shown_finish(&inspect->shown);
    return rc;
}

/* ---- showing ------------------------------------------------------------------------------------------------------------- */

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

static int draw(struct inspect *inspect, struct err *err)
{
    const struct job *job = &inspect->job;
    const char *out = cli_text(inspect->args, "out");
    int64_t width = 300;
    int rc = cli_integer(inspect->args, "width", 40, 4000, &width, err);
    out = out ? out : arena_printf(&inspect->arena, "%s-tokens.png", video_name(job->video->path, &inspect->arena));
    const char *title = job->video->id;
    if (!job->plan_only)
        title = arena_printf(&inspect->arena, "%s: %s", job->video->id, inspect->sample.sample->question);
    const char *note = arena_printf(&inspect->arena, "%s, %s; %zu of %u frames", last_part(inspect->sweep.model), inspect->sweep.dtype,
                                    job->frames.n, job->facts.n_frames);
    if (!rc && (!out || !title || !note))
        rc = err_no_memory(err, "a picture");
    if (!rc)
        rc = shown_draw(&inspect->shown, cli_text(inspect->args, "show"), (int)width, title, note, out, err);
    if (!rc)
        log_say(LOG_NOTE, "%s", out);
    return rc;
}

static int count(struct inspect *inspect, enum table_format format, struct err *err)
{
    struct text out = {0};
    bool good = shown_count(&inspect->shown, format, &out) && !out.failed;
    if (good)
        fputs(out.bytes, stdout);
    text_free(&out);
    return good ? 0 : err_no_memory(err, "a table");
}

static int inspect_command(const struct cli_args *args, struct err *err)
{
    struct inspect inspect = {.args = args};
    int format = table_format_find(cli_text(args, "format"));
    int rc = 0;
    if (format < 0)
        rc = err_set(err, ERR_CONFIG, "--format should be terminal, md, csv, json or latex, it is '%s'", cli_text(args, "format"));
    if (!rc && cli_text(args, "out"))
        rc = figure_check_path(cli_text(args, "out"), err);
    if (!rc)
        rc = prepare(&inspect, err);
    if (!rc && !atomic_load(&cli_stopped))
        rc = look(&inspect, err);
    bool stopped = atomic_load(&cli_stopped);
    if (!rc && !stopped)
        rc = draw(&inspect, err);
    if (!rc && !stopped)
        rc = count(&inspect, (enum table_format)format, err);
    shown_free(&inspect.shown);
    frames_free(&inspect.job.frames);
    if (inspect.worker)
        inspect.sweep.runner->worker_close(inspect.runner, inspect.worker);
    if (inspect.runner)
        inspect.sweep.runner->close(inspect.runner);
    sweep_free(&inspect.sweep);
    arena_free(&inspect.arena);
    return rc ? rc : stopped ? EXIT_RUN_FAILED : EXIT_DONE;
}

const struct cli_command command_inspect = {
    .name = "inspect",
    .operands = "VIDEO|SWEEP.yaml",
    .least_operands = 1,
    .most_operands = 1,
    .summary = "draws what a compressor makes of a video's frames: kept, merged into what, dropped",
    .options = options,
    .run = inspect_command,
};
