/* Clips for tests: encoding and muxing by the same libraries that the program reads with. */
#include "tests/support/clip.h"

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/display.h>
#include <libavutil/opt.h>
#include <stdlib.h>
#include <string.h>

enum { CHANNELS = 3, GRID = 4, NUMBER_BITS = 12, MOST_TICKS = 3 };

/* ---- Painting ---- */

/* A 4 x 4 grid of blocks. The corners are white, black, black, black, so that a turned picture is not legible; between them the
 * number's twelve bits, the highest first. */
static bool block_is_white(int number, int row, int column)
{
    bool corner = (row == 0 || row == GRID - 1) && (column == 0 || column == GRID - 1);
    if (corner)
        return row == 0 && column == 0;
    int place = row * GRID + column, corners_before = 1 + (place > GRID - 1) + (place > GRID * (GRID - 1));
    return number >> (NUMBER_BITS - 1 - (place - corners_before)) & 1;
}

static void paint_number(uint8_t *rgb, int width, int height, int i, void *context)
{
    (void)context;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++, rgb += CHANNELS)
            memset(rgb, block_is_white(i, y * GRID / height, x * GRID / width) ? 225 : 30, CHANNELS);
}

/* Mean green of the middle half of a block. */
static int block_mean(const uint8_t *rgb, int width, int height, int row, int column)
{
    int x0 = (4 * column + 1) * width / (4 * GRID), x1 = (4 * column + 3) * width / (4 * GRID);
    int y0 = (4 * row + 1) * height / (4 * GRID), y1 = (4 * row + 3) * height / (4 * GRID);
    int sum = 0;
    for (int y = y0; y < y1; y++)
        for (int x = x0; x < x1; x++)
            sum += rgb[(y * width + x) * CHANNELS + 1];
    return sum / ((x1 - x0) * (y1 - y0));
}

int clip_number(const uint8_t *rgb, int width, int height)
{
    int number = 0;
    for (int row = 0; row < GRID; row++)
        for (int column = 0; column < GRID; column++) {
            int mean = block_mean(rgb, width, height, row, column);
            if (mean > 80 && mean < 175)
                return -1;
            bool corner = (row == 0 || row == GRID - 1) && (column == 0 || column == GRID - 1), white = mean >= 175;
            if (corner && white != block_is_white(0, row, column))
                return -1;
            if (!corner)
                number = number * 2 + white;
        }
    return number;
}

void clip_paint_flat(uint8_t *rgb, int width, int height, int i, void *context)
{
    (void)i;
    for (int p = 0; p < width * height; p++)
        memcpy(rgb + (size_t)p * CHANNELS, context, CHANNELS);
}

/* ---- RGB to YCbCr 4:2:0, in 1/65536 ---- */

struct matrix {
    int red, blue; /* weights in luma; green has the rest */
};

static struct matrix matrix_of(int space)
{
    return space == AVCOL_SPC_BT709 ? (struct matrix){13933, 4732} : (struct matrix){19595, 7471};
}

struct planes {
    AVFrame *frame;
    int shift;      /* left, from 8 bits */
    bool full_range;
    struct matrix matrix;
};

static void plane_put(const struct planes *planes, int plane, int x, int y, int value_65536ths)
{
    uint8_t *row = planes->frame->data[plane] + (ptrdiff_t)y * planes->frame->linesize[plane];
    int value = ((value_65536ths << planes->shift) + 32768) >> 16;
    if (planes->shift == 0) {
        row[x] = (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
    } else {
        uint16_t wide = (uint16_t)(value < 0 ? 0 : value > 1023 ? 1023 : value);
        memcpy(row + x * 2, &wide, sizeof wide);
    }
}

static int luma_65536ths(const struct planes *planes, const int rgb[CHANNELS])
{
    const struct matrix *m = &planes->matrix;
    return m->red * rgb[0] + (65536 - m->red - m->blue) * rgb[1] + m->blue * rgb[2];
}

/* (colour - luma) / (2 (1 - weight)), and 224/255 of it in limited range. */
static int chroma_65536ths(const struct planes *planes, int colour, int luma, int weight)
{
    int64_t difference = ((int64_t)colour * 65536 - luma) * 65536 / (2 * (65536 - (int64_t)weight));
    return 128 * 65536 + (int)(planes->full_range ? difference : difference * 224 / 255);
}

static void sum_square(const uint8_t *rgb, int width, int height, int x, int y, int mean[CHANNELS])
{
    int x1 = x + 1 < width ? x + 1 : x, y1 = y + 1 < height ? y + 1 : y;
    for (int c = 0; c < CHANNELS; c++)
        mean[c] = (rgb[(y * width + x) * CHANNELS + c] + rgb[(y * width + x1) * CHANNELS + c] +
                   rgb[(y1 * width + x) * CHANNELS + c] + rgb[(y1 * width + x1) * CHANNELS + c] + 2) / 4;
}

static void planes_fill(const struct planes *planes, const uint8_t *rgb)
{
    int width = planes->frame->width, height = planes->frame->height;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            const uint8_t *p = rgb + (y * width + x) * CHANNELS;
            int luma = luma_65536ths(planes, (int[]){p[0], p[1], p[2]});
            plane_put(planes, 0, x, y, planes->full_range ? luma : 16 * 65536 + (int)((int64_t)luma * 219 / 255));
        }
    for (int y = 0; y < height; y += 2)
        for (int x = 0; x < width; x += 2) {
            int mean[CHANNELS];
            sum_square(rgb, width, height, x, y, mean);
            int luma = luma_65536ths(planes, mean);
            plane_put(planes, 1, x / 2, y / 2, chroma_65536ths(planes, mean[2], luma, planes->matrix.blue));
            plane_put(planes, 2, x / 2, y / 2, chroma_65536ths(planes, mean[0], luma, planes->matrix.red));
        }
}

/* ---- Encoding ---- */

struct render {
    struct clip clip; /* defaults filled in */
    AVFormatContext *format;
    AVStream *stream;
    AVCodecContext *encoder;
    AVPacket *packet;
};

static struct clip with_defaults(const struct clip *clip)
{
    struct clip full = *clip;
    full.width = clip->width ? clip->width : 160;
    full.height = clip->height ? clip->height : 120;
    full.fps = clip->fps ? clip->fps : 25;
    full.gop = clip->gop ? clip->gop : 12;
    full.quantiser = clip->quantiser ? clip->quantiser : 3;
    full.matrix = clip->matrix ? clip->matrix : AVCOL_SPC_UNSPECIFIED;
    full.paint = clip->paint ? clip->paint : paint_number;
    full.full_range = clip->full_range || clip->codec == CLIP_MJPEG;
    return full;
}

static enum AVPixelFormat format_of(const struct clip *clip)
{
    if (clip->codec == CLIP_PNG)
        return AV_PIX_FMT_RGB24;
    if (clip->codec == CLIP_MJPEG)
        return AV_PIX_FMT_YUVJ420P;
    return clip->ten_bits ? AV_PIX_FMT_YUV420P10 : AV_PIX_FMT_YUV420P;
}

static int av_failed(struct err *err, const char *path, const char *what, int code)
{
    return err_set(err, ERR_IO, "cannot render '%s': %s: %s", path, what, av_err2str(code));
}

static AVCodecContext *encoder_open(const struct clip *clip, bool global_header)
{
    static const enum AVCodecID ids[] = {AV_CODEC_ID_MPEG4, AV_CODEC_ID_MJPEG, AV_CODEC_ID_FFV1, AV_CODEC_ID_PNG};
    const AVCodec *codec = avcodec_find_encoder(ids[clip->codec]);
    AVCodecContext *encoder = avcodec_alloc_context3(codec);
    if (!encoder)
        return NULL;
    encoder->width = clip->width;
    encoder->height = clip->height;
    encoder->pix_fmt = format_of(clip);
    encoder->time_base = (AVRational){1, clip->fps};
    encoder->framerate = (AVRational){clip->fps, 1};
    encoder->gop_size = clip->gop;
    encoder->max_b_frames = clip->b_frames;
    encoder->thread_count = 1;
    encoder->flags = AV_CODEC_FLAG_BITEXACT | AV_CODEC_FLAG_QSCALE | (global_header ? AV_CODEC_FLAG_GLOBAL_HEADER : 0);
    encoder->global_quality = clip->quantiser * FF_QP2LAMBDA;
    encoder->color_range = clip->full_range ? AVCOL_RANGE_JPEG : AVCOL_RANGE_UNSPECIFIED;
    encoder->colorspace = (enum AVColorSpace)clip->matrix;
    if (avcodec_open2(encoder, codec, NULL) < 0)
        avcodec_free_context(&encoder);
    return encoder;
}

static int add_rotation(AVStream *stream, int clockwise)
{
    if (clockwise == 0)
        return 0;
    int32_t *matrix = (int32_t *)(void *)av_stream_new_side_data(stream, AV_PKT_DATA_DISPLAYMATRIX, 9 * sizeof *matrix);
    if (!matrix)
        return AVERROR(ENOMEM);
    av_display_rotation_set(matrix, clockwise);
    return 0;
}

static int write_header(struct render *render)
{
    AVDictionary *options = NULL;
    if (render->clip.index_first)
        av_dict_set(&options, "movflags", "faststart", 0);
    if (render->clip.n_hidden)
        av_dict_set(&options, "avoid_negative_ts", "disabled", 0);
    int code = avformat_write_header(render->format, &options);
    av_dict_free(&options);
    return code;
}

/* Numbered pictures are files that the muxer opens itself. */
static int open_file(AVFormatContext *format, const char *path)
{
    return format->oformat->flags & AVFMT_NOFILE ? 0 : avio_open(&format->pb, path, AVIO_FLAG_WRITE);
}

static int render_open(struct render *render, const char *path, struct err *err)
{
    int code = avformat_alloc_output_context2(&render->format, NULL, NULL, path);
    if (code < 0)
        return av_failed(err, path, "its name's ending stands for no container", code);
    render->format->flags |= AVFMT_FLAG_BITEXACT;
    render->stream = avformat_new_stream(render->format, NULL);
    render->packet = av_packet_alloc();
    render->encoder = encoder_open(&render->clip, render->format->oformat->flags & AVFMT_GLOBALHEADER);
    if (!render->stream || !render->packet || !render->encoder)
        return av_failed(err, path, "encoder", AVERROR(ENOMEM));
    render->stream->time_base = render->encoder->time_base;
    render->stream->avg_frame_rate = render->encoder->framerate;
    if ((code = avcodec_parameters_from_context(render->stream->codecpar, render->encoder)) < 0 ||
        (code = add_rotation(render->stream, render->clip.rotation)) < 0 ||
        (code = open_file(render->format, path)) < 0 || (code = write_header(render)) < 0)
        return av_failed(err, path, "header", code);
    return 0;
}

static void render_close(struct render *render)
{
    if (render->format && render->format->pb)
        avio_closep(&render->format->pb);
    avformat_free_context(render->format);
    avcodec_free_context(&render->encoder);
    av_packet_free(&render->packet);
}

/* Sends a frame, or NULL for the end, and muxes what comes out. */
static int encode(struct render *render, const AVFrame *frame)
{
    int code = avcodec_send_frame(render->encoder, frame);
    while (code >= 0 && (code = avcodec_receive_packet(render->encoder, render->packet)) >= 0) {
        render->packet->stream_index = render->stream->index;
        av_packet_rescale_ts(render->packet, render->encoder->time_base, render->stream->time_base);
        code = av_interleaved_write_frame(render->format, render->packet);
    }
    return code == AVERROR(EAGAIN) || code == AVERROR_EOF ? 0 : code;
}

static int64_t ticks_until(const struct clip *clip, int i)
{
    int64_t ticks = 0;
    for (int j = 0; j < i; j++)
        ticks += clip->varying ? 1 + j % MOST_TICKS : 1;
    return ticks;
}

static void frame_fill(AVFrame *frame, const struct clip *clip, const uint8_t *rgb)
{
    struct planes planes = {frame, clip->ten_bits ? 2 : 0, clip->full_range, matrix_of(clip->matrix)};
    size_t row = (size_t)frame->width * CHANNELS;
    if (frame->format == AV_PIX_FMT_RGB24)
        for (int y = 0; y < frame->height; y++)
            memcpy(frame->data[0] + (ptrdiff_t)y * frame->linesize[0], rgb + (size_t)y * row, row);
    else
        planes_fill(&planes, rgb);
}

static int encode_frame(struct render *render, int i)
{
    const struct clip *clip = &render->clip;
    int width = render->encoder->width, height = render->encoder->height, code = AVERROR(ENOMEM);
    AVFrame *frame = av_frame_alloc();
    uint8_t *rgb = malloc((size_t)width * (size_t)height * CHANNELS);
    if (!frame || !rgb)
        goto done;
    frame->width = width;
    frame->height = height;
    frame->format = render->encoder->pix_fmt;
    frame->pts = ticks_until(clip, i) - ticks_until(clip, clip->n_hidden);
    frame->quality = render->encoder->global_quality;
    frame->color_range = render->encoder->color_range;
    frame->colorspace = render->encoder->colorspace;
    if ((code = av_frame_get_buffer(frame, 0)) < 0)
        goto done;
    clip->paint(rgb, width, height, i, clip->context);
    frame_fill(frame, clip, rgb);
    code = encode(render, frame);
done:
    free(rgb);
    av_frame_free(&frame);
    return code;
}

/* The container keeps the size it began with; only the pictures change. */
static int change_size(struct render *render)
{
    int code = encode(render, NULL);
    avcodec_free_context(&render->encoder);
    render->clip.width = render->clip.late_width;
    render->clip.height = render->clip.late_height;
    render->encoder = encoder_open(&render->clip, false);
    return code < 0 ? code : render->encoder ? 0 : AVERROR(ENOMEM);
}

static int render_frames(struct render *render)
{
    int code = 0;
    for (int i = 0; code >= 0 && i < render->clip.n_frames; i++) {
        if (render->clip.late_width && i == render->clip.n_frames / 2)
            code = change_size(render);
        if (code >= 0)
            code = encode_frame(render, i);
    }
    return code < 0 ? code : encode(render, NULL);
}

int clip_render(const char *path, const struct clip *clip, struct err *err)
{
    struct render render = {.clip = with_defaults(clip)};
    int rc = render_open(&render, path, err);
    if (rc == 0) {
        int code = render_frames(&render);
        int last = av_write_trailer(render.format);
        if (code < 0 || (code = last) < 0)
            rc = av_failed(err, path, "frames", code);
    }
    render_close(&render);
    return rc;
}

/* ---- Sound ---- */

static int render_sound(struct render *render, const char *path)
{
    enum { RATE = 8000, SAMPLES = 1000 };
    uint8_t silence[SAMPLES * 2] = {0};
    int code = avformat_alloc_output_context2(&render->format, NULL, NULL, path);
    if (code < 0)
        return code;
    render->format->flags |= AVFMT_FLAG_BITEXACT;
    render->stream = avformat_new_stream(render->format, NULL);
    render->packet = av_packet_alloc();
    if (!render->stream || !render->packet)
        return AVERROR(ENOMEM);
    AVCodecParameters *parameters = render->stream->codecpar;
    parameters->codec_type = AVMEDIA_TYPE_AUDIO;
    parameters->codec_id = AV_CODEC_ID_PCM_S16LE;
    parameters->sample_rate = RATE;
    parameters->bits_per_coded_sample = 16;
    parameters->block_align = 2;
    av_channel_layout_default(&parameters->ch_layout, 1);
    if ((code = open_file(render->format, path)) < 0 || (code = write_header(render)) < 0 ||
        (code = av_new_packet(render->packet, sizeof silence)) < 0)
        return code;
    memcpy(render->packet->data, silence, sizeof silence);
    render->packet->pts = render->packet->dts = 0;
    render->packet->duration = SAMPLES;
    if ((code = av_write_frame(render->format, render->packet)) < 0)
        return code;
    return av_write_trailer(render->format);
}

int clip_render_sound(const char *path, struct err *err)
{
    struct render render = {0};
    int code = render_sound(&render, path);
    render_close(&render);
    return code < 0 ? av_failed(err, path, "sound", code) : 0;
}
