#include "datasets/video_write.h"

#include "datasets/ffmpeg.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct video_writer {
    char *path;
    AVFormatContext *format;
    AVStream *stream;
    AVCodecContext *encoder;
    AVFrame *frame;
    AVPacket *packet;
    int64_t n_frames;
};

static int failed(struct err *err, const char *path, const char *what, int code)
{
    return err_set(err, ERR_IO, "cannot write video '%s': %s: %s", path, what, ffmpeg_error(code));
}

/* ---- colours -------------------------------------------------------------------------------------------------------------- */

/* BT.601 in 1/65536: luma 16..235, chroma 16..240. */
static uint8_t luma(const int rgb[3])
{
    return (uint8_t)((16829 * rgb[0] + 33039 * rgb[1] + 6416 * rgb[2] + (16 << 16) + 32768) >> 16);
}

static uint8_t blue_difference(const int rgb[3])
{
    return (uint8_t)((-9714 * rgb[0] - 19070 * rgb[1] + 28784 * rgb[2] + (128 << 16) + 32768) >> 16);
}

static uint8_t red_difference(const int rgb[3])
{
    return (uint8_t)((28784 * rgb[0] - 24103 * rgb[1] - 4681 * rgb[2] + (128 << 16) + 32768) >> 16);
}

/* Four pixels share their colour. */
static void planes_fill(AVFrame *frame, const uint8_t *rgb)
{
    for (int y = 0; y < frame->height; y += 2)
        for (int x = 0; x < frame->width; x += 2) {
            int sum[3] = {2, 2, 2};
            for (int p = 0; p < 4; p++) {
                const uint8_t *pixel = rgb + ((y + p / 2) * frame->width + x + p % 2) * 3;
                frame->data[0][(y + p / 2) * frame->linesize[0] + x + p % 2] = luma((int[]){pixel[0], pixel[1], pixel[2]});
                for (int c = 0; c < 3; c++)
                    sum[c] += pixel[c];
            }
            int mean[3] = {sum[0] / 4, sum[1] / 4, sum[2] / 4};
            frame->data[1][y / 2 * frame->linesize[1] + x / 2] = blue_difference(mean);
            frame->data[2][y / 2 * frame->linesize[2] + x / 2] = red_difference(mean);
        }
}

/* ---- file ----------------------------------------------------------------------------------------------------------------- */

static AVCodecContext *encoder_open(const struct video_form *form)
{
    AVCodecContext *encoder = ff.avcodec_alloc_context3(ff.avcodec_find_encoder(AV_CODEC_ID_MPEG4));
    if (!encoder)
        return NULL;
    encoder->width = form->width;
    encoder->height = form->height;
    encoder->pix_fmt = AV_PIX_FMT_YUV420P;
    encoder->time_base = (AVRational){1, form->fps};
    encoder->framerate = (AVRational){form->fps, 1};
    encoder->gop_size = form->gop;
    encoder->thread_count = 1;
    encoder->flags = AV_CODEC_FLAG_BITEXACT | AV_CODEC_FLAG_QSCALE | AV_CODEC_FLAG_GLOBAL_HEADER;
    encoder->global_quality = form->quantiser * FF_QP2LAMBDA;
    if (ff.avcodec_open2(encoder, encoder->codec, NULL) < 0)
        ff.avcodec_free_context(&encoder);
    return encoder;
}

static AVFrame *frame_new(const AVCodecContext *encoder)
{
    AVFrame *frame = ff.av_frame_alloc();
    if (!frame)
        return NULL;
    frame->width = encoder->width;
    frame->height = encoder->height;
    frame->format = encoder->pix_fmt;
    frame->quality = encoder->global_quality;
    if (ff.av_frame_get_buffer(frame, 0) < 0)
        ff.av_frame_free(&frame);
    return frame;
}

static void writer_free(struct video_writer *writer)
{
    if (writer->format && writer->format->pb)
        ff.avio_closep(&writer->format->pb);
    ff.avformat_free_context(writer->format);
    ff.avcodec_free_context(&writer->encoder);
    ff.av_frame_free(&writer->frame);
    ff.av_packet_free(&writer->packet);
    free(writer->path);
    free(writer);
}

static int begin(struct video_writer *writer, const struct video_form *form, struct err *err)
{
    int code = ff.avformat_alloc_output_context2(&writer->format, NULL, "mp4", writer->path);
    if (code < 0)
        return failed(err, writer->path, "container", code);
    writer->format->flags |= AVFMT_FLAG_BITEXACT;
    writer->stream = ff.avformat_new_stream(writer->format, NULL);
    writer->packet = ff.av_packet_alloc();
    writer->encoder = encoder_open(form);
    writer->frame = writer->encoder ? frame_new(writer->encoder) : NULL;
    if (!writer->stream || !writer->packet || !writer->frame)
        return failed(err, writer->path, "FFmpeg's MPEG-4 encoder", AVERROR(ENOMEM));
    writer->stream->time_base = writer->encoder->time_base;
    writer->stream->avg_frame_rate = writer->encoder->framerate;
    if ((code = ff.avcodec_parameters_from_context(writer->stream->codecpar, writer->encoder)) < 0 ||
        (code = ff.avio_open(&writer->format->pb, writer->path, AVIO_FLAG_WRITE)) < 0 ||
        (code = ff.avformat_write_header(writer->format, NULL)) < 0)
        return failed(err, writer->path, "header", code);
    return 0;
}

int video_write_open(struct video_writer **out, const char *path, const struct video_form *form, struct err *err)
{
    *out = NULL;
    int rc = ffmpeg_open(err);
    if (rc)
        return rc;
    struct video_writer *writer = calloc(1, sizeof *writer);
    if (!writer || !(writer->path = strdup(path))) {
        free(writer);
        return err_no_memory(err, "writing a video");
    }
    rc = begin(writer, form, err);
    if (rc)
        writer_free(writer);
    else
        *out = writer;
    return rc;
}

/* Sends a frame, or NULL for the end, and muxes what comes out. */
static int encode(struct video_writer *writer, const AVFrame *frame)
{
    int code = ff.avcodec_send_frame(writer->encoder, frame);
    while (code >= 0 && (code = ff.avcodec_receive_packet(writer->encoder, writer->packet)) >= 0) {
        writer->packet->stream_index = writer->stream->index;
        writer->packet->duration = 1;
        ff.av_packet_rescale_ts(writer->packet, writer->encoder->time_base, writer->stream->time_base);
        code = ff.av_interleaved_write_frame(writer->format, writer->packet);
    }
    return code == AVERROR(EAGAIN) || code == AVERROR_EOF ? 0 : code;
}

int video_write_frame(struct video_writer *writer, const uint8_t *rgb, struct err *err)
{
    int code = ff.av_frame_make_writable(writer->frame);
    if (code >= 0) {
        planes_fill(writer->frame, rgb);
        writer->frame->pts = writer->n_frames++;
        code = encode(writer, writer->frame);
    }
    return code < 0 ? failed(err, writer->path, "frames", code) : 0;
}

int video_write_close(struct video_writer *writer, struct err *err)
{
    int code = encode(writer, NULL), last = ff.av_write_trailer(writer->format);
    code = code < 0 ? code : last;
    if (code >= 0)
        code = ff.avio_closep(&writer->format->pb); /* what was buffered may not fit on the disk */
    int rc = code < 0 ? failed(err, writer->path, "the end", code) : 0;
    writer_free(writer);
    return rc;
}

static void versions_put(char text[VIDEO_VERSIONS], unsigned codec, unsigned format)
{
    snprintf(text, VIDEO_VERSIONS, "libavcodec %u.%u.%u, libavformat %u.%u.%u", AV_VERSION_MAJOR(codec), AV_VERSION_MINOR(codec),
             AV_VERSION_MICRO(codec), AV_VERSION_MAJOR(format), AV_VERSION_MINOR(format), AV_VERSION_MICRO(format));
}

void video_write_versions_built(char text[VIDEO_VERSIONS])
{
    versions_put(text, LIBAVCODEC_VERSION_INT, LIBAVFORMAT_VERSION_INT);
}

int video_write_versions(char text[VIDEO_VERSIONS], struct err *err)
{
    int rc = ffmpeg_open(err);
    if (!rc)
        versions_put(text, ff.avcodec_version(), ff.avformat_version());
    return rc;
}
