/* Exports to leaderboards: Video-MME's list of videos with their questions and replies, MLVU's list of chosen letters. */
#include "results/export_impl.h"

#include <string.h>

static struct json *letter(int position)
{
    char text[2] = {position >= 0 ? (char)('A' + position) : 0};
    return json_new_string(text);
}

/* ---- Video-MME ------------------------------------------------------------------------------------------------------------- */

static bool put_video(struct json *video, const struct sample *sample)
{
    const char *dash = strrchr(sample->id, '-'); /* questions of video 001 are 001-1, 001-2, 001-3 */
    char id[64] = "";
    size_t n = dash ? (size_t)(dash - sample->id) : strlen(sample->id);
    memcpy(id, sample->id, n < sizeof id ? n : sizeof id - 1);
    return export_put_text(video, "video_id", id) && export_put_text(video, "duration", sample->duration) &&
           export_put_text(video, "domain", sample->domain) && export_put_text(video, "sub_category", sample->sub_category);
}

/* A question without a reply has an empty response, which the official script leaves out of its counts. */
static bool put_question(struct json *questions, const struct sample *sample, const struct export_reply *reply)
{
    struct json *question = export_put(questions, NULL, json_new(JSON_OBJECT)), *options;
    bool ok = question && export_put_text(question, "question_id", sample->id) &&
              export_put_text(question, "task_type", sample->task_type) && export_put_text(question, "question", sample->question) &&
              (options = export_put(question, "options", json_new(JSON_ARRAY)));
    for (int i = 0; i < sample->n_options && ok; i++)
        ok = export_put(options, NULL, json_new_string(sample->options[i]));
    return ok && export_put(question, "answer", letter(sample->answer)) &&
           export_put_text(question, "response", reply->raw ? reply->raw : "");
}

int export_videomme_leaderboard(struct text *out, const struct export_source *source, const char *task, struct err *err)
{
    (void)task;
    const struct manifest *manifest = &source->cell->manifest;
    struct json *file = json_new(JSON_ARRAY), *questions = NULL;
    bool ok = file;
    for (size_t i = 0; i < manifest->n_samples && ok; i++) {
        const struct sample *sample = &manifest->samples[i];
        if (!i || sample->video != sample[-1].video) {
            struct json *video = export_put(file, NULL, json_new(JSON_OBJECT));
            ok = video && put_video(video, sample) && (questions = export_put(video, "questions", json_new(JSON_ARRAY)));
        }
        ok = ok && put_question(questions, sample, &source->replies[i]);
    }
    if (!ok) {
        json_free(file);
        file = NULL;
    }
    return export_put_tree(out, file, err);
}

/* ---- MLVU ------------------------------------------------------------------------------------------------------------------ */

int export_mlvu_leaderboard(struct text *out, const struct export_source *source, const char *task, struct err *err)
{
    (void)task;
    const struct manifest *manifest = &source->cell->manifest;
    struct json *file = json_new(JSON_ARRAY);
    bool ok = file;
    for (size_t i = 0; i < manifest->n_samples && ok; i++) {
        const struct sample *sample = &manifest->samples[i];
        const struct stored_answer *stored = &source->cell->answers[i];
        struct json *entry = export_put(file, NULL, json_new(JSON_OBJECT));
        ok = entry && export_put_text(entry, "question_id", sample->id) && export_put_text(entry, "question_type", sample->task_type) &&
             export_put(entry, "option", letter(stored->id ? stored->answer.extracted : -1));
    }
    if (!ok) {
        json_free(file);
        file = NULL;
    }
    return export_put_tree(out, file, err);
}
