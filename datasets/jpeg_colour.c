/* Colours of JPEG pictures, as libjpeg gives them to Pillow (frames, second half, for folders of pictures).
 *
 * Scripts that read folders open them with Pillow, whose libjpeg smooths subsampled chroma with a triangle filter; video converters
 * repeat it. On busy pictures the two differ by many grey levels, so the filter is written out here: 3/4 of the nearer sample and 1/4
 * of the further one, per axis, with libjpeg's alternating rounding, and its 16-bit matrix. */
#include "datasets/picture.h"

#include <stdlib.h>

enum { CHANNELS = 3 };

struct plane {
    const uint8_t *samples;
    ptrdiff_t stride;
    int width, height;      /* in samples */
    bool halved_x, halved_y;
};

static struct plane plane_of(const AVFrame *frame, int i, bool halved_x, bool halved_y)
{
    return (struct plane){
        .samples = frame->data[i], .stride = frame->linesize[i],
        .width = halved_x ? (frame->width + 1) / 2 : frame->width,
        .height = halved_y ? (frame->height + 1) / 2 : frame->height,
        .halved_x = halved_x, .halved_y = halved_y,
    };
}

/* Row y of the picture out of the plane's rows, times 4 where rows are halved. */
static void blend_rows(const struct plane *plane, int y, int *restrict row)
{
    int near = plane->halved_y ? y / 2 : y, far = near + (y % 2 ? 1 : -1);
    far = far < 0 ? 0 : far < plane->height ? far : plane->height - 1;
    const uint8_t *a = plane->samples + near * plane->stride, *b = plane->samples + far * plane->stride;
    for (int x = 0; x < plane->width; x++)
        row[x] = plane->halved_y ? 3 * a[x] + b[x] : a[x];
}

/* A row of chroma at the picture's width: `row` holds samples times 4 where rows are halved. Columns add another factor of 4. */
static void blend_columns(const struct plane *plane, const int *restrict row, int width, uint8_t *restrict out)
{
    int shift = plane->halved_y ? 4 : 2, even = plane->halved_y ? 8 : 1, odd = plane->halved_y ? 7 : 2;
    for (int x = 0; x < width; x++) {
        int near = x / 2, far = near + (x % 2 ? 1 : -1);
        far = far < 0 ? 0 : far < plane->width ? far : plane->width - 1;
        out[x] = (uint8_t)((3 * row[near] + row[far] + (x % 2 ? odd : even)) >> shift);
    }
}

static void chroma_row(const struct plane *plane, int y, int width, int *restrict row, uint8_t *restrict out)
{
    blend_rows(plane, y, row);
    if (plane->halved_x)
        blend_columns(plane, row, width, out);
    else
        for (int x = 0; x < width; x++)
            out[x] = (uint8_t)row[x];
}

static uint8_t to_level(int value)
{
    return (uint8_t)(value < 0 ? 0 : value > UINT8_MAX ? UINT8_MAX : value);
}

static void convert_row(const uint8_t *y, const uint8_t *u, const uint8_t *v, int width, uint8_t *restrict rgb)
{
    const int half = 1 << 15, v_red = 91881, u_blue = 116130, u_green = 22554, v_green = 46802; /* of 65536 */
    for (int x = 0; x < width; x++) {
        int cb = u[x] - 128, cr = v[x] - 128;
        rgb[x * CHANNELS] = to_level(y[x] + ((v_red * cr + half) >> 16));
        rgb[x * CHANNELS + 1] = to_level(y[x] + ((half - u_green * cb - v_green * cr) >> 16));
        rgb[x * CHANNELS + 2] = to_level(y[x] + ((u_blue * cb + half) >> 16));
    }
}

bool jpeg_can_convert(const AVFrame *frame)
{
    return frame->format == AV_PIX_FMT_YUVJ420P || frame->format == AV_PIX_FMT_YUVJ422P || frame->format == AV_PIX_FMT_YUVJ444P;
}

int jpeg_convert(const AVFrame *frame, uint8_t *rgb, struct err *err)
{
    bool halved_x = frame->format != AV_PIX_FMT_YUVJ444P, halved_y = frame->format == AV_PIX_FMT_YUVJ420P;
    struct plane u = plane_of(frame, 1, halved_x, halved_y), v = plane_of(frame, 2, halved_x, halved_y);
    size_t width = (size_t)frame->width;
    int *row = malloc(width * sizeof *row);
    uint8_t *chroma = malloc(2 * width);
    int rc = row && chroma ? 0 : err_no_memory(err, "a row of a picture");
    for (int y = 0; rc == 0 && y < frame->height; y++) {
        chroma_row(&u, y, frame->width, row, chroma);
        chroma_row(&v, y, frame->width, row, chroma + width);
        convert_row(frame->data[0] + (ptrdiff_t)y * frame->linesize[0], chroma, chroma + width, frame->width,
                    rgb + (size_t)y * width * CHANNELS);
    }
    free(chroma);
    free(row);
    return rc;
}
