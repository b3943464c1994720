/* Thumbnails: the decoder that runs use, then JPEG. */
#include "harness/thumbnails.h"

#include "core/base64.h"
#include "datasets/video.h"

#include <stdlib.h>

enum { SIDE = 168, QUANTISER = 6, SPREAD = 8 }; /* 168 = 14 x 12: the edges of the usual grid fall on pixels */

static int put_picture(struct text *out, const struct frames *frames, size_t i, struct err *err)
{
    uint8_t *jpeg = NULL;
    size_t n = 0;
    int rc = picture_encode(&jpeg, &n, frames->rgb + i * SIDE * SIDE * 3, SIDE, SIDE, QUANTISER, err);
    char *coded = rc ? NULL : malloc(base64_length(n) + 1);
    if (coded) {
        base64_encode(coded, jpeg, n);
        text_printf(out, "%s[%u,%.3f,\"%.*s\"]", i ? "," : "", frames->index[i], frames->time_s[i], (int)base64_length(n), coded);
    } else if (!rc) {
        rc = err_no_memory(err, "a thumbnail");
    }
    free(coded);
    free(jpeg);
    return rc;
}

int thumbnails(void *context, const struct video_ref *ref, const uint32_t *index, size_t n, struct text *out, struct err *err)
{
    (void)context;
    struct video *video = NULL;
    struct frames frames = {0};
    uint32_t spread[SPREAD], first, last;
    size_t replaced;
    int rc = video_open(&video, ref, 1, err);
    if (!rc && !n) {
        clip_range(video_facts(video), ref, &first, &last);
        n = frame_indices(FRAMES_UNIFORM, video_facts(video)->n_frames, video_facts(video)->fps, first, last, SPREAD, spread);
        size_t distinct = 0;
        for (size_t i = 0; i < n; i++)
            if (!i || spread[i] != spread[i - 1])
                spread[distinct++] = spread[i];
        index = spread;
        n = distinct;
    }
    if (!rc)
        rc = video_read(video, index, n, SIDE, &frames, &replaced, err);
    for (size_t i = 0; i < n && !rc; i++)
        rc = put_picture(out, &frames, i, err);
    frames_free(&frames);
    video_close(video);
    return rc;
}
