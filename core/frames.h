/* Frames: decoded pictures of one video, ready for a vision tower. */
#ifndef TOKSWEEP_CORE_FRAMES_H
#define TOKSWEEP_CORE_FRAMES_H

#include <stddef.h>
#include <stdint.h>

/* Pictures of one video, each index once, ascending. Owned by whoever holds the struct; frames_free() gives it back. */
struct frames {
    int width, height;      /* of every picture, in pixels */
    size_t n;
    uint32_t *index;        /* [n] presentation rank in the video, or place in the folder */
    double *time_s;         /* [n] presentation time, seconds from the first frame */
    uint8_t *rgb;           /* [n][height][width][3] */
    double decode_ms;       /* spent on reading, decoding and colour conversion: a sum over threads */
    double resize_ms;       /* spent on resizing, likewise */
};

void frames_free(struct frames *frames);

#endif
