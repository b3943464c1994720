/* Clips for tests: short videos rendered here, so that no test needs a file from outside.
 *
 * By default every frame carries its own number as a grid of black and white blocks that survives lossy coding and resizing;
 * clip_number() reads it back from pixels. Integer arithmetic and bit-exact coding: the same libraries give the same bytes. */
#ifndef TOKSWEEP_TESTS_CLIP_H
#define TOKSWEEP_TESTS_CLIP_H

#include "core/err.h"

#include <stdbool.h>
#include <stdint.h>

enum clip_codec {
    CLIP_MPEG4, /* lossy, with B-frames if asked for */
    CLIP_MJPEG, /* lossy, full range, every frame stands alone and may have its own size */
    CLIP_FFV1,  /* lossless, keeps colour tags in mkv */
    CLIP_PNG,   /* lossless RGB, for pictures */
};

/* What to render. Zero means the default in brackets. The container follows from the path's ending: mp4, mov, mkv, avi, ts; a path
 * such as "%05d.jpg" or "%05d.png" gives one picture per frame, numbered from 1. */
struct clip {
    int width, height;      /* [160 x 120] as coded, before rotation */
    int fps;                /* [25] */
    int n_frames;           /* 0: no packet of video at all */
    enum clip_codec codec;
    int gop;                /* [12] frames from one key frame to the next */
    int b_frames;           /* between two others */
    int quantiser;          /* [3] of MPEG-4 and MJPEG: 1 is the finest */
    int rotation;           /* clockwise degrees a player has to apply */
    int n_hidden;           /* the first frames lie before time 0: mp4 hides them by an edit list */
    bool varying;           /* frame i lasts 1, 2 or 3 ticks of 1/fps */
    bool index_first;       /* mp4: the index stands at the beginning, so that a cut file can be opened */
    bool ten_bits;          /* FFV1: yuv420p10 */
    bool full_range;        /* FFV1: tagged and meant so */
    int matrix;             /* FFV1: AVCOL_SPC_*, [unspecified] */
    int late_width, late_height; /* MJPEG: size of the second half */

    /* Paints frame i, [height][width][3]. NULL: the number. */
    void (*paint)(uint8_t *rgb, int width, int height, int i, void *context);
    void *context;
};

int clip_render(const char *path, const struct clip *clip, struct err *err);

/* A file with sound and no picture. */
int clip_render_sound(const char *path, struct err *err);

/* The number that the default painter wrote into an upright picture of any size from 16 x 16; -1 when it is not legible. */
int clip_number(const uint8_t *rgb, int width, int height);

/* One flat colour: context points to 3 bytes. */
void clip_paint_flat(uint8_t *rgb, int width, int height, int i, void *context);

#endif
