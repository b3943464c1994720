/* Video-MME (benchmarks.md 5): the Hub's Parquet, the same rows as a JSON list or JSON Lines, and the nested list of videos that
 * its leaderboard takes. */
#include "datasets/manifest_build.h"
#include "datasets/records.h"

#include <string.h>

static const char *const beside[] = {"data", "../data", "videomme/data", NULL};
static const char *const folders[] = {"", NULL};

/* Videos are filed under their YouTube id; the leaderboard's form has only the number of the video. */
static int video_read(struct build *build, struct records *records, const char *root, size_t *index, struct err *err)
{
    struct arena *arena = &build->manifest->arena;
    struct video_ref video = {.start_s = -1, .end_s = -1};
    int place, rc = records_text(records, "videoID", FIELD_OPTIONAL, arena, &video.id, err);
    if (!rc && !video.id)
        rc = records_text(records, "video_id", FIELD_REQUIRED, arena, &video.id, err);
    if (rc)
        return rc;
    const char *name = arena_printf(arena, "%s.mp4", video.id);
    if (!name)
        return err_no_memory(err, "the name of a video");
    if ((rc = video_find(&video, name, root, folders, false, &place, arena, err)) == ERR_DATA)
        return records_fail(records, err, "'%s' cannot be the name of a video", video.id);
    return rc ? rc : build_add_video(build, &video, index, err);
}

static int answer_read(struct records *records, struct sample *sample, struct arena *arena, struct err *err)
{
    const char *letter;
    int rc = records_text(records, "answer", FIELD_NULLABLE, arena, &letter, err);
    sample->answer = -1;
    if (rc || !letter || !*letter)
        return rc;
    if (letter[1] || letter[0] < 'A' || letter[0] >= 'A' + sample->n_options)
        return records_fail(records, err, "field 'answer' is '%s'; expected a letter from A to %c", letter, 'A' + sample->n_options - 1);
    sample->answer = letter[0] - 'A';
    return 0;
}

static int sample_read(struct build *build, struct records *records, const char *root, struct err *err)
{
    struct arena *arena = &build->manifest->arena;
    struct sample sample = {0};
    const struct { const char *key; enum field_need need; const char **out; } texts[] = {
        {"question_id", FIELD_REQUIRED, &sample.id},        {"question", FIELD_REQUIRED, &sample.question},
        {"task_type", FIELD_OPTIONAL, &sample.task_type},   {"duration", FIELD_OPTIONAL, &sample.duration},
        {"domain", FIELD_OPTIONAL, &sample.domain},         {"sub_category", FIELD_OPTIONAL, &sample.sub_category},
    };
    int rc = 0;
    for (size_t i = 0; i < sizeof texts / sizeof *texts && !rc; i++)
        rc = records_text(records, texts[i].key, texts[i].need, arena, texts[i].out, err);
    if (!rc)
        rc = records_texts(records, "options", SAMPLE_MOST_OPTIONS, arena, &sample.options, &sample.n_options, err);
    if (!rc)
        rc = answer_read(records, &sample, arena, err);
    if (!rc)
        rc = video_read(build, records, root, &sample.video, err);
    return rc ? rc : build_add_sample(build, &sample, err);
}

static int load(struct manifest *out, const struct manifest_source *source, struct err *err)
{
    struct build build = {.manifest = out};
    struct records *records;
    int rc = records_open(&records, source->path, "questions", err);
    if (rc)
        return rc;
    strcpy(out->digest, records_digest(records));
    const char *folder = path_folder(source->path, &out->arena);
    const char *root = folder ? videos_root(source, folder, beside, &out->arena) : NULL;
    rc = root ? 0 : err_no_memory(err, "the folder of the videos");
    while (!rc && (rc = records_next(records, err)) > 0)
        rc = sample_read(&build, records, root, err);
    records_close(records);
    return build_finish(&build, rc, err);
}

/* benchmarks.md 5.3. The words are the same in all profiles since lmms-eval 0.3.0. */
static char *prompt(const struct sample *sample, const struct profile *profile, enum prompt_form form, struct arena *arena)
{
    (void)profile;
    const char *options = options_text(sample, NULL, NULL, "\n", arena);
    if (!options)
        return NULL;
    return arena_printf(arena,
                        "Select the best answer to the following multiple-choice question based on the video and the subtitles. "
                        "Respond with only the letter (A, B, C, or D) of the correct option.\n%s\n%s\n%s",
                        sample->question, options,
                        form == PROMPT_LLAVA_VID ? "The best answer is:"
                                                 : "\nAnswer with the option's letter from the given choices directly.");
}

static const struct published_group groups[] = {
    {"Temporal Perception", 55}, {"Spatial Perception", 54}, {"Attribute Perception", 222}, {"Action Recognition", 313},
    {"Object Recognition", 354}, {"OCR Problems", 139},      {"Counting Problem", 268},     {"Temporal Reasoning", 177},
    {"Spatial Reasoning", 56},   {"Action Reasoning", 285},  {"Object Reasoning", 454},     {"Information Synopsis", 323},
    {NULL, 0},
};

const struct benchmark benchmark_videomme = {
    .name = "videomme",
    .summary = "Video-MME without subtitles: 2,700 questions on 900 videos of 11 seconds to an hour",
    .published_samples = 2700,
    .published_videos = 900,
    .groups = groups,
    .max_option_letters = 4,
    .load = load,
    .prompt = prompt,
};
