/* Video-MME: the Hub's Parquet, the same rows as a JSON list or JSON Lines, and the nested list of videos that
 * its leaderboard takes. With subtitles it is the same questions, and an .srt per video, which some videos have none of. */
#include "core/text.h"
#include "datasets/manifest_build.h"
#include "datasets/subtitles.h"

#include <stdlib.h>
#include <string.h>

/* Frames that subtitles are taken at, however many the model sees. */
enum { SUBTITLE_FRAMES = 32, SUBTITLE_FRAMES_LLAVA_VID = 768 };

static const char *const beside[] = {"data", "../data", "videomme/data", NULL};
static const char *const folders[] = {"", NULL};

struct reading { /* what all rows need */
    struct build build;
    struct records *records;
    const char *root, *subtitles_root; /* the latter NULL without subtitles */
    struct subtitle_shelf shelf;
};

/* ---- rows ---------------------------------------------------------------------------------------------------------------- */

/* Videos are filed under their YouTube id; the leaderboard's form has only the number of the video. */
static int video_read(struct reading *reading, struct video_ref *video, size_t *index, struct err *err)
{
    struct arena *arena = &reading->build.manifest->arena;
    *video = (struct video_ref){.start_s = -1, .end_s = -1};
    int rc = records_text(reading->records, "videoID", FIELD_OPTIONAL, arena, &video->id, err);
    if (!rc && !video->id)
        rc = records_text(reading->records, "video_id", FIELD_REQUIRED, arena, &video->id, err);
    if (rc)
        return rc;
    const char *name = arena_printf(arena, "%s.mp4", video->id);
    if (!name)
        return err_no_memory(err, "the name of a video");
    return build_video_file(&reading->build, reading->records, name, reading->root, folders, video, index, err);
}

static int answer_read(struct reading *reading, struct sample *sample, struct err *err)
{
    const char *letter;
    int rc = records_text(reading->records, "answer", FIELD_NULLABLE, &reading->build.manifest->arena, &letter, err);
    sample->answer = -1;
    if (rc || !letter || !*letter)
        return rc;
    if (letter[1] || letter[0] < 'A' || letter[0] >= 'A' + sample->n_options)
        return build_flaw(&reading->build, sample, err, "field 'answer' is '%s'; expected a letter from A to %c", letter,
                          'A' + sample->n_options - 1);
    sample->answer = letter[0] - 'A';
    return 0;
}

static int subtitles_read(struct reading *reading, const struct video_ref *video, struct sample *sample, struct err *err)
{
    if (!reading->subtitles_root)
        return 0;
    const char *path = arena_printf(&reading->build.manifest->arena, "%s/%s.srt", reading->subtitles_root, video->id);
    return path ? subtitles_attach_srt(&reading->shelf, &reading->build, path, sample, err) : err_no_memory(err, "the path of subtitles");
}

static int sample_read(struct reading *reading, struct err *err)
{
    struct records *records = reading->records;
    struct arena *arena = &reading->build.manifest->arena;
    struct sample sample = {0};
    struct video_ref video;
    const struct { const char *key; enum field_need need; const char **out; } texts[] = {
        {"question_id", FIELD_REQUIRED, &sample.id},        {"question", FIELD_REQUIRED, &sample.question},
        {"task_type", FIELD_OPTIONAL, &sample.task_type},   {"duration", FIELD_OPTIONAL, &sample.duration},
        {"domain", FIELD_OPTIONAL, &sample.domain},         {"sub_category", FIELD_OPTIONAL, &sample.sub_category},
    };
    int rc = 0;
    for (size_t i = 0; i < sizeof texts / sizeof *texts && !rc; i++)
        rc = records_text(records, texts[i].key, texts[i].need, arena, texts[i].out, err);
    if (!rc)
        rc = records_texts(records, "options", 1, SAMPLE_MOST_OPTIONS, arena, &sample.options, &sample.n_options, err);
    if (!rc)
        rc = answer_read(reading, &sample, err);
    if (!rc)
        rc = video_read(reading, &video, &sample.video, err);
    if (!rc)
        rc = subtitles_read(reading, &video, &sample, err);
    return rc ? rc : build_add_sample(&reading->build, &sample, err);
}

/* ---- files --------------------------------------------------------------------------------------------------------------- */

static int roots_find(struct reading *reading, const struct manifest_source *source, bool subtitles, struct err *err)
{
    struct arena *arena = &reading->build.manifest->arena;
    reading->root = videos_root(source, beside, arena);
    if (reading->root && subtitles)
        reading->subtitles_root = subtitles_root(source, reading->root, "subtitle", arena);
    return reading->root && (reading->subtitles_root || !subtitles) ? 0 : err_no_memory(err, "the folder of the videos");
}

static int rows_read(struct reading *reading, struct err *err)
{
    int rc = 0;
    while (!rc && (rc = records_next(reading->records, err)) > 0)
        rc = sample_read(reading, err);
    return rc;
}

/* Without subtitles the manifest's digest is that of its file. */
static int load_rows(struct manifest *out, const struct manifest_source *source, bool subtitles, struct err *err)
{
    static const struct records_layout layout = {.nested = "questions"};
    struct reading reading = {.build = {.manifest = out}};
    int rc = records_open(&reading.records, source->path, &layout, err);
    if (rc)
        return rc;
    strcpy(out->digest, records_digest(reading.records));
    reading.shelf.digest = subtitles ? digest_new() : NULL;
    if (subtitles && !reading.shelf.digest)
        rc = err_no_memory(err, "the digest of a manifest");
    if (!rc && subtitles)
        digest_add_text(reading.shelf.digest, out->digest);
    if (!rc)
        rc = roots_find(&reading, source, subtitles, err);
    if (!rc)
        rc = rows_read(&reading, err);
    if (reading.shelf.digest)
        digest_finish(reading.shelf.digest, out->digest);
    records_close(reading.records);
    subtitle_shelf_free(&reading.shelf);
    return build_finish(&reading.build, rc, err);
}

int videomme_load(struct manifest *out, const struct benchmark *benchmark, const struct manifest_source *source, struct err *err)
{
    return load_rows(out, source, benchmark == &benchmark_videomme_w_subtitle, err);
}

/* ---- prompts ------------------------------------------------------------------------------------------------------------- */

static const char intro[] = "Select the best answer to the following multiple-choice question based on the video and the subtitles. "
                            "Respond with only the letter (A, B, C, or D) of the correct option.";
static const char official_intro[] = "Select the best answer to the following multiple-choice question based on the video. Respond with "
                                     "only the letter (A, B, C, or D) of the correct option.";

/* Code points that Python's repr() escapes: controls, formats, separators, surrogates, private ones (those that no version of Unicode
 * has assigned are left out). */
static const struct { uint32_t first, last; } unprintable[] = {
    {0x00, 0x1f},     {0x7f, 0xa0},     {0xad, 0xad},     {0x600, 0x605},   {0x61c, 0x61c},   {0x6dd, 0x6dd},     {0x70f, 0x70f},
    {0x890, 0x891},   {0x8e2, 0x8e2},   {0x1680, 0x1680}, {0x180e, 0x180e}, {0x2000, 0x200f}, {0x2028, 0x202f},   {0x205f, 0x2064},
    {0x2066, 0x206f}, {0x3000, 0x3000}, {0xd800, 0xf8ff}, {0xfeff, 0xfeff}, {0xfff9, 0xfffb}, {0x110bd, 0x110bd}, {0x110cd, 0x110cd},
    {0x13430, 0x1343f}, {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a}, {0xe0001, 0xe0001}, {0xe0020, 0xe007f}, {0xf0000, 0x10ffff},
};

static bool is_printable(uint32_t c)
{
    for (size_t i = 0; i < sizeof unprintable / sizeof *unprintable; i++)
        if (c >= unprintable[i].first && c <= unprintable[i].last)
            return false;
    return true;
}

static uint32_t code_point(const char *at, size_t length)
{
    uint32_t c = (unsigned char)*at & (length == 1 ? 0x7fu : 0xffu >> (length + 1));
    for (size_t i = 1; i < length; i++)
        c = c << 6 | ((unsigned char)at[i] & 0x3f);
    return c;
}

static void escape_put(struct text *out, uint32_t c)
{
    if (c == '\n' || c == '\r' || c == '\t')
        text_printf(out, "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
    else if (c < 0x100)
        text_printf(out, "\\x%02x", c);
    else
        text_printf(out, c < 0x10000 ? "\\u%04x" : "\\U%08x", c);
}

/* An option as Python's repr() shows a string. */
static void repr_put(struct text *out, const char *option)
{
    char quote = strchr(option, '\'') && !strchr(option, '"') ? '"' : '\'';
    text_add(out, &quote, 1);
    for (size_t left = strlen(option), n; left; option += n, left -= n) {
        n = utf8_length(option, left);
        n = n ? n : 1; /* not from a manifest: they are UTF-8 */
        uint32_t c = code_point(option, n);
        text_put(out, *option == quote || *option == '\\' ? "\\" : "");
        if (is_printable(c))
            text_add(out, option, n);
        else
            escape_put(out, c);
    }
    text_add(out, &quote, 1);
}

/* The options as Python shows the list of them. */
static char *options_repr(const struct sample *sample, struct arena *arena)
{
    struct text text = {0};
    text_put(&text, "[");
    for (int i = 0; i < sample->n_options; i++) {
        text_put(&text, i ? ", " : "");
        repr_put(&text, sample->options[i]);
    }
    text_put(&text, "]");
    char *whole = text_take(&text), *kept = whole ? arena_strdup(arena, whole) : NULL;
    free(whole);
    return kept;
}

static char *options_of(const struct sample *sample, const struct prompting *how, struct arena *arena)
{
    return how->protocol->wording == WORDING_EARLY ? options_repr(sample, arena) : options_text(sample, NULL, NULL, "\n", arena);
}

/* The early releases have one form for all adapters. */
int videomme_prompt(struct prompt_text *out, const struct sample *sample, const struct prompting *how, struct arena *arena, struct err *err)
{
    enum wording wording = how->protocol->wording;
    const char *options = options_of(sample, how, arena), *first = wording == WORDING_OFFICIAL ? official_intro : intro;
    bool best = wording == WORDING_OFFICIAL || (wording != WORDING_EARLY && how->form == PROMPT_LLAVA_VID);
    const char *last = best ? "The best answer is:" : "\nAnswer with the option's letter from the given choices directly.";
    if (!options)
        return err_no_memory(err, "a prompt");
    return prompt_user(out, arena_printf(arena, "%s\n%s\n%s\n%s", first, sample->question, options, last), err);
}

static bool name_ends(const char *name, const char *ending)
{
    size_t n = strlen(name), m = strlen(ending);
    return n >= m && !strcmp(name + n - m, ending);
}

/* What is put for the subtitles. lmms-eval counts a video's frames under its name with .mp4, whatever else it was found under, and its
 * early releases in the wrong folder: no frames, no lines. */
static const char *subtitles_shown(const struct sample *sample, const struct prompting *how, struct arena *arena)
{
    const struct subtitles *subtitles = sample->subtitles;
    enum wording wording = how->protocol->wording;
    bool upstream = wording == WORDING_LMMS || wording == WORDING_EARLY;
    bool counted = wording != WORDING_EARLY && (!upstream || name_ends(how->video->path, ".mp4"));
    int n_shown = how->form == PROMPT_LLAVA_VID ? SUBTITLE_FRAMES_LLAVA_VID : SUBTITLE_FRAMES;
    if (!subtitles || subtitles->missing)
        return "No subtitles available";
    return subtitles_list(subtitles, how->header_fps, counted ? how->header_frames : 0, n_shown,
                          upstream ? SUBTITLES_BY_SET : SUBTITLES_BY_TIME, arena);
}

static int prompt_with_subtitles(struct prompt_text *out, const struct sample *sample, const struct prompting *how, struct arena *arena,
                                 struct err *err)
{
    bool official = how->protocol->wording == WORDING_OFFICIAL;
    const char *options = options_of(sample, how, arena), *lines = subtitles_shown(sample, how, arena);
    if (!options || !lines)
        return err_no_memory(err, "a prompt");
    return prompt_user(out, arena_printf(arena, "This video's subtitles are listed below:%s\n%s\n%s\n%s\n%s\nThe best answer is:",
                                         official ? "" : " ", lines, official ? official_intro : intro, sample->question, options), err);
}

/* ---- the released set ---------------------------------------------------------------------------------------------------- */

#define SUB_CATEGORY(name) {"sub_category", name, 90}

static const struct published_group groups[] = {
    {"task_type", "Temporal Perception", 55},
    {"task_type", "Spatial Perception", 54},
    {"task_type", "Attribute Perception", 222},
    {"task_type", "Action Recognition", 313},
    {"task_type", "Object Recognition", 354},
    {"task_type", "OCR Problems", 139},
    {"task_type", "Counting Problem", 268},
    {"task_type", "Temporal Reasoning", 177},
    {"task_type", "Spatial Reasoning", 56},
    {"task_type", "Action Reasoning", 285},
    {"task_type", "Object Reasoning", 454},
    {"task_type", "Information Synopsis", 323},
    {"duration", "short", 900},
    {"duration", "medium", 900},
    {"duration", "long", 900},
    {"domain", "Knowledge", 810},
    {"domain", "Film & Television", 360},
    {"domain", "Sports Competition", 450},
    {"domain", "Artistic Performance", 360},
    {"domain", "Life Record", 630},
    {"domain", "Multilingual", 90},
    SUB_CATEGORY("Humanity & History"), SUB_CATEGORY("Literature & Art"), SUB_CATEGORY("Biology & Medicine"),
    SUB_CATEGORY("Finance & Commerce"), SUB_CATEGORY("Astronomy"), SUB_CATEGORY("Geography"),
    SUB_CATEGORY("Law"), SUB_CATEGORY("Life Tip"), SUB_CATEGORY("Technology"),
    SUB_CATEGORY("Animation"), SUB_CATEGORY("Movie & TV Show"), SUB_CATEGORY("Documentary"),
    SUB_CATEGORY("News Report"), SUB_CATEGORY("Esports"), SUB_CATEGORY("Basketball"),
    SUB_CATEGORY("Football"), SUB_CATEGORY("Athletics"), SUB_CATEGORY("Other Sports"),
    SUB_CATEGORY("Stage Play"), SUB_CATEGORY("Magic Show"), SUB_CATEGORY("Variety Show"),
    SUB_CATEGORY("Acrobatics"), SUB_CATEGORY("Handicraft"), SUB_CATEGORY("Food"),
    SUB_CATEGORY("Fashion"), SUB_CATEGORY("Daily Life"), SUB_CATEGORY("Travel"),
    SUB_CATEGORY("Pet & Animal"), SUB_CATEGORY("Exercise"), SUB_CATEGORY("Multilingual"),
    {NULL, NULL, 0},
};

static const char *const files[] = {"videomme/test-*.parquet", "test-*.parquet", "*.parquet", NULL};
static const char *const hub[] = {"lmms-eval/Video-MME", "lmms-lab/Video-MME", NULL};
static const char *const homes[] = {"videomme/data", NULL};

const struct benchmark benchmark_videomme = {
    .name = "videomme",
    .summary = "Video-MME without subtitles: 2,700 questions on 900 videos of 11 seconds to an hour",
    .published_samples = 2700,
    .published_videos = 900,
    .groups = groups,
    .max_option_letters = 4,
    .files = files,
    .hub = hub,
    .hub_revision = "main",
    .homes = homes,
    .load = videomme_load,
    .prompt = videomme_prompt,
};

const struct benchmark benchmark_videomme_w_subtitle = {
    .name = "videomme_w_subtitle",
    .summary = "Video-MME with what is said at some of the frames, listed before the question",
    .published_samples = 2700,
    .published_videos = 900,
    .groups = groups,
    .max_option_letters = 4,
    .needs_header = true,
    .files = files,
    .hub = hub,
    .hub_revision = "main",
    .homes = homes,
    .load = videomme_load,
    .prompt = prompt_with_subtitles,
};
