/* Videos: from a file or a folder of pictures to frames, exactly the ones asked for (models.md 5).
 *
 * Frame k is the frame with the k-th smallest presentation time among the packets of the best video stream (decord's rule: the
 * count is of packets, found by reading the container, never the header's). Rotation metadata is applied; pixels are RGB24 at
 * coded size, converted with the frame's own matrix and range (unspecified: BT.601 limited, as decord's filter graph does).
 * A video is used by one thread at a time. */
#ifndef TOKSWEEP_DATASETS_VIDEO_H
#define TOKSWEEP_DATASETS_VIDEO_H

#include "core/err.h"
#include "core/frames.h"
#include "core/profile.h"
#include "core/sample.h"

#include <stddef.h>
#include <stdint.h>

struct video;

struct video_facts {
    int width, height;      /* as shown, rotation applied */
    uint32_t n_frames;      /* N: packets of the stream, or pictures of the folder */
    double fps;             /* average frame rate; folder_fps for folders */
    double duration_s;      /* n_frames / fps */
    int rotation;           /* degrees clockwise that were applied: 0, 90, 180, 270 */
};

/* Reads the container, decodes nothing. ERR_IO: no such file; ERR_DATA: not a video, no video stream, no packets; the text names
 * the path. `threads` is for decoding later. */
int video_open(struct video **out, const struct video_ref *ref, int threads, struct err *err);
void video_close(struct video *video); /* NULL is fine */
const struct video_facts *video_facts(const struct video *video);

/* Indices for `most` frames by `rule`, not yet de-duplicated, ascending: out[0..n), out holds `most`. Pure: no video needed.
 * n_frames >= 1; first and last bound the range for clips (0 and n_frames - 1 for whole videos). fps 0 or NaN counts as 1.
 * Returns how many indices: `most`, or fewer under FRAMES_1FPS. */
size_t frame_indices(enum frame_rule rule, uint32_t n_frames, double fps, uint32_t first, uint32_t last, size_t most, uint32_t *out);

/* The range of frames of a clip: MVBench's rule, first = round(start*fps), last = min(round(end*fps), N-1), ties to even. */
void clip_range(const struct video_facts *facts, const struct video_ref *ref, uint32_t *first, uint32_t *last);

/* Decodes the frames with the given indices (ascending, each once, < n_frames) in one forward pass, skipping what nobody needs
 * and seeking where that saves decoding, and resizes each to side x side (PIL bicubic, bit-exact; side 0 keeps the size).
 * A frame that the file promises but does not hold is replaced by the last decoded one only when it is past the end of what can
 * be decoded and at least one frame was decoded (decord's rule); *n_replaced counts those. ERR_DATA when nothing can be decoded
 * or a frame in the middle fails. On success the caller owns `out`. */
int video_read(struct video *video, const uint32_t *index, size_t n, int side, struct frames *out, size_t *n_replaced, struct err *err);

/* RGB24 -> RGB24, Pillow's bicubic with antialiasing, bit-exact (models.md 2.6). src [h][w][3] -> dst [oh][ow][3].
 * ERR_MEMORY only. */
int resize_bicubic(const uint8_t *src, int w, int h, uint8_t *dst, int ow, int oh, struct err *err);

#endif
