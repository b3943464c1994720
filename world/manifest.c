#include "world/manifest.h"

#include "core/json.h"
#include "world/world.h"

#include <stdio.h>
#include <stdlib.h>

const char *const world_control_names[N_CONTROLS] = {"", "shuffled", "blank"};

enum { DURATIONS = 3 };

void world_video_name(int v, char name[WORLD_MOST_NAME])
{
    if (v < 0)
        snprintf(name, WORLD_MOST_NAME, "blank");
    else
        snprintf(name, WORLD_MOST_NAME, "tw%05d", v);
}

/* The video that is shown with the questions about v. */
static int shown_with(int v, int n_videos, enum world_control control)
{
    int other = v + DURATIONS < n_videos ? v + DURATIONS : v % DURATIONS;
    return control == CONTROL_NONE ? v : control == CONTROL_SHUFFLED ? other : -1;
}

static const char *noise_name(const struct world_scene *scene)
{
    return scene->noise == 0 ? "clean" : scene->noise < 5 ? "grainy" : "noisy";
}

static bool put(struct json *row, const char *key, const char *text)
{
    return json_add(row, key, json_new_string(text));
}

static bool put_options(struct json *row, const struct world_question *question)
{
    struct json *options = json_add(row, "options", json_new(JSON_ARRAY));
    for (int i = 0; i < WORLD_OPTIONS && options; i++) {
        char text[40];
        snprintf(text, sizeof text, "%c. %s", 'A' + i, question->options[i]);
        if (!json_add(options, NULL, json_new_string(text)))
            return false;
    }
    return options;
}

/* Video-MME's columns; `domain` is the background it begins with. */
static bool put_row(struct text *out, const struct world_scene *scene, int v, int k, const struct world_question *question, int shown)
{
    static const char *const durations[DURATIONS] = {"short", "medium", "long"};
    char video[16], id[24], file[WORLD_MOST_NAME], url[40], letter[2] = {(char)('A' + question->answer), 0};
    snprintf(video, sizeof video, "%03d", v + 1);
    snprintf(id, sizeof id, "%s-%d", video, k + 1);
    world_video_name(shown, file);
    snprintf(url, sizeof url, "%s/%s", WORLD_NAME, file); /* so that another version has another digest */
    struct json *row = json_new(JSON_OBJECT);
    bool whole = row && put(row, "video_id", video) && put(row, "duration", durations[v % DURATIONS]) &&
                 put(row, "domain", world_family_names[scene->backgrounds[0].family]) && put(row, "sub_category", noise_name(scene)) &&
                 put(row, "url", url) && put(row, "videoID", file) && put(row, "question_id", id) &&
                 put(row, "task_type", world_type_names[question->type]) && put(row, "question", question->text) &&
                 put_options(row, question) && put(row, "answer", letter);
    char *text = whole ? json_text(row) : NULL;
    if (text)
        text_put(out, text);
    free(text);
    json_free(row);
    return text;
}

int world_manifest_write(struct text *out, int n_videos, enum world_control control, struct err *err)
{
    bool whole = true;
    text_put(out, "[");
    for (int v = 0; v < n_videos && whole; v++) {
        struct world_scene scene;
        struct world_question questions[WORLD_QUESTIONS];
        world_video_draw(&scene, v);
        world_questions_ask(&scene, (uint64_t)v, questions);
        for (int k = 0; k < WORLD_QUESTIONS && whole; k++) {
            text_put(out, v || k ? ",\n" : "\n");
            whole = put_row(out, &scene, v, k, &questions[k], shown_with(v, n_videos, control));
        }
    }
    text_put(out, "\n]\n");
    return whole && !out->failed ? 0 : err_no_memory(err, "the tiny world's manifest");
}
