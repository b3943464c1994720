/* The HTML report, second step: frames and token groups, as much as there is room for. Videos on which cells disagree go first: they are
 * what is looked at. */
#include "plots/report_impl.h"

#include "core/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_FRAMES = 1024 };

struct candidate { size_t manifest, video, contested; }; /* contested: questions that some cells have right and others wrong */

/* ---- order ----------------------------------------------------------------------------------------------------------------- */

static int by_contest(const void *a, const void *b)
{
    const struct candidate *p = a, *q = b;
    if (p->contested != q->contested)
        return p->contested < q->contested ? 1 : -1;
    if (p->manifest != q->manifest)
        return p->manifest < q->manifest ? -1 : 1;
    return (p->video > q->video) - (p->video < q->video);
}

static int by_video(const void *a, const void *b)
{
    const struct wanted_groups *p = a, *q = b;
    if (p->manifest != q->manifest)
        return p->manifest < q->manifest ? -1 : 1;
    if (p->video != q->video)
        return p->video < q->video ? -1 : 1;
    return (p->digest > q->digest) - (p->digest < q->digest);
}

/* All videos of all manifests, in the order in which they get room. NULL when memory is out. */
static struct candidate *list_videos(const struct report *report, size_t *n)
{
    *n = 0;
    for (size_t m = 0; m < report->known.n; m++)
        *n += report->pictured[m].manifest.n_videos;
    struct candidate *videos = calloc(*n + 1, sizeof *videos), *first = videos;
    for (size_t m = 0; m < report->known.n && videos; m++) {
        const struct pictured *pictured = &report->pictured[m];
        for (size_t v = 0; v < pictured->manifest.n_videos; v++)
            first[v] = (struct candidate){m, v, 0};
        for (size_t i = 0; i < pictured->manifest.n_samples; i++)
            first[pictured->manifest.samples[i].video].contested += pictured->seen[i] == 3;
        first += pictured->manifest.n_videos;
    }
    if (videos)
        qsort(videos, *n, sizeof *videos, by_contest);
    return videos;
}

/* ---- one video ------------------------------------------------------------------------------------------------------------- */

struct indices { uint32_t index[MOST_FRAMES]; size_t n; };

static int by_value(const void *a, const void *b)
{
    const uint32_t *p = a, *q = b;
    return (*p > *q) - (*p < *q);
}

/* Adds the frames of some groups, as they are kept: a JSON array. */
static int add_frames(struct indices *all, const char *frames, struct err *err)
{
    struct json *array;
    int64_t index;
    int rc = json_parse(&array, frames, strlen(frames), "frames of token groups", err);
    if (rc)
        return rc;
    for (const struct json *one = json_first(array); one && all->n < MOST_FRAMES; one = json_next(one))
        if (json_integer(one, 0, UINT32_MAX, &index))
            all->index[all->n++] = (uint32_t)index;
    json_free(array);
    return 0;
}

static void sort_out(struct indices *all)
{
    size_t n = 0;
    qsort(all->index, all->n, sizeof *all->index, by_value);
    for (size_t i = 0; i < all->n; i++)
        if (!i || all->index[i] != all->index[i - 1])
            all->index[n++] = all->index[i];
    all->n = n;
}

/* Appends "digest number": groups for those of a video that were kept, and collects their frames. */
static int put_groups_of(struct text *out, struct report *report, const struct candidate *video, struct indices *frames, struct err *err)
{
    struct wanted_groups key = {video->manifest, video->video, 0};
    struct arena arena = {0};
    int rc = 0;
    size_t low = 0, high = report->n_wanted;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (by_video(&report->wanted[middle], &key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < report->n_wanted && !rc; low++) {
        const struct wanted_groups *one = &report->wanted[low];
        struct answer_groups groups;
        bool found = false;
        if (one->manifest != video->manifest || one->video != video->video)
            break;
        if (low && by_video(one, one - 1) == 0)
            continue;
        rc = store_get_groups(report->store, report->digests.all[one->digest], &arena, &groups, &found, err);
        if (rc || !found || (rc = add_frames(frames, groups.frames, err)))
            continue;
        text_printf(out, "%s\n\"%zu\":{\"frames\":%s,\"h\":%d,\"w\":%d,\"map\":", out->length ? "," : "", one->digest, groups.frames,
                    groups.h, groups.w);
        json_put_text(out, groups.map);
        text_put(out, "}");
    }
    arena_free(&arena);
    sort_out(frames);
    return rc;
}

/* ---- all of them ----------------------------------------------------------------------------------------------------------- */

static int put_video(struct text *groups, struct text *videos, struct report *report, const struct candidate *video, struct err *err)
{
    const struct report_options *options = report->options;
    const struct video_ref *ref = &report->pictured[video->manifest].manifest.videos[video->video];
    struct indices frames = {.n = 0};
    struct text pictures = {0};
    struct err missing = {0};
    int rc = put_groups_of(groups, report, video, &frames, err);
    if (!rc && !ref->missing && options->frames(options->frames_context, ref, frames.index, frames.n, &pictures, &missing) == 0) {
        text_printf(videos, "%s\n\"%zu/%zu\":[", videos->length ? "," : "", video->manifest, video->video);
        text_add(videos, pictures.bytes ? pictures.bytes : "", pictures.length);
        text_put(videos, "]");
        report->counts->videos++;
    } else {
        report->counts->videos_left++;
    }
    text_free(&pictures);
    return rc;
}

int report_pictures(struct text *out, struct report *report, struct err *err)
{
    struct text groups = {0}, videos = {0};
    size_t n = 0;
    if (!report->options->frames) {
        text_put(out, "{}");
        return 0;
    }
    struct candidate *all = list_videos(report, &n);
    int rc = all ? 0 : err_no_memory(err, "a report");
    if (report->n_wanted)
        qsort(report->wanted, report->n_wanted, sizeof *report->wanted, by_video);
    for (size_t i = 0; i < n && !rc; i++) {
        if (groups.length + videos.length < report->options->most_bytes)
            rc = put_video(&groups, &videos, report, &all[i], err);
        else
            report->counts->videos_left++;
    }
    text_printf(out, "{\"groups\":{%s},", groups.length ? groups.bytes : "");
    text_put(out, "\"videos\":{");
    text_add(out, videos.length ? videos.bytes : "", videos.length);
    text_put(out, "}}");
    out->failed |= groups.failed || videos.failed;
    text_free(&groups);
    text_free(&videos);
    free(all);
    return rc;
}
