/* Videos: from a file or a folder of pictures to frames, exactly the ones asked for.
 *
 * Frame k is the frame with the k-th smallest presentation time among the packets of the best video stream (decord's rule: the
 * count is of packets, found by reading the container, never the header's); where the container gives no complete and distinct
 * times, the k-th frame that the decoder gives out. Rotation metadata is applied, aspect ratios are not; pixels are RGB24,
 * converted with the frame's own matrix and range (unspecified: BT.601 limited), bit for bit those of decord's wheels.
 * A folder's pictures are its jpg and png files in the order of their names' bytes; their colours are Pillow's, within 3 levels.
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

/* Reads the container, decodes nothing (of a folder: the first picture, for its size). ERR_IO: no such file; ERR_DATA: not a video,
 * no video stream, no packets; the text names the path. ERR_LIBRARY: FFmpeg's libraries, which the first call opens, are not here: no other
 * video can be read either. `threads` is for decoding later. */
int video_open(struct video **out, const struct video_ref *ref, int threads, struct err *err);
void video_close(struct video *video); /* NULL is fine */
const struct video_facts *video_facts(const struct video *video);

/* Rate and number of frames as the header of a file gives them, which is what OpenCV says of it (CAP_PROP_FPS, CAP_PROP_FRAME_COUNT);
 * frames are not counted, and the numbers need not be those of video_facts(). Errors as video_open(). */
int video_header(const char *path, double *fps, int64_t *n_frames, struct err *err);

/* Indices for `most` frames by `rule`, not yet de-duplicated, ascending: out[0..n), out holds `most`. Pure: no video needed.
 * n_frames >= 1; first and last bound the range for clips (0 and n_frames - 1 for whole videos). fps 0 or NaN counts as 1.
 * Returns how many indices: `most`, or fewer under FRAMES_1FPS. */
size_t frame_indices(enum frame_rule rule, uint32_t n_frames, double fps, uint32_t first, uint32_t last, size_t most, uint32_t *out);

/* The range of frames of a clip: MVBench's rule, first = round(start*fps), last = min(round(end*fps), N-1), ties to even; in folders,
 * whose pictures are numbered from 1, both are one less. Where nothing is left of a clip, its start is clamped to the last frame. */
void clip_range(const struct video_facts *facts, const struct video_ref *ref, uint32_t *first, uint32_t *last);

/* Decodes the frames with the given indices (ascending, each once, < n_frames) in one forward pass, skipping what nobody needs
 * and seeking where that saves decoding, and resizes each to side x side (PIL bicubic, bit-exact; side 0 keeps the size). The
 * pictures do not depend on the other indices, on threads or on the way they were reached.
 * A frame that is promised but not shown (outside the edit list, for reference only, cut off at the end of the file) is replaced by
 * the next one that is shown, and at the end by the last one, as decord does; *n_replaced counts those. ERR_DATA when nothing can
 * be decoded, when a frame in the middle is damaged, or with side 0 when the size changes on the way. On success the caller owns
 * `out`; on failure it is empty. */
int video_read(struct video *video, const uint32_t *index, size_t n, int side, struct frames *out, size_t *n_replaced, struct err *err);

/* RGB24 -> RGB24, Pillow's bicubic with antialiasing, bit-exact. src [h][w][3] -> dst [oh][ow][3].
 * ERR_MEMORY only. */
int resize_bicubic(const uint8_t *src, int w, int h, uint8_t *dst, int ow, int oh, struct err *err);

/* ---- single pictures ----------------------------------------------------------------------------------------------------- */

/* A PNG or JPEG file in memory -> RGB24 [side][side][3], as a picture of a folder is read. `name` is for messages. ERR_DATA,
 * and here and below ERR_LIBRARY as above. */
int picture_decode(const char *bytes, size_t n, const char *name, int side, uint8_t *rgb, struct err *err);

/* RGB24 [h][w][3] -> a picture file in malloc'ed memory: PNG, which loses nothing, when jpeg_quantiser is 0; else JPEG with FFmpeg's
 * quantiser, 1 (finest) to 31. */
int picture_encode(uint8_t **out, size_t *n, const uint8_t *rgb, int w, int h, int jpeg_quantiser, struct err *err);

#endif
