/* Samples logs on any bytes: read, held against a manifest, written out as an export does, and read again: the replies are the same. */
#include "core/json.h"
#include "results/export.h"
#include "results/log_match.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

enum { ROWS = 16 };

static const char *const letters[] = {"A. red", "B. blue", "C. green"};
static struct video_ref video = {.id = "v"};
static struct sample samples[ROWS];
static struct manifest manifest = {.benchmark = "videomme", .path = "m.json", .videos = &video, .n_videos = 1, .samples = samples,
                                   .n_samples = ROWS};

static void manifest_make(void)
{
    for (size_t i = 0; i < ROWS; i++)
        samples[i] = (struct sample){.id = "v", .row = i, .question = "?", .options = letters, .n_options = 3, .answer = -1};
}

static void record_check(const struct logged *entry)
{
    struct json *record;
    struct err err = {0};
    if (json_parse(&record, entry->record, strlen(entry->record), "record", &err) || json_type(record) != JSON_OBJECT)
        abort();
    json_free(record);
}

static void again_check(const struct logged **entries)
{
    struct stored_answer answers[ROWS] = {0};
    struct export_reply replies[ROWS] = {0};
    struct protocol protocol = {.benchmark = "videomme"};
    struct stored_cell cell = {.model = "m", .manifest = manifest, .answers = answers};
    struct text out = {0};
    struct sample_log log;
    struct err err = {0};
    for (size_t i = 0; i < ROWS; i++) {
        const char *reply = entries[i] ? entries[i]->reply : NULL;
        replies[i] = (struct export_reply){reply, reply, reply, entries[i] ? entries[i]->input : NULL};
        answers[i] = (struct stored_answer){.id = entries[i] != NULL, .answer = {.raw = reply}, .record = entries[i] ? entries[i]->record : NULL};
    }
    if (export_format_find("lmms-eval-samples")->write(&out, &(struct export_source){&cell, &protocol, replies}, "videomme", &err) ||
        sample_log_parse(&log, out.bytes, out.length, "again", &err))
        abort();
    for (size_t e = 0; e < log.n_entries; e++) {
        const struct logged *before = entries[log.entries[e].doc_id], *now = &log.entries[e];
        if (strcmp(before->reply, now->reply) || !before->input != !now->input || (now->input && strcmp(before->input, now->input)))
            abort();
    }
    sample_log_free(&log);
    text_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    const struct logged *entries[ROWS];
    struct sample_log log;
    struct err err = {0};
    char *text = malloc(length + 1); /* with the NUL that the reader may rely on, and not a byte more */
    if (!text)
        return 0;
    memcpy(text, bytes, length);
    text[length] = 0;
    manifest_make();
    int rc = sample_log_parse(&log, text, length, "s_samples_videomme.jsonl", &err);
    free(text);
    if (rc)
        return 0;
    for (size_t e = 0; e < log.n_entries; e++)
        record_check(&log.entries[e]);
    if (!log_match(entries, &manifest, &log, 1, &err))
        again_check(entries);
    sample_log_free(&log);
    return 0;
}
