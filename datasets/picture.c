/* Pictures: colour conversion, rotation, resize (frames, second half).
 *
 * Pixels are those of decord, whose published wheels convert with swscale's defaults. For 8-bit 4:2:0 and 4:2:2 that is a special
 * converter (nearest chroma, products cut to 13 bits) which exists in several versions per processor; it is written out here in
 * integers, so that the bits do not depend on the processor or on the FFmpeg build. All else takes swscale's general path, which
 * has one version for RGB24. */
#include "datasets/picture.h"

#include "core/clock.h"
#include "datasets/ffmpeg.h"
#include "datasets/video.h"

#include <stdlib.h>
#include <string.h>

enum { CHANNELS = 3 };

void painter_free(struct painter *painter)
{
    ff.sws_freeContext(painter->sws);
    free(painter->rgb);
    free(painter->upright);
    *painter = (struct painter){0};
}

static int grow(uint8_t **buffer, size_t *have, size_t want, struct err *err)
{
    if (want <= *have)
        return 0;
    free(*buffer);
    *buffer = malloc(want);
    *have = *buffer ? want : 0;
    return *buffer ? 0 : err_no_memory(err, "a decoded picture");
}

/* The yuvj formats are their yuv twins with the range in the name. */
static enum AVPixelFormat plain_format(enum AVPixelFormat format, bool *full_range)
{
    static const enum AVPixelFormat twins[][2] = {
        {AV_PIX_FMT_YUVJ420P, AV_PIX_FMT_YUV420P}, {AV_PIX_FMT_YUVJ422P, AV_PIX_FMT_YUV422P},
        {AV_PIX_FMT_YUVJ444P, AV_PIX_FMT_YUV444P}, {AV_PIX_FMT_YUVJ440P, AV_PIX_FMT_YUV440P},
        {AV_PIX_FMT_YUVJ411P, AV_PIX_FMT_YUV411P},
    };
    for (size_t i = 0; i < sizeof twins / sizeof *twins; i++)
        if (twins[i][0] == format) {
            *full_range = true;
            return twins[i][1];
        }
    return format;
}

/* swscale's table of matrices by colour space, NULL for one that it does not have (and would take for BT.601). */
static const int *matrix_of(const AVFrame *frame)
{
    switch (frame->colorspace) {
    case AVCOL_SPC_YCGCO:
    case AVCOL_SPC_SMPTE2085:
    case AVCOL_SPC_CHROMA_DERIVED_NCL:
    case AVCOL_SPC_CHROMA_DERIVED_CL:
    case AVCOL_SPC_ICTCP:
        return NULL;
    default:
        return ff.sws_getCoefficients((int)frame->colorspace);
    }
}

/* Factors in 1/8192, offsets in eighths of a grey level. */
struct yuv_factors {
    int luma, black, v_red, u_green, v_green, u_blue;
};

static int in_8192ths(int64_t factor_65536ths)
{
    return (int)((factor_65536ths * 8192 + 32768) >> 16);
}

/* Matrix entries of swscale are chroma factors of limited range: 255/224 is in them, 255/219 of luma is not. */
static struct yuv_factors yuv_factors(const int *matrix, bool full_range)
{
    int64_t factor[4];
    for (int i = 0; i < 4; i++)
        factor[i] = full_range ? (int64_t)matrix[i] * 224 / 255 : matrix[i];
    int64_t luma = full_range ? 65536 : 65536 * 255 / 219;
    return (struct yuv_factors){
        .luma = in_8192ths(luma), .black = full_range ? 0 : 16 * 8,
        .v_red = in_8192ths(factor[0]), .u_blue = in_8192ths(factor[1]),
        .u_green = in_8192ths(-factor[2]), .v_green = in_8192ths(-factor[3]),
    };
}

/* The upper half of a 16 x 16 bit product: one step of the special converter. */
static int cut_product(int eighths, int factor)
{
    return (eighths * factor) >> 16;
}

static uint8_t to_level(int value)
{
    return (uint8_t)(value < 0 ? 0 : value > UINT8_MAX ? UINT8_MAX : value);
}

static void convert_row(const struct yuv_factors *f, const uint8_t *y, const uint8_t *u, const uint8_t *v, int w, uint8_t *restrict rgb)
{
    for (int x = 0; x < w; x++) {
        int luma = cut_product(y[x] * 8 - f->black, f->luma);
        int cb = (u[x / 2] - 128) * 8, cr = (v[x / 2] - 128) * 8;
        rgb[x * CHANNELS] = to_level(luma + cut_product(cr, f->v_red));
        rgb[x * CHANNELS + 1] = to_level(luma + cut_product(cb, f->u_green) + cut_product(cr, f->v_green));
        rgb[x * CHANNELS + 2] = to_level(luma + cut_product(cb, f->u_blue));
    }
}

static void convert_by_rows(const AVFrame *frame, const struct yuv_factors *factors, int chroma_shift, uint8_t *rgb)
{
    for (int y = 0; y < frame->height; y++) {
        const uint8_t *luma = frame->data[0] + (ptrdiff_t)y * frame->linesize[0];
        const uint8_t *u = frame->data[1] + (ptrdiff_t)(y >> chroma_shift) * frame->linesize[1];
        const uint8_t *v = frame->data[2] + (ptrdiff_t)(y >> chroma_shift) * frame->linesize[2];
        convert_row(factors, luma, u, v, frame->width, rgb + (size_t)y * (size_t)frame->width * CHANNELS);
    }
}

static int convert_by_swscale(struct painter *painter, const AVFrame *frame, enum AVPixelFormat format, const int *matrix,
                              bool full_range, uint8_t *rgb, struct err *err)
{
    int w = frame->width, h = frame->height;
    painter->sws = ff.sws_getCachedContext(painter->sws, w, h, format, w, h, AV_PIX_FMT_RGB24, SWS_BILINEAR, NULL, NULL, NULL);
    if (!painter->sws)
        return err_set(err, ERR_DATA, "pictures of %dx%d in pixel format %s cannot be converted to RGB", w, h, ff.av_get_pix_fmt_name(format));
    ff.sws_setColorspaceDetails(painter->sws, matrix, full_range, matrix, 1, 0, 1 << 16, 1 << 16);
    uint8_t *planes[4] = {rgb};
    int strides[4] = {w * CHANNELS};
    ff.sws_scale(painter->sws, (const uint8_t *const *)frame->data, frame->linesize, 0, h, planes, strides);
    return 0;
}

static int convert(struct painter *painter, const AVFrame *frame, uint8_t *rgb, struct err *err)
{
    if (painter->from_files && jpeg_can_convert(frame))
        return jpeg_convert(frame, rgb, err);
    bool full_range = frame->color_range == AVCOL_RANGE_JPEG;
    enum AVPixelFormat format = plain_format((enum AVPixelFormat)frame->format, &full_range);
    const int *matrix = matrix_of(frame);
    if (!matrix)
        return err_set(err, ERR_DATA, "pictures in colour space %s cannot be converted to RGB", ff.av_color_space_name(frame->colorspace));
    bool is_420 = format == AV_PIX_FMT_YUV420P || format == AV_PIX_FMT_YUVA420P;
    if ((is_420 || format == AV_PIX_FMT_YUV422P) && frame->height % 2 == 0) {
        struct yuv_factors factors = yuv_factors(matrix, full_range);
        convert_by_rows(frame, &factors, is_420, rgb);
        return 0;
    }
    return convert_by_swscale(painter, frame, format, matrix, full_range, rgb, err);
}

/* Pixel (x, y) of the w x h source goes to start + x * step_x + y * step_y of the turned picture, in pixels. */
static void turn(const uint8_t *src, int w, int h, int rotation, uint8_t *dst)
{
    ptrdiff_t start = 0, step_x = 1, step_y = w;
    if (rotation == 90) {
        start = h - 1, step_x = h, step_y = -1;
    } else if (rotation == 180) {
        start = (ptrdiff_t)w * h - 1, step_x = -1, step_y = -w;
    } else if (rotation == 270) {
        start = (ptrdiff_t)h * (w - 1), step_x = -h, step_y = 1;
    }
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++, src += CHANNELS)
            memcpy(dst + (start + x * step_x + y * step_y) * CHANNELS, src, CHANNELS);
}

int painter_paint(struct painter *painter, const AVFrame *frame, uint8_t *dst, struct err *err)
{
    bool lies = painter->rotation % 180 != 0;
    int w = lies ? frame->height : frame->width, h = lies ? frame->width : frame->height;
    if (painter->side == 0 && (w != painter->width || h != painter->height))
        return err_set(err, ERR_DATA, "its size is %dx%d, expected %dx%d; pictures of different sizes need a common size to be resized to",
                       w, h, painter->width, painter->height);
    size_t bytes = (size_t)w * (size_t)h * CHANNELS;
    bool turned = painter->rotation != 0, resized = painter->side > 0;
    int rc = turned || resized ? grow(&painter->rgb, &painter->rgb_bytes, bytes, err) : 0;
    if (rc == 0 && turned && resized)
        rc = grow(&painter->upright, &painter->upright_bytes, bytes, err);
    if (rc < 0)
        return rc;

    uint8_t *rgb = turned || resized ? painter->rgb : dst;
    if ((rc = convert(painter, frame, rgb, err)) < 0)
        return rc;
    uint8_t *upright = !turned ? rgb : resized ? painter->upright : dst;
    if (turned)
        turn(rgb, frame->width, frame->height, painter->rotation, upright);
    if (!resized)
        return 0;
    double start = now_ms();
    rc = resize_bicubic(upright, w, h, dst, painter->side, painter->side, err);
    painter->resize_ms += now_ms() - start;
    return rc;
}
