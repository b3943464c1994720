/* lmms-eval's names and shapes: a table of benchmarks, and one function per metric. Members stand in the order of its process_results(). */
#include "results/lmms.h"

#include "results/python.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum target_form { TARGET_LETTER, TARGET_TEXT, TARGET_NUMBER };

struct question { /* what a metric is made of */
    const struct sample *sample;
    const struct video_ref *video;
    const struct lmms_reply *reply;
};

struct task {
    struct lmms_benchmark shared;
    enum target_form target;
    void (*put_metric)(struct text *out, const struct question *question);
};

/* ---- metrics --------------------------------------------------------------------------------------------------------------- */

/* "A" for 0; "" for none. */
static void put_letter(struct text *out, int letter)
{
    text_printf(out, letter >= 0 ? "\"%c\"" : "\"\"", 'A' + letter);
}

static void put_text(struct text *out, bool *first, const char *key, const char *value)
{
    python_key(out, first, key);
    python_string(out, value);
}

static void videomme_metric(struct text *out, const struct question *question)
{
    const struct sample *sample = question->sample;
    bool first = true;
    put_text(out, &first, "question_id", sample->id);
    put_text(out, &first, "duration", sample->duration);
    put_text(out, &first, "category", sample->domain);
    put_text(out, &first, "sub_category", sample->sub_category);
    put_text(out, &first, "task_category", sample->task_type);
    python_key(out, &first, "pred_answer");
    put_letter(out, question->reply->letter);
    python_key(out, &first, "answer");
    put_letter(out, sample->answer);
    python_key(out, &first, "score");
    python_float(out, question->reply->right);
    put_text(out, &first, "videoID", question->video->id);
    text_put(out, "}");
}

static void mvbench_metric(struct text *out, const struct question *question)
{
    bool first = true;
    put_text(out, &first, "pred_answer", question->reply->bare);
    python_key(out, &first, "gt_answer");
    put_letter(out, question->sample->answer);
    python_key(out, &first, "score");
    text_printf(out, "%d}", question->reply->right);
}

static void mlvu_metric(struct text *out, const struct question *question)
{
    bool first = true;
    put_text(out, &first, "question_id", question->sample->question); /* so it is */
    put_text(out, &first, "task_type", question->sample->task_type);
    python_key(out, &first, "pred_answer");
    put_letter(out, question->reply->letter);
    python_key(out, &first, "answer");
    put_letter(out, question->sample->answer);
    text_put(out, "}");
}

/* A number of the data set that this program keeps as text. */
static void put_number(struct text *out, const char *text)
{
    if (text && *text && !text[strspn(text, "0123456789")])
        text_put(out, text);
    else
        python_string(out, text);
}

static void longvideobench_metric(struct text *out, const struct question *question)
{
    const struct sample *sample = question->sample;
    bool first = true, first_of_submission = true;
    put_text(out, &first, "id", sample->id);
    python_key(out, &first, "duration_group");
    put_number(out, sample->duration);
    put_text(out, &first, "question_category", sample->task_type);
    python_key(out, &first, "answer");
    put_letter(out, sample->answer);
    python_key(out, &first, "parsed_pred");
    put_letter(out, question->reply->letter);
    text_put(out, "}, \"submission\": ");
    put_text(out, &first_of_submission, sample->id, question->reply->bare);
    text_put(out, "}");
}

static void nextqa_metric(struct text *out, const struct question *question)
{
    text_put(out, question->reply->right ? "true" : "false");
}

static void perceptiontest_metric(struct text *out, const struct question *question)
{
    const struct sample *sample = question->sample;
    bool first = true;
    put_text(out, &first, "video_name", question->video->id);
    put_text(out, &first, "question", sample->question);
    python_key(out, &first, "pred_id");
    text_printf(out, "%d", question->reply->letter);
    python_key(out, &first, "answer_id");
    text_printf(out, "\"%d\"", sample->answer);
    python_key(out, &first, "correct");
    text_printf(out, "%d}", question->reply->right);
}

/* ---- the table ------------------------------------------------------------------------------------------------------------- */

static const struct task tasks[] = {
    {{"videomme", "videomme", .metric = "videomme_perception_score", .scale = 100}, TARGET_LETTER, videomme_metric},
    {{"videomme_w_subtitle", "videomme_w_subtitle", .metric = "videomme_perception_score", .scale = 100}, TARGET_LETTER, videomme_metric},
    {{"mlvu_dev", "mlvu_dev", "mlvu", .metric = "mlvu_percetion_score", .scale = 100}, TARGET_LETTER, mlvu_metric},
    {{"mlvu_test", "mlvu_test", .metric = "mlvu_percetion_score", .scale = 100}, TARGET_LETTER, mlvu_metric},
    {{"mvbench", "mvbench_", .is_group = true, .metric = "mvbench_accuracy", .scale = 100}, TARGET_TEXT, mvbench_metric},
    {{"longvideobench_val_v", "longvideobench_val_v", .metric = "lvb_acc", .scale = 1, .digits = 5}, TARGET_NUMBER, longvideobench_metric},
    {{"longvideobench_val_i", "longvideobench_val_i", .metric = "lvb_acc", .scale = 1, .digits = 5}, TARGET_NUMBER, longvideobench_metric},
    {{"nextqa_mc_test", "nextqa_mc_test", .metric = "exact_match", .scale = 1}, TARGET_NUMBER, nextqa_metric},
    {{"perceptiontest_val_mc", "perceptiontest_val_mc", .metric = "accuracy", .scale = 1}, TARGET_NUMBER, perceptiontest_metric},
};

const struct lmms_benchmark *lmms_find(const char *benchmark)
{
    for (size_t i = 0; i < sizeof tasks / sizeof *tasks; i++)
        if (!strcmp(tasks[i].shared.benchmark, benchmark))
            return &tasks[i].shared;
    return NULL;
}

static const struct task *task_of(const struct lmms_benchmark *benchmark)
{
    return (const struct task *)((const char *)benchmark - offsetof(struct task, shared));
}

void lmms_task_name(const struct lmms_benchmark *benchmark, const struct sample *sample, char name[LMMS_TASK_NAME])
{
    if (!benchmark->is_group)
        snprintf(name, LMMS_TASK_NAME, "%s", benchmark->task);
    else if (sample->task_type)
        snprintf(name, LMMS_TASK_NAME, "%s%s", benchmark->task, sample->task_type);
    else
        *name = 0;
}

bool lmms_is_task(const struct lmms_benchmark *benchmark, const char *task)
{
    if (benchmark->is_group)
        return !strncmp(task, benchmark->task, strlen(benchmark->task));
    return !strcmp(task, benchmark->task) || (benchmark->older && !strcmp(task, benchmark->older));
}

int64_t lmms_doc_id(const struct lmms_benchmark *benchmark, const struct sample *sample)
{
    if (!benchmark->is_group)
        return (int64_t)sample->row;
    size_t n = sample->task_type ? strlen(sample->task_type) : 0;
    const char *row = sample->id + n + 1;
    if (!n || strncmp(sample->id, sample->task_type, n) || sample->id[n] != '-' || !*row || row[strspn(row, "0123456789")])
        return -1;
    return strtoll(row, NULL, 10);
}

void lmms_put_target(struct text *out, const struct lmms_benchmark *benchmark, const struct sample *sample)
{
    if (sample->answer < 0)
        return;
    switch (task_of(benchmark)->target) {
    case TARGET_LETTER:
        text_printf(out, "%c", 'A' + sample->answer);
        break;
    case TARGET_TEXT:
        text_put(out, sample->options[sample->answer]);
        break;
    case TARGET_NUMBER:
        text_printf(out, "%d", sample->answer);
        break;
    }
}

void lmms_put_metric(struct text *out, const struct lmms_benchmark *benchmark, const struct sample *sample, const struct video_ref *video,
                     const struct lmms_reply *reply)
{
    python_string(out, benchmark->metric);
    text_put(out, ": ");
    task_of(benchmark)->put_metric(out, &(struct question){sample, video, reply});
}
