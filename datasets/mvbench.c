/* MVBench: a folder of twenty JSON files, one per task, or one of them. Revision `main` of the Hub has whole
 * videos and says which part is asked about; revision `video` has the parts cut out. Both are found, each in its own folder. */
#include "datasets/manifest_build.h"
#include "datasets/records.h"

#include <string.h>

enum { TASK_ROWS = 200, MOST_FOLDERS = 4 };

static const double frames_fps = 3; /* of the folders of pictures */

enum task_form {
    TASK_WHOLE,
    TASK_CUT,    /* asks about parts; in its first folder they are already cut out */
    TASK_FRAMES, /* the same, and videos may be folders of pictures */
};

static const struct task {
    const char *name;
    enum task_form form;
    const char *folders[MOST_FOLDERS]; /* below the folder of the videos, as they are tried, ends with NULL */
} tasks[] = {
    {"action_sequence", TASK_CUT, {"star/Charades_segment", "star/Charades_v1_480", "data0613/star/Charades_v1_480"}},
    {"action_prediction", TASK_CUT, {"star/Charades_segment", "star/Charades_v1_480", "data0613/star/Charades_v1_480"}},
    {"action_antonym", TASK_WHOLE, {"ssv2_video_mp4", "ssv2_video"}},
    {"fine_grained_action", TASK_WHOLE, {"Moments_in_Time_Raw/videos"}},
    {"unexpected_action", TASK_WHOLE, {"FunQA_test/test"}},
    {"object_existence", TASK_WHOLE, {"clevrer/video_validation", "data0613/clevrer/video_validation"}},
    {"object_interaction", TASK_CUT, {"star/Charades_segment", "star/Charades_v1_480", "data0613/star/Charades_v1_480"}},
    {"object_shuffle", TASK_WHOLE, {"perception/videos"}},
    {"moving_direction", TASK_WHOLE, {"clevrer/video_validation", "data0613/clevrer/video_validation"}},
    {"action_localization", TASK_CUT, {"sta/sta_video_segment", "sta/sta_video", "sta_video"}},
    {"scene_transition", TASK_WHOLE, {"scene_qa/video"}},
    {"action_count", TASK_WHOLE, {"perception/videos"}},
    {"moving_count", TASK_WHOLE, {"clevrer/video_validation", "data0613/clevrer/video_validation"}},
    {"moving_attribute", TASK_WHOLE, {"clevrer/video_validation", "data0613/clevrer/video_validation"}},
    {"state_change", TASK_WHOLE, {"perception/videos"}},
    {"fine_grained_pose", TASK_WHOLE, {"nturgbd_convert", "nturgbd"}},
    {"character_order", TASK_WHOLE, {"perception/videos"}},
    {"egocentric_navigation", TASK_WHOLE, {"vlnqa"}},
    {"episodic_reasoning", TASK_FRAMES, {"tvqa/video_fps3_hq_segment", "tvqa/frames_fps3_hq"}},
    {"counterfactual_inference", TASK_WHOLE, {"clevrer/video_validation", "data0613/clevrer/video_validation"}},
};

enum { TASKS = sizeof tasks / sizeof *tasks };

static const char *const beside[] = {"video", "mvbench_video", "../video", "../mvbench_video", NULL};

/* ---- samples ------------------------------------------------------------------------------------------------------------- */

static int bounds_read(struct records *records, struct video_ref *video, struct err *err)
{
    int rc = records_number(records, "start", -1, &video->start_s, err);
    if (!rc)
        rc = records_number(records, "end", -1, &video->end_s, err);
    if (rc || (video->start_s == -1 && video->end_s == -1))
        return rc;
    if (!(video->start_s >= 0 && video->end_s > video->start_s))
        return records_fail(records, err, "the part from 'start' %g to 'end' %g is none; expected 0 <= start < end, in seconds",
                            video->start_s, video->end_s);
    return 0;
}

static int video_read(struct build *build, struct records *records, const struct task *task, const char *root, size_t *index,
                      struct err *err)
{
    struct arena *arena = &build->manifest->arena;
    struct video_ref video = {0};
    double fps = frames_fps;
    int place, rc = records_text(records, "video", FIELD_REQUIRED, arena, &video.id, err);
    if (!rc)
        rc = bounds_read(records, &video, err);
    if (!rc)
        rc = records_number(records, "fps", frames_fps, &fps, err);
    if (rc)
        return rc;
    if (!(fps > 0 && fps <= 1000))
        return records_fail(records, err, "field 'fps' is %g; expected frames per second", fps);
    if ((rc = video_find(&video, video.id, root, task->folders, task->form == TASK_FRAMES, &place, arena, err)) == ERR_DATA)
        return records_fail(records, err, "'%s' cannot be the name of a video", video.id);
    if (task->form != TASK_WHOLE && place == 0)
        video.start_s = video.end_s = -1;
    video.folder_fps = video.is_folder ? fps : 0;
    return rc ? rc : build_add_video(build, &video, index, err);
}

static int answer_read(struct build *build, struct records *records, struct sample *sample, struct err *err)
{
    const char *answer;
    int rc = records_text(records, "answer", FIELD_NULLABLE, &build->manifest->arena, &answer, err);
    sample->answer = -1;
    if (rc || !answer)
        return rc;
    for (int i = 0; i < sample->n_options && sample->answer < 0; i++)
        if (!strcmp(sample->options[i], answer))
            sample->answer = i;
    return sample->answer >= 0 ? 0 : build_flaw(build, sample, err, "the answer '%s' is none of the %d candidates", answer,
                                                sample->n_options);
}

static int sample_read(struct build *build, struct records *records, const struct task *task, size_t row, const char *root, struct err *err)
{
    struct arena *arena = &build->manifest->arena;
    struct sample sample = {.task_type = task->name, .id = arena_printf(arena, "%s-%zu", task->name, row)};
    int rc = sample.id ? 0 : err_no_memory(err, "a manifest's texts");
    if (!rc)
        rc = records_text(records, "question", FIELD_REQUIRED, arena, &sample.question, err);
    if (!rc)
        rc = records_texts(records, "candidates", 1, SAMPLE_MOST_OPTIONS, arena, &sample.options, &sample.n_options, err);
    if (!rc)
        rc = answer_read(build, records, &sample, err);
    if (!rc)
        rc = video_read(build, records, task, root, &sample.video, err);
    return rc ? rc : build_add_sample(build, &sample, err);
}

/* ---- files --------------------------------------------------------------------------------------------------------------- */

static int task_load(struct build *build, const struct task *task, const char *path, const char *root, struct digest *digest,
                     struct err *err)
{
    struct records *records;
    int rc = records_open(&records, path, NULL, err);
    if (rc)
        return rc;
    digest_add_text(digest, records_digest(records));
    for (size_t row = 0; !rc && (rc = records_next(records, err)) > 0; row++)
        rc = sample_read(build, records, task, row, root, err);
    records_close(records);
    return rc;
}

/* The task that a file is named after, NULL if it is none. */
static const struct task *task_of_path(const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    size_t stem = strcspn(name, ".");
    for (int i = 0; i < TASKS; i++)
        if (strlen(tasks[i].name) == stem && !strncmp(tasks[i].name, name, stem))
            return &tasks[i];
    return NULL;
}

/* All tasks that the folder, or json/ in it, has a file of. */
static int folder_load(struct build *build, const struct manifest_source *source, struct digest *digest, struct err *err)
{
    struct arena *arena = &build->manifest->arena;
    const char *root = folder_choose(source->videos, source->path, beside, arena), *json = arena_printf(arena, "%s/json", source->path);
    if (!root || !json)
        return err_no_memory(err, "the folder of a manifest");
    const char *folder = path_is_folder(json) ? json : source->path;
    int found = 0, rc = 0;
    for (int i = 0; i < TASKS && !rc; i++) {
        const char *path = arena_printf(arena, "%s/%s.json", folder, tasks[i].name);
        if (!path)
            return err_no_memory(err, "the path of a manifest");
        if (!path_is_file(path))
            continue;
        found++;
        rc = task_load(build, &tasks[i], path, root, digest, err);
    }
    if (!found)
        return err_set(err, ERR_DATA, "'%s' has no file named after an MVBench task, such as '%s.json'", folder, tasks[0].name);
    return rc;
}

static int file_load_one(struct build *build, const struct manifest_source *source, struct digest *digest, struct err *err)
{
    struct arena *arena = &build->manifest->arena;
    const struct task *task = task_of_path(source->path);
    if (!task)
        return err_set(err, ERR_DATA, "'%s' is not named after an MVBench task, such as '%s.json', and the name is what says the task",
                       source->path, tasks[0].name);
    const char *root = videos_root(source, beside, arena);
    return root ? task_load(build, task, source->path, root, digest, err) : err_no_memory(err, "the folder of the videos");
}

static int load(struct manifest *out, const struct benchmark *benchmark, const struct manifest_source *source, struct err *err)
{
    (void)benchmark;
    struct build build = {.manifest = out};
    struct digest *digest = digest_new();
    if (!digest)
        return err_no_memory(err, "the digest of a manifest");
    int rc = path_is_folder(source->path) ? folder_load(&build, source, digest, err) : file_load_one(&build, source, digest, err);
    digest_finish(digest, out->digest);
    return build_finish(&build, rc, err);
}

static const char official_system[] =
    "Carefully watch the video and pay attention to the cause and sequence of events, the detail and movement of objects, and the "
    "action and pose of persons. Based on your observations, select the best option that accurately addresses the question.";

/* The authors' script says its system sentence twice, and begins the reply itself. */
static int prompt_official(struct prompt_text *out, const struct sample *sample, struct arena *arena, struct err *err)
{
    const char *question = official_question(sample->question, sample, arena);
    *out = (struct prompt_text){.system = official_system, .prefill = "Best option:("};
    out->user = question ? arena_printf(arena, "%s\n%s\nOnly give the best option.", official_system, question) : NULL;
    return out->user ? 0 : err_no_memory(err, "a prompt");
}

/* The words are the same for all models. */
static int prompt(struct prompt_text *out, const struct sample *sample, const struct prompting *how, struct arena *arena, struct err *err)
{
    if (how->protocol->wording == WORDING_OFFICIAL)
        return prompt_official(out, sample, arena, err);
    static const char early_words[] = "%s\n%s\nAnswer with the option's letter from the given choices directly.";
    static const char words[] = "Question:%s\nOption:\n%s\nOnly give the best option.\n";
    bool early = how->protocol->wording == WORDING_EARLY;
    const char *options = options_text(sample, early ? "" : "(", early ? ". " : ") ", "\n", arena);
    if (!options)
        return err_no_memory(err, "a prompt");
    return prompt_user(out, arena_printf(arena, early ? early_words : words, sample->question, options), err);
}

#define TASK(name) {"task_type", name, TASK_ROWS}

static const struct published_group groups[] = {
    TASK("action_sequence"),
    TASK("action_prediction"),
    TASK("action_antonym"),
    TASK("fine_grained_action"),
    TASK("unexpected_action"),
    TASK("object_existence"),
    TASK("object_interaction"),
    TASK("object_shuffle"),
    TASK("moving_direction"),
    TASK("action_localization"),
    TASK("scene_transition"),
    TASK("action_count"),
    TASK("moving_count"),
    TASK("moving_attribute"),
    TASK("state_change"),
    TASK("fine_grained_pose"),
    TASK("character_order"),
    TASK("egocentric_navigation"),
    TASK("episodic_reasoning"),
    TASK("counterfactual_inference"),
    {NULL, NULL, 0},
};

static const char *const folder_files[] = {"json/*.json", "*_*.json", NULL};
static const char *const hub[] = {"OpenGVLab/MVBench", NULL};
static const char *const homes[] = {"mvbench_video", NULL};

const struct benchmark benchmark_mvbench = {
    .name = "mvbench",
    .summary = "MVBench: 20 tasks of 200 questions on short clips",
    .published_samples = (size_t)TASKS * TASK_ROWS,
    .groups = groups,
    .max_option_letters = 5,
    .folder_files = folder_files,
    .hub = hub,
    .hub_revision = "video",
    .homes = homes,
    .load = load,
    .prompt = prompt,
};
