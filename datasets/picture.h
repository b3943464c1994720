/* Pictures: one decoded AVFrame -> upright RGB24 of the size that is asked for. Inside datasets/ only. */
#ifndef TOKSWEEP_DATASETS_PICTURE_H
#define TOKSWEEP_DATASETS_PICTURE_H

#include "core/err.h"

#include <libavutil/frame.h>
#include <stdbool.h>
#include <stdint.h>

enum { PICTURE_MOST_PIXELS = 1 << 27 }; /* so that a few bytes from a stranger cannot ask for all memory */

/* Scratch memory and tables for a run of pictures; one thread. Zero-initialise. */
struct painter {
    int rotation;         /* clockwise degrees to apply: 0, 90, 180, 270 */
    bool from_files;      /* pictures are files of their own: JPEG colours are Pillow's instead of decord's */
    int side;             /* > 0: resize to side x side */
    int width, height;    /* side == 0: the size every picture must have, as shown */
    double resize_ms;     /* spent so far */
    struct SwsContext *sws;
    uint8_t *rgb, *upright;
    size_t rgb_bytes, upright_bytes;
};

/* Writes the picture to dst: [side][side][3], or [height][width][3]. ERR_DATA says why a picture cannot be shown. */
int painter_paint(struct painter *painter, const AVFrame *frame, uint8_t *dst, struct err *err);
void painter_free(struct painter *painter);

/* Decodes a PNG or JPEG file that is in memory; `name` is for messages. */
int picture_file_read(const char *bytes, size_t n, const char *name, AVFrame *frame, struct err *err);

/* JPEG colours as libjpeg gives them to Pillow: 4:2:0, 4:2:2 and 4:4:4 in YCbCr. */
bool jpeg_can_convert(const AVFrame *frame);
int jpeg_convert(const AVFrame *frame, uint8_t *rgb, struct err *err);


#endif
