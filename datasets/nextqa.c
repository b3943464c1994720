/* NExT-QA, multiple choice: the authors' csv of the test and the validation set, and the Hub's Parquet, which has the
 * same columns. Question and options are taken without blanks at their ends, as everybody shows and compares them. */
#include "core/json.h"
#include "core/text.h"
#include "datasets/manifest_build.h"
#include "datasets/records.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { OPTIONS = 5, MOST_MAP = 16 << 20 };

static const char *const beside[] = {"NExTVideo", "../NExTVideo", "videos", "../videos", "../../NExTVideo", NULL};
static const char *const folders[] = {"", NULL};
static const char *const maps[] = {"map_vid_vidorID.json", "../map_vid_vidorID.json", "dataset/nextqa/map_vid_vidorID.json", NULL};

struct reading {
    struct build build;
    struct records *records;
    const char *root;
    struct json *map;            /* video -> its place in the original archive, NULL without that file */
    const struct json **entries; /* [n_entries] of the map, by the numbers in `by_video` */
    size_t n_entries;
    struct names by_video;
};

/* ---- the map of videos --------------------------------------------------------------------------------------------------- */

static int map_index(struct reading *reading, struct err *err)
{
    size_t first;
    int rc = 0;
    reading->entries = calloc(json_count(reading->map) + 1, sizeof *reading->entries);
    if (!reading->entries)
        return err_no_memory(err, "the map of videos");
    for (const struct json *entry = json_first(reading->map); entry && !rc; entry = json_next(entry)) {
        rc = names_put(&reading->by_video, json_key(entry), reading->n_entries, &first, err);
        reading->entries[reading->n_entries++] = entry;
    }
    return rc;
}

/* The original archive has videos in folders; a file beside the manifest says in which. */
static int map_read(struct reading *reading, const char *manifest, struct err *err)
{
    struct arena *arena = &reading->build.manifest->arena;
    const char *folder = path_folder(manifest, arena), *path = folder;
    for (const char *const *map = maps; *map && path && !reading->map; map++) {
        path = arena_printf(arena, "%s/%s", folder, *map);
        if (!path || !path_is_file(path))
            continue;
        int rc = json_load(&reading->map, path, MOST_MAP, err);
        if (!rc && json_type(reading->map) != JSON_OBJECT)
            rc = err_set(err, ERR_DATA, "'%s' is %s; expected an object of videos and their places", path, json_type_name(reading->map));
        if (rc)
            return rc;
    }
    if (!path)
        return err_no_memory(err, "the map of videos");
    return reading->map ? map_index(reading, err) : 0;
}

/* "0101/2909445186" of a video, NULL if the map does not tell. */
static const char *map_place(struct reading *reading, const char *video)
{
    struct err err = {0};
    size_t at;
    if (!reading->map || names_put(&reading->by_video, video, reading->n_entries, &at, &err) || at == reading->n_entries)
        return NULL;
    return json_string(reading->entries[at]);
}

/* ---- rows ---------------------------------------------------------------------------------------------------------------- */

/* Looks for <place>.mp4, which a file of strangers named. */
static int video_at(struct reading *reading, const char *place, struct video_ref *video, struct err *err)
{
    int at;
    const char *name = arena_printf(&reading->build.manifest->arena, "%s.mp4", place);
    if (!name)
        return err_no_memory(err, "the name of a video");
    int rc = video_find(video, name, reading->root, folders, false, &at, &reading->build.manifest->arena, err);
    return rc == ERR_DATA ? records_fail(reading->records, err, "'%s' cannot be the name of a video", name) : rc;
}

/* By its number, and where it is not there, at its place in the archive. */
static int video_read(struct reading *reading, const char *id, size_t *index, struct err *err)
{
    struct video_ref video = {.id = id, .start_s = -1, .end_s = -1}, placed = video;
    const char *place = map_place(reading, id);
    int rc = video_at(reading, id, &video, err);
    if (!rc && video.missing && place) {
        rc = video_at(reading, place, &placed, err);
        video = placed.missing ? video : placed;
    }
    return rc ? rc : build_add_video(&reading->build, &video, index, err);
}

/* A text without blanks at its ends. */
static int stripped_read(struct reading *reading, const char *key, const char **out, struct err *err)
{
    struct arena *arena = &reading->build.manifest->arena;
    const char *text;
    int rc = records_text(reading->records, key, FIELD_REQUIRED, arena, &text, err);
    if (rc)
        return rc;
    size_t length = strlen(text);
    text_strip(&text, &length);
    *out = arena_strndup(arena, text, length);
    return *out ? 0 : err_no_memory(err, "a manifest's texts");
}

static int options_read(struct reading *reading, struct sample *sample, struct err *err)
{
    const char **options = arena_alloc(&reading->build.manifest->arena, OPTIONS, sizeof *options);
    int rc = options ? 0 : err_no_memory(err, "a manifest's texts");
    for (int i = 0; i < OPTIONS && !rc; i++)
        rc = stripped_read(reading, (const char[]){'a', (char)('0' + i), 0}, &options[i], err);
    sample->options = options;
    sample->n_options = OPTIONS;
    return rc;
}

static int answer_read(struct reading *reading, struct sample *sample, struct err *err)
{
    double answer;
    int rc = records_number(reading->records, "answer", -1, &answer, err);
    sample->answer = -1;
    if (rc || answer == -1)
        return rc;
    if (!(answer >= 0 && answer < OPTIONS && answer == rint(answer)))
        return build_flaw(&reading->build, sample, err, "field 'answer' is %g; expected 0 to %d", answer, OPTIONS - 1);
    sample->answer = (int)answer;
    return 0;
}

/* What the authors count together: types in three groups, by their first letter, and TP with TN. */
static void groups_set(struct sample *sample)
{
    static const struct { const char *type, *group, *name; } kinds[] = {
        {"CW", "causal", "why"},
        {"CH", "causal", "how"},
        {"TN", "temporal", "before and after"},
        {"TP", "temporal", "before and after"},
        {"TC", "temporal", "when"},
        {"DC", "descriptive", "count"},
        {"DL", "descriptive", "location"},
        {"DO", "descriptive", "other"},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(sample->task_type, kinds[i].type)) {
            sample->domain = kinds[i].group;
            sample->sub_category = kinds[i].name;
        }
}

static int sample_read(struct reading *reading, struct err *err)
{
    struct arena *arena = &reading->build.manifest->arena;
    struct sample sample = {0};
    const char *video, *number;
    int rc = records_word(reading->records, "video", FIELD_REQUIRED, arena, &video, err);
    if (!rc)
        rc = records_word(reading->records, "qid", FIELD_REQUIRED, arena, &number, err);
    if (!rc)
        rc = records_text(reading->records, "type", FIELD_REQUIRED, arena, &sample.task_type, err);
    if (!rc)
        rc = stripped_read(reading, "question", &sample.question, err);
    if (!rc)
        rc = options_read(reading, &sample, err);
    if (!rc)
        rc = answer_read(reading, &sample, err);
    if (!rc)
        rc = video_read(reading, video, &sample.video, err);
    if (rc)
        return rc;
    groups_set(&sample);
    sample.id = arena_printf(arena, "%s_%s", video, number);
    return sample.id ? build_add_sample(&reading->build, &sample, err) : err_no_memory(err, "a manifest's texts");
}

static int load(struct manifest *out, const struct benchmark *benchmark, const struct manifest_source *source, struct err *err)
{
    (void)benchmark;
    struct reading reading = {.build = {.manifest = out}};
    int rc = records_open(&reading.records, source->path, NULL, err);
    if (rc)
        return rc;
    strcpy(out->digest, records_digest(reading.records));
    reading.root = videos_root(source, beside, &out->arena);
    rc = reading.root ? map_read(&reading, source->path, err) : err_no_memory(err, "the folder of the videos");
    while (!rc && (rc = records_next(reading.records, err)) > 0)
        rc = sample_read(&reading, err);
    records_close(reading.records);
    json_free(reading.map);
    free(reading.entries);
    names_free(&reading.by_video);
    return build_finish(&reading.build, rc, err);
}

/* No word but the question's own. */
static int prompt(struct prompt_text *out, const struct sample *sample, const struct prompting *how, struct arena *arena, struct err *err)
{
    (void)how;
    const char *options = options_text(sample, "", ". ", "\n", arena);
    return prompt_user(out, options ? arena_printf(arena, "%s\n%s", sample->question, options) : NULL, err);
}

static const struct published_group groups_test[] = {
    {"task_type", "CW", 3329}, {"task_type", "CH", 1173}, {"task_type", "TN", 1399}, {"task_type", "TP", 93},
    {"task_type", "TC", 1165}, {"task_type", "DC", 322}, {"task_type", "DL", 483}, {"task_type", "DO", 600},
    {"domain", "causal", 4502}, {"domain", "temporal", 2657}, {"domain", "descriptive", 1405},
    {NULL, NULL, 0},
};

static const struct published_group groups_val[] = {
    {"task_type", "CW", 1924}, {"task_type", "CH", 683}, {"task_type", "TN", 895}, {"task_type", "TP", 54},
    {"task_type", "TC", 663}, {"task_type", "DC", 177}, {"task_type", "DL", 295}, {"task_type", "DO", 305},
    {"domain", "causal", 2607}, {"domain", "temporal", 1612}, {"domain", "descriptive", 777},
    {NULL, NULL, 0},
};

static const char *const files_test[] = {"MC/test-*.parquet", "test-*.parquet", "test.csv", "dataset/nextqa/test.csv", NULL};
static const char *const files_val[] = {"val.csv", "dataset/nextqa/val.csv", NULL};
static const char *const hub[] = {"lmms-eval/NExTQA", "lmms-lab/NExTQA", NULL};
static const char *const homes[] = {"nextqa/NExTVideo", NULL};

const struct benchmark benchmark_nextqa_mc_test = {
    .name = "nextqa_mc_test",
    .summary = "NExT-QA, multiple choice, test set: 8,564 questions on 1,000 videos of home scenes",
    .published_samples = 8564,
    .published_videos = 1000,
    .groups = groups_test,
    .max_option_letters = OPTIONS,
    .files = files_test,
    .hub = hub,
    .hub_revision = "main",
    .homes = homes,
    .load = load,
    .prompt = prompt,
};

const struct benchmark benchmark_nextqa_mc_val = {
    .name = "nextqa_mc_val",
    .summary = "NExT-QA, multiple choice, validation set: 4,996 questions on 570 videos",
    .published_samples = 4996,
    .published_videos = 570,
    .groups = groups_val,
    .max_option_letters = OPTIONS,
    .files = files_val,
    .homes = homes,
    .load = load,
    .prompt = prompt,
};
