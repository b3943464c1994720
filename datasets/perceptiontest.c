/* Perception Test, multiple choice, validation: the Hub's Parquet, one row per question, and the authors' JSON, one
 * object of videos with their questions. */
#include "datasets/manifest_build.h"
#include "datasets/records.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_TAGS = 34 };

static const char *const beside[] = {"videos", "../videos", NULL};
static const char *const folders[] = {"", NULL};

/* The authors count a question in every area that one of its tags is of. */
static const struct { const char *area; const char *tags[15]; } areas[] = {
    {"memory", {"change detection", "event recall", "sequencing", "visual discrimination"}},
    {"abstraction", {"action counting", "event counting", "feature matching", "object counting", "pattern breaking", "pattern discovery"}},
    {"physics", {"collision", "conservation", "containment", "material", "motion", "occlusion", "object attributes", "object permanence",
                 "quantity", "solidity", "spatial relations", "stability"}},
    {"semantics", {"action recognition", "adversarial action", "colour recognition", "distractor action", "distractor object",
                   "general knowledge", "language", "object recognition", "part recognition", "place recognition", "state recognition",
                   "task completion"}},
};

enum { AREAS = sizeof areas / sizeof *areas };

static bool area_has(int area, const char *tag)
{
    for (const char *const *one = areas[area].tags; *one; one++)
        if (!strcmp(*one, tag))
            return true;
    return false;
}

/* A tag per skill, and one per area of them. */
static int tags_read(struct build *build, struct records *records, struct sample *sample, struct err *err)
{
    struct arena *arena = &build->manifest->arena;
    const char *const *names;
    int n, rc = records_texts(records, "tag", 0, MOST_TAGS, arena, &names, &n, err);
    struct sample_tag *tags = rc ? NULL : arena_alloc(arena, (size_t)n + AREAS, sizeof *tags);
    if (rc || !tags)
        return rc ? rc : err_no_memory(err, "a manifest's texts");
    for (int i = 0; i < n; i++)
        tags[sample->n_tags++] = (struct sample_tag){"tag", names[i]};
    for (int area = 0; area < AREAS; area++) {
        bool any = false;
        for (int i = 0; i < n; i++)
            any |= area_has(area, names[i]);
        if (any)
            tags[sample->n_tags++] = (struct sample_tag){"area", areas[area].area};
    }
    sample->tags = tags;
    return 0;
}

/* A number, which the Hub has as a text. */
static int answer_read(struct build *build, struct records *records, struct sample *sample, struct err *err)
{
    const char *word;
    char *end;
    int rc = records_word(records, "answer_id", FIELD_OPTIONAL, &build->manifest->arena, &word, err);
    sample->answer = -1;
    if (rc || !word)
        return rc;
    long answer = strtol(word, &end, 10);
    if (end == word || *end || answer < 0 || answer >= sample->n_options)
        return build_flaw(build, sample, err, "field 'answer_id' is '%s'; expected 0 to %d", word, sample->n_options - 1);
    sample->answer = (int)answer;
    return 0;
}

/* The video is a column of the Hub's rows, and the key of the authors' objects. */
static int video_read(struct build *build, struct records *records, const char *root, struct video_ref *video, size_t *index,
                      struct err *err)
{
    struct arena *arena = &build->manifest->arena;
    *video = (struct video_ref){.start_s = -1, .end_s = -1};
    int rc = 0;
    if (!records_key(records))
        rc = records_text(records, "video_name", FIELD_REQUIRED, arena, &video->id, err);
    else if (!(video->id = arena_strdup(arena, records_key(records))))
        rc = err_no_memory(err, "a manifest's texts");
    if (rc)
        return rc;
    const char *name = arena_printf(arena, "%s.mp4", video->id);
    return name ? build_video_file(build, records, name, root, folders, video, index, err) : err_no_memory(err, "the name of a video");
}

static int sample_read(struct build *build, struct records *records, const char *root, struct err *err)
{
    struct arena *arena = &build->manifest->arena;
    struct sample sample = {0};
    struct video_ref video;
    const char *number;
    int rc = records_text(records, "question", FIELD_REQUIRED, arena, &sample.question, err);
    if (!rc)
        rc = records_word(records, records_key(records) ? "id" : "question_id", FIELD_REQUIRED, arena, &number, err);
    if (!rc)
        rc = records_texts(records, "options", 1, SAMPLE_MOST_OPTIONS, arena, &sample.options, &sample.n_options, err);
    if (!rc)
        rc = records_text(records, "area", FIELD_OPTIONAL, arena, &sample.domain, err);
    if (!rc)
        rc = records_text(records, "reasoning", FIELD_OPTIONAL, arena, &sample.task_type, err);
    if (!rc)
        rc = tags_read(build, records, &sample, err);
    if (!rc)
        rc = answer_read(build, records, &sample, err);
    if (!rc)
        rc = video_read(build, records, root, &video, &sample.video, err);
    if (rc)
        return rc;
    sample.id = arena_printf(arena, "%s_%s", video.id, number);
    return sample.id ? build_add_sample(build, &sample, err) : err_no_memory(err, "a manifest's texts");
}

static int load(struct manifest *out, const struct benchmark *benchmark, const struct manifest_source *source, struct err *err)
{
    (void)benchmark;
    static const struct records_layout layout = {.nested = "mc_question", .keyed = true};
    struct build build = {.manifest = out};
    struct records *records;
    int rc = records_open(&records, source->path, &layout, err);
    if (rc)
        return rc;
    strcpy(out->digest, records_digest(records));
    const char *root = videos_root(source, beside, &out->arena);
    rc = root ? 0 : err_no_memory(err, "the folder of the videos");
    while (!rc && (rc = records_next(records, err)) > 0)
        rc = sample_read(&build, records, root, err);
    records_close(records);
    return build_finish(&build, rc, err);
}

/* Upstream calls every option after the second C. */
static int prompt(struct prompt_text *out, const struct sample *sample, const struct prompting *how, struct arena *arena, struct err *err)
{
    bool upstream = how->protocol->wording == WORDING_LMMS;
    const char *text = sample->question;
    for (int i = 0; i < sample->n_options && text; i++)
        text = arena_printf(arena, "%s\n%c. %s", text, 'A' + (upstream && i > 2 ? 2 : i), sample->options[i]);
    if (text)
        text = arena_printf(arena, "%s\nAnswer with the option's letter from the given choices directly.", text);
    return prompt_user(out, text, err);
}

static const char *const files[] = {"mc_question_val/validation-*.parquet", "validation-*.parquet", "mc_question_valid.json",
                                    "all_valid.json", NULL};
static const char *const hub[] = {"lmms-eval/PerceptionTest_Val", "lmms-lab/PerceptionTest_Val", NULL};
static const char *const homes[] = {"perceptiontest_val/videos", NULL};

const struct benchmark benchmark_perceptiontest_val_mc = {
    .name = "perceptiontest_val_mc",
    .summary = "Perception Test, multiple choice, validation: 19,140 questions with three options, on videos of half a minute",
    .published_samples = 19140,
    .max_option_letters = 3,
    .files = files,
    .hub = hub,
    .hub_revision = "main",
    .homes = homes,
    .load = load,
    .prompt = prompt,
};
