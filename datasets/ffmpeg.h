/* FFmpeg, opened at the first video: its functions are called as ff.<name> behind ffmpeg_open(). The program is not linked with it, so
 * that a call by the plain name does not link. Inside datasets/ only.
 *
 * Sonames are of the headers that this was compiled with: FFmpeg keeps structs and functions as they are within one. */
#ifndef TOKSWEEP_DATASETS_FFMPEG_H
#define TOKSWEEP_DATASETS_FFMPEG_H

#include "core/err.h"

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/display.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>

#define FFMPEG_UTIL(each)                                                                                                     \
    each(av_color_space_name) each(av_dict_free) each(av_dict_set) each(av_display_rotation_get) each(av_frame_alloc)         \
    each(av_frame_free) each(av_frame_get_buffer) each(av_frame_make_writable) each(av_frame_ref) each(av_frame_unref)        \
    each(av_get_pix_fmt_name) each(av_log_set_level) each(av_strerror)
#define FFMPEG_CODEC(each)                                                                                                    \
    each(av_new_packet) each(av_packet_alloc) each(av_packet_free) each(av_packet_rescale_ts) each(av_packet_unref)           \
    each(avcodec_alloc_context3) each(avcodec_find_decoder) each(avcodec_find_encoder) each(avcodec_flush_buffers)            \
    each(avcodec_free_context) each(avcodec_get_name) each(avcodec_open2) each(avcodec_parameters_from_context)               \
    each(avcodec_parameters_to_context) each(avcodec_receive_frame) each(avcodec_receive_packet) each(avcodec_send_frame)     \
    each(avcodec_send_packet) each(avcodec_version)
#define FFMPEG_FORMAT(each)                                                                                                   \
    each(av_find_best_stream) each(av_guess_frame_rate) each(av_interleaved_write_frame) each(av_read_frame)                  \
    each(av_seek_frame) each(av_stream_get_side_data) each(av_write_trailer) each(avformat_alloc_output_context2)             \
    each(avformat_close_input) each(avformat_find_stream_info) each(avformat_free_context) each(avformat_new_stream)          \
    each(avformat_open_input) each(avformat_version) each(avformat_write_header) each(avio_closep) each(avio_open)
#define FFMPEG_SCALE(each)                                                                                                    \
    each(sws_freeContext) each(sws_getCachedContext) each(sws_getCoefficients) each(sws_getContext) each(sws_scale)           \
    each(sws_setColorspaceDetails)

#define FFMPEG_MEMBER(name) __typeof__(&name) name;

extern struct ffmpeg {
    FFMPEG_UTIL(FFMPEG_MEMBER) FFMPEG_CODEC(FFMPEG_MEMBER) FFMPEG_FORMAT(FFMPEG_MEMBER) FFMPEG_SCALE(FFMPEG_MEMBER)
} ff;

/* Fills the table, once for the process, and keeps FFmpeg from writing to stderr, which belongs to the command line. ERR_LIBRARY when a
 * library is missing. */
int ffmpeg_open(struct err *err);

/* What FFmpeg says of an error code, until the thread asks again. */
const char *ffmpeg_error(int code);

#endif
