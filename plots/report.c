/* The HTML report, last step: template, style, script and data become one file. */
#include "plots/report_impl.h"

#include "core/base64.h"
#include "core/digest.h"
#include "core/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- writing --------------------------------------------------------------------------------------------------------------- */

/* The digest of a script as a Content-Security-Policy has it: base64 of its 32 bytes. */
static void put_script_hash(struct text *out, const char *script)
{
    char hex[DIGEST_HEX], pair[3] = "";
    uint8_t bytes[DIGEST_HEX / 2];
    char coded[4 * ((sizeof bytes + 2) / 3)];
    digest_of(script, strlen(script), hex);
    for (size_t i = 0; i < sizeof bytes; i++) {
        memcpy(pair, hex + 2 * i, 2);
        bytes[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    base64_encode(coded, bytes, sizeof bytes);
    text_add(out, coded, sizeof coded);
}

static void put_html(struct text *out, const char *string)
{
    for (; *string; string++)
        if (strchr("<>&\"'", *string))
            text_printf(out, "&#%d;", *string);
        else
            text_add(out, string, 1);
}

struct part { const char *name; struct text text; };

/* Fills the template's @NAME@s. */
static void put_page(struct text *out, const struct part *parts, size_t n)
{
    const char *at = report_page, *mark;
    while ((mark = strchr(at, '@'))) {
        text_add(out, at, (size_t)(mark - at));
        const char *end = strchr(mark + 1, '@');
        for (size_t i = 0; i < n; i++)
            if (!strncmp(parts[i].name, mark + 1, (size_t)(end - mark - 1)))
                text_add(out, parts[i].text.bytes ? parts[i].text.bytes : "", parts[i].text.length);
        at = end + 1;
    }
    text_put(out, at);
}

static void report_free(struct report *report)
{
    for (size_t i = 0; i < report->known.n; i++) {
        arena_free(&report->pictured[i].manifest.arena);
        free(report->pictured[i].seen);
    }
    free(report->pictured);
    free(report->wanted);
    text_free(&report->cells);
    text_free(&report->manifests);
    texts_free(&report->replies);
    texts_free(&report->known);
    texts_free(&report->digests);
}

int report_write(struct store *store, const struct report_options *options, struct report_counts *out, struct err *err)
{
    enum { TITLE, STYLE, SCRIPT, HASH, DATA, PICTURES, PARTS };
    struct part parts[PARTS] = {{"TITLE", {0}}, {"STYLE", {0}}, {"SCRIPT", {0}}, {"HASH", {0}}, {"DATA", {0}}, {"PICTURES", {0}}};
    struct text page = {0};
    struct report report = {.store = store, .options = options, .counts = out};
    *out = (struct report_counts){0};
    put_html(&parts[TITLE].text, options->title ? options->title : options->store);
    text_put(&parts[STYLE].text, report_style);
    text_put(&parts[SCRIPT].text, report_script);
    put_script_hash(&parts[HASH].text, report_script);
    int rc = report_data(&parts[DATA].text, &report, err);
    if (!rc)
        rc = report_pictures(&parts[PICTURES].text, &report, err);
    report_free(&report);
    bool failed = false;
    if (!rc)
        put_page(&page, parts, PARTS);
    for (size_t i = 0; i < PARTS; i++) {
        failed |= parts[i].text.failed;
        text_free(&parts[i].text);
    }
    if (!rc && (failed || page.failed))
        rc = err_no_memory(err, "a report");
    if (!rc)
        rc = file_save(options->out, page.bytes, page.length, err);
    out->bytes = page.length;
    text_free(&page);
    return rc;
}
