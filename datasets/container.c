/* Containers: finding the video stream, and the table of its packets that fixes which frame is which (frames, first half).
 *
 * Files come from strangers: only known containers on the local disk are opened, never playlists that name other files. The table
 * is made by reading all packets, as decord does; an mp4's own sample table would be cheaper but does not tell how many packets
 * there really are, and libavformat does not show its presentation times. */
#include "datasets/container.h"

#include "datasets/ffmpeg.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MOST_PACKETS = 1 << 26, VP8_SHOWN = 0x10 };

static const char containers[] = "mov,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,ivf,flv,asf,ogg,gif,nut,mxf,rm,wtv,dv";

static int av_failed(struct err *err, int code, const char *path)
{
    if (code == AVERROR(ENOMEM))
        return err_no_memory(err, path);
    if (code == AVERROR(EACCES) || code == AVERROR(EIO)) {
        errno = AVUNERROR(code);
        return err_errno(err, "read", path);
    }
    return err_set(err, ERR_DATA, "'%s' is not a video that can be read (%s); expected a whole file in a container such as mp4, mkv, webm "
                   "or avi", path, code == AVERROR(EINVAL) ? "unknown container" : ffmpeg_error(code));
}

static int check_is_file(const char *path, struct err *err)
{
    struct stat about;
    if (stat(path, &about) != 0)
        return err_errno(err, "open", path);
    if (!S_ISREG(about.st_mode))
        return err_set(err, ERR_DATA, "'%s' is not a file, expected a video", path);
    return 0;
}

static int open_format(AVFormatContext **out, const char *path, struct err *err)
{
    size_t length = strlen(path) + sizeof "file:";
    char *url = malloc(length);
    AVDictionary *options = NULL;
    if (!url || ff.av_dict_set(&options, "format_whitelist", containers, 0) < 0 ||
        ff.av_dict_set(&options, "protocol_whitelist", "file", 0) < 0) {
        free(url);
        ff.av_dict_free(&options);
        return err_no_memory(err, path);
    }
    snprintf(url, length, "file:%s", path); /* a colon in the path is no protocol */
    int code = ff.avformat_open_input(out, url, NULL, &options);
    free(url);
    ff.av_dict_free(&options);
    if (code == 0 && (code = ff.avformat_find_stream_info(*out, NULL)) < 0)
        ff.avformat_close_input(out);
    return code < 0 ? av_failed(err, code, path) : 0;
}

static int choose_stream(struct container *container, const char *path, struct err *err)
{
    AVFormatContext *format = container->format;
    int best = ff.av_find_best_stream(format, AVMEDIA_TYPE_VIDEO, -1, -1, NULL, 0);
    if (best < 0)
        return err_set(err, ERR_DATA, "'%s' has no video stream among its %u streams", path, format->nb_streams);
    for (unsigned i = 0; i < format->nb_streams; i++)
        if (i != (unsigned)best)
            format->streams[i]->discard = AVDISCARD_ALL;
    container->stream = format->streams[best];
    if (container->stream->disposition & AV_DISPOSITION_ATTACHED_PIC)
        return err_set(err, ERR_DATA, "'%s' has no video stream, only a cover picture", path);
    return 0;
}

int container_open(struct container *out, const char *path, struct err *err)
{
    *out = (struct container){0};
    int rc = ffmpeg_open(err);
    if (rc)
        return rc;
    if ((rc = check_is_file(path, err)) < 0 || (rc = open_format(&out->format, path, err)) < 0 ||
        (rc = choose_stream(out, path, err)) < 0)
        goto failed;
    if (!(out->packet = ff.av_packet_alloc())) {
        rc = err_no_memory(err, path);
        goto failed;
    }
    return 0;
failed:
    container_close(out);
    return rc;
}

void container_close(struct container *container)
{
    ff.av_packet_free(&container->packet);
    ff.avformat_close_input(&container->format);
    container->stream = NULL;
}

bool container_next(struct container *container)
{
    do {
        ff.av_packet_unref(container->packet);
        if (ff.av_read_frame(container->format, container->packet) < 0)
            return false;
    } while (container->packet->stream_index != container->stream->index);
    return true;
}

static bool is_hidden(const AVPacket *packet, enum AVCodecID codec)
{
    if (packet->size == 0 || packet->flags & AV_PKT_FLAG_DISCARD)
        return true;
    return codec == AV_CODEC_ID_VP8 && !(packet->data[0] & VP8_SHOWN);
}

static struct packet_entry entry_of(const AVPacket *packet, enum AVCodecID codec)
{
    return (struct packet_entry){
        .pts = packet->pts,
        .dts = packet->dts,
        .size = packet->size,
        .key = packet->flags & AV_PKT_FLAG_KEY,
        .hidden = is_hidden(packet, codec),
        .damaged = packet->flags & AV_PKT_FLAG_CORRUPT,
    };
}

struct shown_at {
    int64_t pts;
    uint32_t place;
};

static int compare_shown_at(const void *left, const void *right)
{
    const struct shown_at *a = left, *b = right;
    if (a->pts != b->pts)
        return a->pts < b->pts ? -1 : 1;
    return a->place < b->place ? -1 : a->place > b->place;
}

/* Ranks are places among the sorted presentation times. Without complete and distinct times a frame cannot be told by its time:
 * ranks are then the order of decoding's output, and a packet's place is the best guess at it. */
static int packet_table_rank_all(struct packet_table *table, const char *path, struct err *err)
{
    struct shown_at *order = malloc(table->n * sizeof *order);
    table->by_rank = malloc(table->n * sizeof *table->by_rank);
    if (!order || !table->by_rank) {
        free(order);
        return err_no_memory(err, path);
    }
    for (uint32_t i = 0; i < table->n; i++)
        order[i] = (struct shown_at){table->entries[i].pts, i};
    qsort(order, table->n, sizeof *order, compare_shown_at);
    table->timed = order[0].pts != AV_NOPTS_VALUE; /* the smallest value there is */
    for (uint32_t i = 1; i < table->n; i++)
        table->timed = table->timed && order[i].pts != order[i - 1].pts;
    for (uint32_t i = 0; i < table->n; i++) {
        table->by_rank[i] = table->timed ? order[i].place : i;
        table->entries[table->by_rank[i]].rank = i;
    }
    free(order);
    return 0;
}

int packet_table_read(struct packet_table *out, struct container *container, const char *path, struct err *err)
{
    *out = (struct packet_table){0};
    enum AVCodecID codec = container->stream->codecpar->codec_id;
    size_t room = 0;
    int rc = 0;
    while (container_next(container)) {
        if (out->n == MOST_PACKETS) {
            rc = err_set(err, ERR_DATA, "'%s' has more than %d packets of video", path, MOST_PACKETS);
            goto failed;
        }
        if (out->n == room) {
            room = room ? room * 2 : 1024;
            struct packet_entry *more = realloc(out->entries, room * sizeof *more);
            if (!more) {
                rc = err_no_memory(err, path);
                goto failed;
            }
            out->entries = more;
        }
        out->entries[out->n] = entry_of(container->packet, codec);
        if (!out->entries[out->n++].damaged)
            out->n_whole = out->n;
    }
    if (out->n == 0)
        rc = err_set(err, ERR_DATA, "'%s' has a video stream without a packet: it may have been cut off; get the file again", path);
    else
        rc = packet_table_rank_all(out, path, err);
    if (rc == 0)
        return 0;
failed:
    packet_table_free(out);
    return rc;
}

void packet_table_free(struct packet_table *table)
{
    free(table->entries);
    free(table->by_rank);
    *table = (struct packet_table){0};
}

int64_t packet_table_rank(const struct packet_table *table, int64_t pts)
{
    uint32_t low = 0, high = table->n;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (table->entries[table->by_rank[middle]].pts < pts)
            low = middle + 1;
        else
            high = middle;
    }
    return low < table->n && table->entries[table->by_rank[low]].pts == pts ? (int64_t)low : PACKET_NONE;
}

uint32_t packet_table_start(const struct packet_table *table, uint32_t at)
{
    for (uint32_t i = at + 1; i-- > 0;)
        if (table->entries[i].key && table->entries[i].rank <= table->entries[at].rank)
            return i;
    return 0;
}
