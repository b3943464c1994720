/* LongVideoBench, validation: the Hub's Parquet and the authors' lvb_val.json, which have the same
 * rows. Asked about the whole video (_v), or with its subtitles between the frames (_i). */
#include "datasets/manifest_build.h"
#include "datasets/subtitles.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_OPTIONS = 5, INTERLEAVED_FRAMES = 16 };

static const char *const beside[] = {"videos", "../videos", NULL};
static const char *const folders[] = {"", NULL};

struct reading { /* what all rows need */
    struct build build;
    struct records *records;
    const char *root, *subtitles_root; /* the latter NULL where none are shown */
    struct subtitle_shelf shelf;
};

/* ---- rows ---------------------------------------------------------------------------------------------------------------- */

/* The Hub has five columns, of which the last ones can be "N/A"; the authors have a list. */
static int options_read(struct reading *reading, struct sample *sample, struct err *err)
{
    struct arena *arena = &reading->build.manifest->arena;
    const char **options = arena_alloc(arena, MOST_OPTIONS, sizeof *options);
    int rc = records_texts(reading->records, "candidates", 0, MOST_OPTIONS, arena, &sample->options, &sample->n_options, err);
    if (!options)
        return err_no_memory(err, "a manifest's texts");
    if (rc || sample->options)
        return rc;
    for (int i = 0; i < MOST_OPTIONS; i++) {
        const char *option;
        const char key[] = {'o', 'p', 't', 'i', 'o', 'n', (char)('0' + i), 0};
        if ((rc = records_text(reading->records, key, FIELD_REQUIRED, arena, &option, err)))
            return rc;
        if (strcmp(option, "N/A"))
            options[sample->n_options++] = option;
    }
    sample->options = options;
    return 0;
}

static int answer_read(struct reading *reading, struct sample *sample, struct err *err)
{
    double choice;
    int rc = records_number(reading->records, "correct_choice", -1, &choice, err);
    sample->answer = -1;
    if (rc || choice == -1)
        return rc;
    if (!(choice >= 0 && choice < sample->n_options && choice == (int)choice))
        return build_flaw(&reading->build, sample, err, "field 'correct_choice' is %g; expected 0 to %d, or -1", choice,
                          sample->n_options - 1);
    sample->answer = (int)choice;
    return 0;
}

/* The Hub leaves out the level, which the question's category has: what refers to one moment only is perception. */
static const char *level_of(const char *category)
{
    static const char *const perception[] = {"S2E", "S2O", "S2A", "E2O", "O2E", "T2E", "T2O", "T2A"};
    for (size_t i = 0; i < sizeof perception / sizeof *perception; i++)
        if (!strcmp(category, perception[i]))
            return "L1-Perception";
    return "L2-Relation";
}

static int video_read(struct reading *reading, struct sample *sample, struct err *err)
{
    struct video_ref video = {.start_s = -1, .end_s = -1};
    const char *name;
    int rc = records_text(reading->records, "video_path", FIELD_REQUIRED, &reading->build.manifest->arena, &name, err);
    video.id = name;
    return rc ? rc : build_video_file(&reading->build, reading->records, name, reading->root, folders, &video, &sample->video, err);
}

static int subtitles_read(struct reading *reading, struct sample *sample, struct err *err)
{
    struct arena *arena = &reading->build.manifest->arena;
    double from_s, video_s;
    const char *name;
    if (!reading->subtitles_root)
        return 0;
    int rc = records_text(reading->records, "subtitle_path", FIELD_REQUIRED, arena, &name, err);
    if (!rc)
        rc = records_number(reading->records, "starting_timestamp_for_subtitles", 0, &from_s, err);
    if (!rc)
        rc = records_number(reading->records, "duration", 0, &video_s, err);
    if (rc)
        return rc;
    if (!name_is_inside(name))
        return records_fail(reading->records, err, "'%s' cannot be the name of subtitles", name);
    if (!(video_s >= 0 && video_s < 1e9 && from_s > -1e9 && from_s < 1e9))
        return records_fail(reading->records, err, "the video lasts %g seconds, and its subtitles begin at %g; expected times",
                            video_s, from_s);
    const char *path = arena_printf(arena, "%s/%s", reading->subtitles_root, name);
    return path ? subtitles_attach_json(&reading->shelf, &reading->build, path, from_s, video_s, sample, err)
                : err_no_memory(err, "the path of subtitles");
}

static int sample_read(struct reading *reading, struct err *err)
{
    struct arena *arena = &reading->build.manifest->arena;
    struct sample sample = {0};
    const struct { const char *key; const char **out; } texts[] = {
        {"id", &sample.id}, {"question", &sample.question}, {"question_category", &sample.task_type}, {"topic_category", &sample.domain}};
    int rc = 0;
    for (size_t i = 0; i < sizeof texts / sizeof *texts && !rc; i++)
        rc = records_text(reading->records, texts[i].key, FIELD_REQUIRED, arena, texts[i].out, err);
    if (!rc)
        rc = records_word(reading->records, "duration_group", FIELD_REQUIRED, arena, &sample.duration, err);
    if (!rc)
        rc = options_read(reading, &sample, err);
    if (!rc)
        rc = answer_read(reading, &sample, err);
    if (!rc)
        rc = video_read(reading, &sample, err);
    if (!rc)
        rc = subtitles_read(reading, &sample, err);
    if (!rc && !sample.n_options)
        rc = build_flaw(&reading->build, &sample, err, "it has no options");
    if (rc)
        return rc;
    sample.sub_category = level_of(sample.task_type);
    return build_add_sample(&reading->build, &sample, err);
}

static int rows_read(struct reading *reading, struct err *err)
{
    int rc = 0;
    while (!rc && (rc = records_next(reading->records, err)) > 0)
        rc = sample_read(reading, err);
    return rc;
}

static int load(struct manifest *out, const struct benchmark *benchmark, const struct manifest_source *source, struct err *err)
{
    struct reading reading = {.build = {.manifest = out}};
    int rc = records_open(&reading.records, source->path, NULL, err);
    if (rc)
        return rc;
    strcpy(out->digest, records_digest(reading.records));
    reading.root = videos_root(source, beside, &out->arena);
    if (reading.root && benchmark->interleaves) {
        reading.subtitles_root = subtitles_root(source, reading.root, "subtitles", &out->arena);
        reading.shelf.digest = digest_new();
    }
    if (!reading.root || (benchmark->interleaves && !(reading.subtitles_root && reading.shelf.digest)))
        rc = err_no_memory(err, "the folder of the videos");
    if (reading.shelf.digest)
        digest_add_text(reading.shelf.digest, out->digest);
    if (!rc)
        rc = rows_read(&reading, err);
    if (reading.shelf.digest)
        digest_finish(reading.shelf.digest, out->digest);
    records_close(reading.records);
    subtitle_shelf_free(&reading.shelf);
    return build_finish(&reading.build, rc, err);
}

/* ---- prompts ------------------------------------------------------------------------------------------------------------- */

/* The authors put "Question: " before it, and no LF behind it. */
static const char *question_text(const struct sample *sample, const struct prompting *how, struct arena *arena)
{
    bool official = how->protocol->wording == WORDING_OFFICIAL;
    const char *options = options_text(sample, "", ". ", "\n", arena);
    if (!options)
        return NULL;
    return arena_printf(arena, "%s%s\n%s\nAnswer with the option's letter from the given choices directly.%s", official ? "Question: " : "",
                        sample->question, options, official ? "" : "\n");
}

static int prompt(struct prompt_text *out, const struct sample *sample, const struct prompting *how, struct arena *arena, struct err *err)
{
    return prompt_user(out, question_text(sample, how, arena), err);
}

static int prompt_interleaved(struct prompt_text *out, const struct sample *sample, const struct prompting *how, struct arena *arena,
                              struct err *err)
{
    const struct subtitles *subtitles = sample->subtitles;
    if (!subtitles || subtitles->missing)
        return err_set(err, ERR_DATA, "no subtitles '%s', which this benchmark shows; give their folder in the sweep file, or ask "
                       "longvideobench_val_v", subtitles ? subtitles->path : "");
    const char *frames = subtitles_interleave(subtitles, INTERLEAVED_FRAMES, arena), *question = question_text(sample, how, arena);
    return prompt_user(out, frames && question ? arena_printf(arena, "%s\n%s", frames, question) : NULL, err);
}

/* ---- the released set ---------------------------------------------------------------------------------------------------- */

static const struct published_group groups[] = {
    {"duration", "15", 189},      {"duration", "60", 172},      {"duration", "600", 412},     {"duration", "3600", 564},
    {"sub_category", "L1-Perception", 625}, {"sub_category", "L2-Relation", 712},
    {"task_type", "E2O", 65},     {"task_type", "E3E", 94},     {"task_type", "O2E", 87},     {"task_type", "O3O", 66},
    {"task_type", "S2A", 88},     {"task_type", "S2E", 93},     {"task_type", "S2O", 72},     {"task_type", "SAA", 72},
    {"task_type", "SOS", 81},     {"task_type", "SSS", 97},     {"task_type", "T2A", 79},     {"task_type", "T2E", 65},
    {"task_type", "T2O", 76},     {"task_type", "T3E", 73},     {"task_type", "T3O", 74},     {"task_type", "TAA", 82},
    {"task_type", "TOS", 73},
    {"domain", "KA-Knowledge-Art", 142},
    {"domain", "KC-Knowledge-Computer-Science", 75},
    {"domain", "KG-Knowledge-Geography", 124},
    {"domain", "KH-Knowledge-History", 147},
    {"domain", "KS-Knowledge-STEM", 111},
    {"domain", "LC-Lifestyle-Cooking-Recipes", 146},
    {"domain", "LT-Lifestyle-Travel-Guides", 150},
    {"domain", "LV-Lifestyle-Life-Vlogs", 169},
    {"domain", "NP-News-Programs", 121},
    {"domain", "Recreational: MR-Movie-Recaps", 152},
    {NULL, NULL, 0},
};

static const char *const files[] = {"validation-*.parquet", "data/validation-*.parquet", "lvb_val.json", NULL};
static const char *const hub[] = {"longvideobench/LongVideoBench", NULL};
static const char *const homes[] = {"longvideobench/videos", "datasets/longvideobench/videos", NULL};

const struct benchmark benchmark_longvideobench_val_v = {
    .name = "longvideobench_val_v",
    .summary = "LongVideoBench, validation: 1,337 questions on 753 videos of eight seconds to an hour, without subtitles",
    .published_samples = 1337,
    .published_videos = 753,
    .groups = groups,
    .max_option_letters = MOST_OPTIONS,
    .files = files,
    .hub = hub,
    .hub_revision = "main",
    .homes = homes,
    .load = load,
    .prompt = prompt,
};

const struct benchmark benchmark_longvideobench_val_i = {
    .name = "longvideobench_val_i",
    .summary = "LongVideoBench, validation: 16 frames with the subtitles between them",
    .published_samples = 1337,
    .published_videos = 753,
    .groups = groups,
    .max_option_letters = MOST_OPTIONS,
    .interleaves = true,
    .files = files,
    .hub = hub,
    .hub_revision = "main",
    .homes = homes,
    .load = load,
    .prompt = prompt_interleaved,
};
