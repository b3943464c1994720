/* Exports to VLMEvalKit (e8e78f0): the table that its evaluation of Video-MME leaves, and the rating it makes of that. Cells of its xlsx
 * files are cut at 32,767 characters; these are not. */
#include "results/export_impl.h"

#include <stdio.h>
#include <string.h>

/* ---- the table ------------------------------------------------------------------------------------------------------------- */

/* Python's repr() of a text, but for characters beyond ASCII that do not print: they stand as they are, and eval() reads them alike. */
static void put_repr(struct text *out, const char *text)
{
    char quote = strchr(text, '\'') && !strchr(text, '"') ? '"' : '\'';
    text_add(out, &quote, 1);
    for (; *text; text++) {
        const char *named = strchr("\n\r\t", *text);
        if (named)
            text_put(out, *text == '\n' ? "\\n" : *text == '\r' ? "\\r" : "\\t");
        else if ((unsigned char)*text < 0x20 || *text == 0x7f)
            text_printf(out, "\\x%02x", (unsigned)*text);
        else
            text_printf(out, "%s%c", *text == quote || *text == '\\' ? "\\" : "", *text);
    }
    text_add(out, &quote, 1);
}

static void put_candidates(struct text *out, const struct sample *sample)
{
    for (int i = 0; i < sample->n_options; i++) {
        text_put(out, i ? ", " : "[");
        put_repr(out, sample->options[i]);
    }
    text_put(out, "]");
}

static void put_row(struct text *out, const struct export_source *source, size_t i)
{
    const struct sample *sample = &source->cell->manifest.samples[i];
    const char *video = export_video(source, i)->id, *reply = source->replies[i].raw;
    struct text candidates = {0}, path = {0};
    char row[24], answer[2] = {sample->answer >= 0 ? (char)('A' + sample->answer) : 0};
    put_candidates(&candidates, sample);
    snprintf(row, sizeof row, "%zu", sample->row);
    export_put_field(out, row, "\t");
    export_put_field(out, video, "\t");
    text_printf(&path, "./video/%s.mp4", video);
    export_put_field(out, path.bytes, "\t");
    export_put_field(out, sample->duration, "\t");
    export_put_field(out, sample->domain, "\t");
    export_put_field(out, candidates.bytes, "\t");
    export_put_field(out, sample->sub_category, "\t");
    export_put_field(out, sample->task_type, "\t");
    text_free(&path);
    text_printf(&path, "./subtitle/%s.srt", video);
    export_put_field(out, path.bytes, "\t");
    export_put_field(out, sample->question, "\t");
    export_put_field(out, answer, "\t");
    export_put_field(out, reply, "\t");
    export_put_field(out, !reply ? "-1.0" : source->cell->answers[i].answer.correct ? "1.0" : "0.0", "\n");
    out->failed |= candidates.failed || path.failed;
    text_free(&candidates);
    text_free(&path);
}

/* A question whose answer failed has no prediction and score -1, which VLMEvalKit leaves out of its rating. */
int export_vlmevalkit_tsv(struct text *out, const struct export_source *source, const char *task, struct err *err)
{
    static const char *const columns[] = {"index", "video", "video_path", "duration", "domain", "candidates", "sub_category", "task_type",
                                          "subtitle_path", "question", "answer", "prediction", "score"};
    enum { COLUMNS = sizeof columns / sizeof *columns };
    (void)task;
    for (int i = 0; i < COLUMNS; i++)
        export_put_field(out, columns[i], i + 1 < COLUMNS ? "\t" : "\n");
    for (size_t i = 0; i < source->cell->manifest.n_samples; i++)
        if (source->cell->answers[i].id)
            put_row(out, source, i);
    return out->failed ? err_no_memory(err, "an export") : 0;
}

/* ---- the rating ------------------------------------------------------------------------------------------------------------ */

static const char *const durations[] = {"short", "medium", "long", NULL};
static const char *const domains[] = {"Knowledge",   "Film & Television", "Sports Competition", "Artistic Performance",
                                      "Life Record", "Multilingual",      NULL};
static const char *const sub_categories[] = {
    "Humanity & History", "Literature & Art", "Biology & Medicine", "Finance & Commerce", "Astronomy", "Geography", "Law", "Life Tip",
    "Technology", "Animation", "Movie & TV Show", "Documentary", "News Report", "Esports", "Basketball", "Football", "Athletics",
    "Other Sports", "Stage Play", "Magic Show", "Variety Show", "Acrobatics", "Handicraft", "Food", "Fashion", "Daily Life", "Travel",
    "Pet & Animal", "Exercise", "Multilingual", NULL};
static const char *const task_types[] = {
    "Temporal Perception", "Spatial Perception", "Attribute Perception", "Action Recognition", "Object Recognition", "OCR Problems",
    "Counting Problem", "Temporal Reasoning", "Spatial Reasoning", "Action Reasoning", "Object Reasoning", "Information Synopsis", NULL};

enum group { GROUP_NONE, GROUP_DOMAIN, GROUP_SUB_CATEGORY, GROUP_TASK_TYPE };

static const char *group_of(const struct sample *sample, enum group group)
{
    return group == GROUP_DOMAIN ? sample->domain : group == GROUP_SUB_CATEGORY ? sample->sub_category : sample->task_type;
}

/* Mean score of the replies of one duration (NULL: all) in one group, as a text with three decimals; "nan" without any. */
static struct json *mean(const struct export_source *source, const char *duration, enum group group, const char *name)
{
    size_t n = 0, n_correct = 0;
    for (size_t i = 0; i < source->cell->manifest.n_samples; i++) {
        const struct sample *sample = &source->cell->manifest.samples[i];
        const char *own = group == GROUP_NONE ? NULL : group_of(sample, group);
        if (!source->replies[i].bare || (duration && (!sample->duration || strcmp(sample->duration, duration))) ||
            (group != GROUP_NONE && (!own || strcmp(own, name))))
            continue;
        n++;
        n_correct += source->cell->answers[i].answer.correct;
    }
    char text[32] = "nan";
    if (n)
        snprintf(text, sizeof text, "%.3f", (double)n_correct / (double)n);
    return json_new_string(text);
}

static bool put_groups(struct json *rating, const char *key, const struct export_source *source, const char *duration, enum group group,
                       const char *const *names)
{
    struct json *groups = export_put(rating, key, json_new(JSON_OBJECT));
    bool ok = groups;
    for (; *names && ok; names++)
        ok = export_put(groups, *names, mean(source, duration, group, *names));
    return ok;
}

int export_vlmevalkit_rating(struct text *out, const struct export_source *source, const char *task, struct err *err)
{
    (void)task;
    struct json *file = json_new(JSON_OBJECT);
    bool ok = file;
    for (size_t i = 0; ok && i < sizeof durations / sizeof *durations; i++) {
        const char *duration = durations[i];
        struct json *rating = export_put(file, duration ? duration : "overall", json_new(JSON_OBJECT));
        ok = rating && export_put(rating, "overall", mean(source, duration, GROUP_NONE, NULL)) &&
             put_groups(rating, "domain", source, duration, GROUP_DOMAIN, domains) &&
             put_groups(rating, "sub_category", source, duration, GROUP_SUB_CATEGORY, sub_categories) &&
             put_groups(rating, "task_type", source, duration, GROUP_TASK_TYPE, task_types);
    }
    if (!ok) {
        json_free(file);
        file = NULL;
    }
    return export_put_tree(out, file, err);
}
