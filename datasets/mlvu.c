/* MLVU's multiple-choice questions: the Hub's files of the dev and the test set, and the authors' own, of the dev set a
 * folder of seven JSON files, one per task. The Hub's questions end with their options; the authors' are put into that form. */
#include "datasets/manifest_build.h"
#include "datasets/records.h"

#include <stdlib.h>
#include <string.h>

/* In the Hub's order. */
static const struct task {
    const char *name, *file;
} tasks[] = {
    {"needle", "2_needle"}, {"anomaly_reco", "6_anomaly_reco"},       {"count", "4_count"}, {"ego", "3_ego"},
    {"plotQA", "1_plotQA"}, {"topic_reasoning", "7_topic_reasoning"}, {"order", "5_order"},
};

enum { TASKS = sizeof tasks / sizeof *tasks };

/* Of the authors' 2,175 rows two have an answer that none of their candidates is; the Hub's have the candidate. */
static const char missing_answer[] = "Catching a flying drone quadcopter", its_candidate[] = "Catching the drone";

static const char *const beside_dev[] = {"video", "../video", "mlvu", "../mlvu", "videos", "../videos", NULL};
static const char *const beside_test[] = {"video", "../video", "mlvu_test", "../mlvu_test", "videos", "../videos", NULL};

struct reading { /* of one file */
    struct build *build;
    struct records *records;
    const char *root;
    size_t row;
};

/* ---- rows ---------------------------------------------------------------------------------------------------------------- */

/* Videos lie side by side, or in folders named after their task. */
static int video_read(struct reading *reading, const char *name, const struct sample *sample, size_t *index, struct err *err)
{
    struct video_ref video = {.id = name, .start_s = -1, .end_s = -1};
    const char *folders[4] = {""};
    for (int i = 0; i < TASKS; i++)
        if (!strcmp(tasks[i].name, sample->task_type)) {
            folders[1] = tasks[i].file;
            folders[2] = tasks[i].name;
        }
    return build_video_file(reading->build, reading->records, name, reading->root, folders, &video, index, err);
}

static int option_find(const struct sample *sample, const char *text)
{
    for (int i = 0; i < sample->n_options; i++)
        if (!strcmp(sample->options[i], text))
            return i;
    return -1;
}

/* The Hub's answers are letters, the authors' are options. */
static int answer_set(struct reading *reading, struct sample *sample, const char *answer, bool is_letter, struct err *err)
{
    bool letter = answer && answer[0] >= 'A' && answer[0] < 'A' + sample->n_options && !answer[1];
    sample->answer = answer && !is_letter ? option_find(sample, answer) : -1;
    if (!answer || !*answer || sample->answer >= 0)
        return 0;
    if (letter) {
        sample->answer = answer[0] - 'A';
        return 0;
    }
    if (!is_letter && !strcmp(answer, missing_answer) && (sample->answer = option_find(sample, its_candidate)) >= 0)
        return build_note(reading->build, "answer_text", sample->id, err, "the answer '%s' is none of the candidates; '%s' is meant",
                          answer, its_candidate);
    return build_flaw(reading->build, sample, err, "the answer '%s' is %s of the %d candidates", answer, is_letter ? "no letter" : "none",
                      sample->n_options);
}

static bool is_empty_row(const struct sample *sample)
{
    bool empty = !*sample->question;
    for (int i = 0; i < sample->n_options; i++)
        empty &= !*sample->options[i];
    return empty;
}

/* What the authors' rows have other names for, and the Hub's conversion of it. */
static int convert(struct reading *reading, struct sample *sample, struct err *err)
{
    struct arena *arena = &reading->build->manifest->arena;
    if (!strcmp(sample->task_type, "findNeedle"))
        sample->task_type = "needle";
    const char *options = options_text(sample, "(", ") ", "\n", arena);
    if (!sample->id)
        sample->id = arena_printf(arena, "%s-%zu", sample->task_type, reading->row);
    sample->question = options ? arena_printf(arena, "%s\n%s\n", sample->question, options) : NULL;
    return sample->question && sample->id ? 0 : err_no_memory(err, "a manifest's texts");
}

static int sample_read(struct reading *reading, struct err *err)
{
    struct records *records = reading->records;
    struct arena *arena = &reading->build->manifest->arena;
    struct sample sample = {0};
    const char *video, *answer;
    int rc = records_text(records, "video_name", FIELD_OPTIONAL, arena, &video, err);
    bool of_hub = video;
    if (!rc && !of_hub)
        rc = records_text(records, "video", FIELD_REQUIRED, arena, &video, err);
    if (!rc)
        rc = records_text(records, "question", FIELD_REQUIRED, arena, &sample.question, err);
    if (!rc)
        rc = records_texts(records, "candidates", 1, SAMPLE_MOST_OPTIONS, arena, &sample.options, &sample.n_options, err);
    if (!rc)
        rc = records_text(records, of_hub ? "task_type" : "question_type", FIELD_REQUIRED, arena, &sample.task_type, err);
    if (!rc)
        rc = records_word(records, "question_id", of_hub ? FIELD_REQUIRED : FIELD_OPTIONAL, arena, &sample.id, err);
    if (!rc)
        rc = records_text(records, "answer", FIELD_OPTIONAL, arena, &answer, err);
    if (!rc && !of_hub && is_empty_row(&sample))
        return build_note(reading->build, "empty_row", NULL, err,
                          "row %zu of task '%s' (video '%s') has neither question nor candidates; it is left out", reading->row,
                          sample.task_type, video);
    if (!rc && !of_hub)
        rc = convert(reading, &sample, err);
    if (!rc)
        rc = answer_set(reading, &sample, answer, of_hub, err);
    if (!rc)
        rc = video_read(reading, video, &sample, &sample.video, err);
    return rc ? rc : build_add_sample(reading->build, &sample, err);
}

/* ---- files --------------------------------------------------------------------------------------------------------------- */

static int file_read(struct build *build, const char *path, const char *root, char digest[DIGEST_HEX], struct err *err)
{
    struct reading reading = {.build = build, .root = root};
    int rc = records_open(&reading.records, path, NULL, err);
    if (rc)
        return rc;
    strcpy(digest, records_digest(reading.records));
    for (; !rc && (rc = records_next(reading.records, err)) > 0; reading.row++)
        rc = sample_read(&reading, err);
    records_close(reading.records);
    return rc;
}

/* The authors' files, in the folder or below it. */
static int folder_read(struct build *build, const char *folder, const char *root, struct digest *digest, struct err *err)
{
    struct arena *arena = &build->manifest->arena;
    static const char *const below[] = {"json", "data", ""};
    int found = 0, rc = 0;
    for (size_t b = 0; b < sizeof below / sizeof *below && !found; b++)
        for (int i = 0; i < TASKS && !rc; i++) {
            char of_file[DIGEST_HEX];
            const char *path = arena_printf(arena, "%s/%s/%s.json", folder, below[b], tasks[i].file);
            if (!path)
                return err_no_memory(err, "the path of a manifest");
            if (!path_is_file(path))
                continue;
            found++;
            rc = file_read(build, path, root, of_file, err);
            if (!rc)
                digest_add_text(digest, of_file);
        }
    if (!found)
        return err_set(err, ERR_DATA, "'%s' has none of MLVU's files, such as '%s.json'; name the Hub's Parquet file, or the folder "
                       "of the authors' JSON files", folder, tasks[0].file);
    return rc;
}

static int load(struct manifest *out, const struct benchmark *benchmark, const struct manifest_source *source, struct err *err)
{
    struct build build = {.manifest = out};
    const char *const *beside = benchmark == &benchmark_mlvu_dev ? beside_dev : beside_test;
    bool folder = path_is_folder(source->path);
    const char *root = folder ? folder_choose(source->videos, source->path, beside, &out->arena) : videos_root(source, beside, &out->arena);
    struct digest *digest = digest_new();
    int rc = root && digest ? 0 : err_no_memory(err, "the folder of the videos");
    if (!rc)
        rc = folder ? folder_read(&build, source->path, root, digest, err) : file_read(&build, source->path, root, out->digest, err);
    char of_all[DIGEST_HEX];
    if (digest)
        digest_finish(digest, of_all);
    if (folder && digest)
        strcpy(out->digest, of_all);
    return build_finish(&build, rc, err);
}

/* ---- prompts ------------------------------------------------------------------------------------------------------------- */

static const char official_system[] = "Carefully watch this video and pay attention to every detail. Based on your observations, "
                                      "select the best option that accurately addresses the question.";

/* The authors ask without the options that the Hub has put behind the question. */
static int prompt_official(struct prompt_text *out, const struct sample *sample, struct arena *arena, struct err *err)
{
    const char *options = options_text(sample, "\n(", ") ", "", arena);
    char *question = arena_strdup(arena, sample->question);
    if (!options || !question)
        return err_no_memory(err, "a prompt");
    size_t length = strlen(question), n = strlen(options);
    length -= length && question[length - 1] == '\n';
    if (length >= n && !memcmp(question + length - n, options, n))
        question[length - n] = 0;
    question = official_question(question, sample, arena);
    *out = (struct prompt_text){.system = official_system, .prefill = "Best Option: ("};
    out->user = question ? arena_printf(arena, "%s\nOnly give the best option.", question) : NULL;
    return out->user ? 0 : err_no_memory(err, "a prompt");
}

/* The bracket is the end of the question, not the start of the reply. */
static int prompt_dev(struct prompt_text *out, const struct sample *sample, const struct prompting *how, struct arena *arena,
                      struct err *err)
{
    if (how->protocol->wording == WORDING_OFFICIAL)
        return prompt_official(out, sample, arena, err);
    if (how->protocol->wording == WORDING_EARLY)
        return prompt_user(out, arena_printf(arena, "\n%s\nOnly give the best option.\n\nBest option: (", sample->question), err);
    return prompt_user(out, arena_printf(arena, "%s\nOnly give the best option.\nBest option: (", sample->question), err);
}

/* Upstream gives the test set no instruction at all. */
static int prompt_test(struct prompt_text *out, const struct sample *sample, const struct prompting *how, struct arena *arena,
                       struct err *err)
{
    if (how->protocol->wording == WORDING_LMMS)
        return prompt_user(out, sample->question, err);
    return prompt_dev(out, sample, how, arena, err);
}

/* ---- the released sets --------------------------------------------------------------------------------------------------- */

static const struct published_group groups_dev[] = {
    {"task_type", "needle", 355},   {"task_type", "anomaly_reco", 200},    {"task_type", "count", 206}, {"task_type", "ego", 352},
    {"task_type", "plotQA", 539},   {"task_type", "topic_reasoning", 263}, {"task_type", "order", 259}, {NULL, NULL, 0},
};

static const struct published_group groups_test[] = {
    {"task_type", "anomaly_reco", 39}, {"task_type", "topic_reasoning", 91}, {"task_type", "needleQA", 60}, {"task_type", "ego", 53},
    {"task_type", "plotQA", 50},       {"task_type", "sportsQA", 36},        {"task_type", "order", 70},    {"task_type", "count", 60},
    {"task_type", "tutorialQA", 43},   {NULL, NULL, 0},
};

static const char *const files_dev[] = {"data/test-*.parquet", "test-*.parquet", "*.parquet", NULL};
static const char *const files_test[] = {"data/test-*.parquet", "test-*.parquet", "*.parquet", "test_mcq_gt.json",
                                         "test_question.json", NULL};
static const char *const folder_files[] = {"json/[1-7]_*.json", "data/[1-7]_*.json", "[1-7]_*.json", NULL};
static const char *const hub_dev[] = {"sy1998/MLVU_dev", NULL}, *const hub_test[] = {"sy1998/MLVU_Test", NULL};
static const char *const homes_dev[] = {"mlvu", NULL}, *const homes_test[] = {"mlvu_test", NULL};

const struct benchmark benchmark_mlvu_dev = {
    .name = "mlvu_dev",
    .summary = "MLVU, dev set: 2,174 questions of seven tasks on 1,122 videos of three minutes to nine hours",
    .published_samples = 2174,
    .published_videos = 1122,
    .groups = groups_dev,
    .max_option_letters = 4,
    .two_averages = true,
    .files = files_dev,
    .folder_files = folder_files,
    .hub = hub_dev,
    .hub_revision = "main",
    .homes = homes_dev,
    .load = load,
    .prompt = prompt_dev,
};

const struct benchmark benchmark_mlvu_test = {
    .name = "mlvu_test",
    .summary = "MLVU, test set: 502 questions of nine tasks, with six options each",
    .published_samples = 502,
    .groups = groups_test,
    .max_option_letters = 6,
    .two_averages = true,
    .files = files_test,
    .hub = hub_test,
    .hub_revision = "main",
    .homes = homes_test,
    .load = load,
    .prompt = prompt_test,
};
