/* Picture files in memory: PNG and JPEG to pixels, for folders of pictures and for what clients send; pixels to PNG and JPEG, for what
 * servers are sent. */
#include "datasets/ffmpeg.h"
#include "datasets/picture.h"
#include "datasets/video.h"

#include <stdlib.h>
#include <string.h>

enum { CHANNELS = 3 };

/* By the first bytes, because names lie. */
static enum AVCodecID codec_of(const char *bytes, size_t n)
{
    if (n >= 3 && !memcmp(bytes, "\xff\xd8\xff", 3))
        return AV_CODEC_ID_MJPEG;
    if (n >= 8 && !memcmp(bytes, "\x89PNG\r\n\x1a\n", 8))
        return AV_CODEC_ID_PNG;
    return AV_CODEC_ID_NONE;
}

static int decode_bytes(const char *bytes, size_t n, const AVCodec *codec, AVFrame *frame)
{
    AVPacket *packet = ff.av_packet_alloc();
    AVCodecContext *decoder = ff.avcodec_alloc_context3(codec);
    int code = AVERROR(ENOMEM);
    if (!packet || !decoder || (code = ff.av_new_packet(packet, (int)n)) < 0)
        goto done;
    memcpy(packet->data, bytes, n);
    decoder->thread_count = 1;
    decoder->max_pixels = PICTURE_MOST_PIXELS;
    decoder->err_recognition = AV_EF_EXPLODE; /* half a picture is no picture */
    decoder->idct_algo = FF_IDCT_INT;         /* libjpeg's, which Pillow decodes with */
    if ((code = ff.avcodec_open2(decoder, codec, NULL)) < 0 || (code = ff.avcodec_send_packet(decoder, packet)) < 0 ||
        (code = ff.avcodec_send_packet(decoder, NULL)) < 0)
        goto done;
    code = ff.avcodec_receive_frame(decoder, frame);
done:
    ff.avcodec_free_context(&decoder);
    ff.av_packet_free(&packet);
    return code;
}

int picture_file_read(const char *bytes, size_t n, const char *name, AVFrame *frame, struct err *err)
{
    const AVCodec *codec = ff.avcodec_find_decoder(codec_of(bytes, n));
    int code = codec ? decode_bytes(bytes, n, codec, frame) : AVERROR_INVALIDDATA;
    if (code == AVERROR(ENOMEM))
        return err_no_memory(err, name);
    return code < 0 ? err_set(err, ERR_DATA, "'%s' is not a whole picture, expected a jpg or a png", name) : 0;
}

int picture_decode(const char *bytes, size_t n, const char *name, int side, uint8_t *rgb, struct err *err)
{
    int rc = ffmpeg_open(err);
    if (rc)
        return rc;
    AVFrame *frame = ff.av_frame_alloc();
    struct painter painter = {.from_files = true, .side = side};
    rc = frame ? picture_file_read(bytes, n, name, frame, err) : err_no_memory(err, name);
    if (!rc && (rc = painter_paint(&painter, frame, rgb, err)))
        err_prefix(err, "'%s'", name);
    painter_free(&painter);
    ff.av_frame_free(&frame);
    return rc;
}

/* ---- writing ------------------------------------------------------------------------------------------------------------- */

/* JPEG has no RGB here: swscale makes 4:4:4 of full range, so that only the quantiser loses anything to speak of. */
static int to_ycbcr(AVFrame *frame, const uint8_t *rgb)
{
    struct SwsContext *sws = ff.sws_getContext(frame->width, frame->height, AV_PIX_FMT_RGB24, frame->width, frame->height, AV_PIX_FMT_YUV444P,
                                            SWS_BILINEAR | SWS_ACCURATE_RND, NULL, NULL, NULL);
    const int *bt601 = ff.sws_getCoefficients(SWS_CS_ITU601);
    const uint8_t *planes[4] = {rgb};
    int strides[4] = {frame->width * CHANNELS};
    if (!sws)
        return AVERROR(ENOMEM);
    ff.sws_setColorspaceDetails(sws, bt601, 1, bt601, 1, 0, 1 << 16, 1 << 16);
    ff.sws_scale(sws, planes, strides, 0, frame->height, frame->data, frame->linesize);
    ff.sws_freeContext(sws);
    return 0;
}

static int fill_frame(AVFrame *frame, const uint8_t *rgb, int w, int h, int jpeg_quantiser)
{
    frame->width = w;
    frame->height = h;
    frame->format = jpeg_quantiser ? AV_PIX_FMT_YUV444P : AV_PIX_FMT_RGB24;
    frame->color_range = AVCOL_RANGE_JPEG;
    frame->quality = jpeg_quantiser * FF_QP2LAMBDA;
    int code = ff.av_frame_get_buffer(frame, 0);
    if (code < 0)
        return code;
    if (jpeg_quantiser)
        return to_ycbcr(frame, rgb);
    for (int y = 0; y < h; y++)
        memcpy(frame->data[0] + (ptrdiff_t)y * frame->linesize[0], rgb + (size_t)y * (size_t)w * CHANNELS, (size_t)w * CHANNELS);
    return 0;
}

static int encode(AVFrame *frame, int jpeg_quantiser, AVPacket *packet)
{
    const AVCodec *codec = ff.avcodec_find_encoder(jpeg_quantiser ? AV_CODEC_ID_MJPEG : AV_CODEC_ID_PNG);
    AVCodecContext *encoder = codec ? ff.avcodec_alloc_context3(codec) : NULL;
    if (!encoder)
        return codec ? AVERROR(ENOMEM) : AVERROR_ENCODER_NOT_FOUND;
    encoder->width = frame->width;
    encoder->height = frame->height;
    encoder->pix_fmt = frame->format;
    encoder->color_range = frame->color_range;
    encoder->time_base = (AVRational){1, 1};
    encoder->thread_count = 1;
    encoder->strict_std_compliance = FF_COMPLIANCE_UNOFFICIAL; /* full range under the plain name of the format */
    encoder->compression_level = 3;                            /* of PNG: a third of the default's time for a few per cent more bytes */
    encoder->flags |= jpeg_quantiser ? AV_CODEC_FLAG_QSCALE : 0;
    encoder->global_quality = frame->quality;
    int code = ff.avcodec_open2(encoder, codec, NULL);
    if (code >= 0)
        code = ff.avcodec_send_frame(encoder, frame);
    if (code >= 0)
        code = ff.avcodec_send_frame(encoder, NULL);
    if (code >= 0)
        code = ff.avcodec_receive_packet(encoder, packet);
    ff.avcodec_free_context(&encoder);
    return code;
}

int picture_encode(uint8_t **out, size_t *n, const uint8_t *rgb, int w, int h, int jpeg_quantiser, struct err *err)
{
    *out = NULL;
    int rc = ffmpeg_open(err);
    if (rc)
        return rc;
    AVFrame *frame = ff.av_frame_alloc();
    AVPacket *packet = ff.av_packet_alloc();
    int code = frame && packet ? fill_frame(frame, rgb, w, h, jpeg_quantiser) : AVERROR(ENOMEM);
    if (code >= 0)
        code = encode(frame, jpeg_quantiser, packet);
    if (code >= 0 && !(*out = malloc((size_t)packet->size)))
        code = AVERROR(ENOMEM);
    if (code >= 0) {
        memcpy(*out, packet->data, (size_t)packet->size);
        *n = (size_t)packet->size;
    }
    ff.av_packet_free(&packet);
    ff.av_frame_free(&frame);
    if (code == AVERROR(ENOMEM))
        return err_no_memory(err, "a picture to be sent");
    if (code < 0)
        return err_set(err, ERR_DATA, "a picture of %dx%d cannot be written as %s: %s", w, h, jpeg_quantiser ? "JPEG" : "PNG", ffmpeg_error(code));
    return 0;
}
