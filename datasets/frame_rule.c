/* Frame rules: from a video's length and rate to the frames that are shown (manifest -> frames, first half).
 *
 * Published numbers depend on every index, so each rule does its arithmetic in the order and in the precision of the scripts that
 * made them: doubles, one multiplication by a rounded step, halves to even. Exact integer formulas pick other frames. */
#include "datasets/video.h"

#include <math.h>

/* numpy.linspace(first, last, most, dtype=int): the rounded step is multiplied, never added up, and the end is set exactly. */
static size_t indices_uniform(uint32_t first, uint32_t last, size_t most, uint32_t *out)
{
    double step = most > 1 ? (double)(last - first) / (double)(most - 1) : 0;
    for (size_t i = 0; i < most; i++)
        out[i] = (uint32_t)floor((double)i * step + (double)first);
    if (most > 1)
        out[most - 1] = last;
    return most;
}

/* A rate below one frame in two seconds rounds to stride 0, which ends the original script: every frame is meant. */
static uint64_t stride_of(double fps)
{
    double stride = rint(fps);
    if (stride < 1)
        return 1;
    return stride < UINT32_MAX ? (uint64_t)stride : UINT32_MAX;
}

static size_t indices_1fps(uint32_t first, uint32_t last, double fps, size_t most, uint32_t *out)
{
    uint64_t stride = stride_of(fps);
    uint64_t n = (last - first) / stride + 1;
    if (n > most)
        return indices_uniform(first, last, most, out);
    for (size_t i = 0; i < n; i++)
        out[i] = first + (uint32_t)(i * stride);
    return (size_t)n;
}

static size_t indices_centre(uint32_t first, uint32_t last, size_t most, uint32_t *out)
{
    double segment = (double)(last - first) / (double)most;
    for (size_t i = 0; i < most; i++) {
        uint32_t index = (uint32_t)((double)first + segment / 2 + rint(segment * (double)i));
        out[i] = index < last ? index : last;
    }
    return most;
}

static double known_rate(double fps)
{
    return fps > 0 ? fps : 1;
}

size_t frame_indices(enum frame_rule rule, uint32_t n_frames, double fps, uint32_t first, uint32_t last, size_t most, uint32_t *out)
{
    last = last < n_frames ? last : n_frames - 1;
    first = first < last ? first : last;
    if (most == 0)
        return 0;
    switch (rule) {
    case FRAMES_1FPS:
        return indices_1fps(first, last, known_rate(fps), most, out);
    case FRAMES_CENTRE:
        return indices_centre(first, last, most, out);
    case FRAMES_UNIFORM:
        break;
    }
    return indices_uniform(first, last, most, out);
}

/* round(seconds * fps), ties to even, as a number of frames that fits `most`. */
static uint32_t frames_until(double seconds, double fps, uint32_t most)
{
    double frames = rint(seconds * fps);
    if (!(frames > 0))
        return 0;
    return frames < most ? (uint32_t)frames : most;
}

void clip_range(const struct video_facts *facts, const struct video_ref *ref, uint32_t *first, uint32_t *last)
{
    *first = 0;
    *last = facts->n_frames - 1;
    if (!(ref->start_s >= 0))
        return;
    double fps = known_rate(facts->fps);
    if (ref->is_folder) { /* pictures are numbered from 1: the original counts in those numbers */
        uint32_t start = frames_until(ref->start_s, fps, facts->n_frames), end = frames_until(ref->end_s, fps, facts->n_frames);
        *first = start > 0 ? start - 1 : 0;
        *last = end > 0 ? end - 1 : 0;
    } else {
        *first = frames_until(ref->start_s, fps, *last);
        *last = frames_until(ref->end_s, fps, *last);
    }
    if (*last < *first)
        *last = *first;
}
