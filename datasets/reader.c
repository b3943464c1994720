/* Readers: which packets to decode for the frames that are wanted (frames, first half).
 *
 * The cheap pass decodes on while the next target lies in the current group of pictures, seeks to its key picture otherwise, and
 * leaves out frames that no other frame refers to. Both are exact, but only for files that keep the promises of their format, so
 * every packet and every frame is held against the table; at the first surprise the pass ends and the caller reads the file from its
 * start instead. One thread per reader: readers of parts of a file run side by side better than the threads of one decoder. */
#include "datasets/reader.h"

#include "datasets/ffmpeg.h"

#include <stdlib.h>

enum { SEEK_GAIN = 4 }; /* packets that a seek has to spare before it is worth its flush */

static int reader_open(struct reader *reader, struct err *err)
{
    int rc = container_open(&reader->container, reader->path, err);
    if (rc < 0)
        return rc;
    const AVCodecParameters *parameters = reader->container.stream->codecpar;
    const AVCodec *codec = ff.avcodec_find_decoder(parameters->codec_id);
    if (!codec)
        return err_set(err, ERR_DATA, "'%s' is coded as %s, which this build of FFmpeg cannot decode; convert it to h264",
                       reader->path, ff.avcodec_get_name(parameters->codec_id));
    reader->frame = ff.av_frame_alloc();
    reader->decoder = ff.avcodec_alloc_context3(codec);
    if (!reader->frame || !reader->decoder || ff.avcodec_parameters_to_context(reader->decoder, parameters) < 0)
        return err_no_memory(err, reader->path);
    reader->decoder->pkt_timebase = reader->container.stream->time_base;
    reader->decoder->thread_count = 1;
    reader->decoder->max_pixels = PICTURE_MOST_PIXELS;
    int code = ff.avcodec_open2(reader->decoder, codec, NULL);
    if (code < 0)
        return err_set(err, ERR_DATA, "'%s' cannot be decoded as %s: %s", reader->path, codec->name, ffmpeg_error(code));
    return 0;
}

void reader_close(struct reader *reader)
{
    ff.av_frame_free(&reader->frame);
    ff.avcodec_free_context(&reader->decoder);
    container_close(&reader->container);
    painter_free(&reader->painter);
}

/* The first target whose rank is at least `rank`. */
static size_t target_from(const struct reader *reader, uint32_t rank)
{
    size_t low = 0, high = reader->n_targets;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (reader->targets[middle].rank < rank)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int paint_target(struct reader *reader, const AVFrame *frame, struct target *target, int state, struct err *err)
{
    int rc = painter_paint(&reader->painter, frame, target->dst, err);
    if (rc < 0)
        return err_prefix(err, "frame %u of '%s'", (unsigned)target->rank, reader->path);
    reader->n_exact += state == TARGET_EXACT;
    target->state = state;
    return 0;
}

static int paint_exact(struct reader *reader, const AVFrame *frame, uint32_t rank, struct err *err)
{
    size_t i = target_from(reader, rank);
    if (i == reader->n_targets || reader->targets[i].rank != rank || reader->targets[i].state == TARGET_EXACT)
        return 0;
    return paint_target(reader, frame, &reader->targets[i], TARGET_EXACT, err);
}

/* The decoder found bytes that make no sense, and filled the picture with guesses. */
static bool is_damaged(const AVFrame *frame)
{
    return frame->flags & AV_FRAME_FLAG_CORRUPT || frame->decode_error_flags != 0;
}

/* ---- The cheap pass: 0, READER_UNSURE, or an error. ---- */

/* Whether a frame that nothing refers to can be left out without a trace. HEVC's flag speaks of one temporal layer only, VP8 and VP9
 * carry state from every frame to the next, and the other field of an interlaced picture may be referred to. */
static bool can_skip(const AVCodecParameters *parameters)
{
    if (parameters->field_order != AV_FIELD_PROGRESSIVE && parameters->field_order != AV_FIELD_UNKNOWN)
        return false;
    switch (parameters->codec_id) {
    case AV_CODEC_ID_H264:
    case AV_CODEC_ID_MPEG4:
    case AV_CODEC_ID_MPEG2VIDEO:
    case AV_CODEC_ID_MPEG1VIDEO:
        return true;
    default:
        return false;
    }
}

/* The picture that was sought must be one that decoding can start with, whatever the container says. */
static bool is_false_key(const struct reader *reader, const AVFrame *frame, int64_t rank)
{
    return reader->sought > 0 && rank == reader->table->entries[reader->sought].rank && !frame->key_frame;
}

/* Sends a packet, or NULL to get what the decoder holds back. A packet that fails shows as a target that stays missing. */
static int some_send(struct reader *reader, const AVPacket *packet, struct err *err)
{
    AVFrame *frame = reader->frame;
    int rc = 0;
    (void)ff.avcodec_send_packet(reader->decoder, packet);
    while (rc == 0 && ff.avcodec_receive_frame(reader->decoder, frame) == 0) {
        int64_t rank = packet_table_rank(reader->table, frame->pts);
        if (is_false_key(reader, frame, rank))
            rc = READER_UNSURE;
        else if (rank != PACKET_NONE && !is_damaged(frame))
            rc = paint_exact(reader, frame, (uint32_t)rank, err);
        ff.av_frame_unref(frame);
    }
    return rc;
}

/* Reads the next packet, makes sure that it is the one in the table, and decodes it. */
static int some_step(struct reader *reader, struct err *err)
{
    if (atomic_load(reader->give_up) || (!reader->holding && !container_next(&reader->container)))
        return READER_UNSURE;
    reader->holding = false;
    const AVPacket *packet = reader->container.packet;
    const struct packet_entry *entry = &reader->table->entries[reader->at];
    if (packet->pts != entry->pts || packet->size != entry->size)
        return READER_UNSURE;
    bool skip = reader->may_skip && !reader->wanted[reader->at];
    reader->decoder->skip_frame = skip ? AVDISCARD_NONREF : AVDISCARD_DEFAULT;
    reader->at++;
    return packet->size > 0 ? some_send(reader, packet, err) : 0;
}

static int some_decode_to(struct reader *reader, uint32_t end, struct err *err)
{
    int rc = 0;
    while (rc == 0 && reader->at < end)
        rc = some_step(reader, err);
    return rc;
}

/* Seeks to a time and reads on to the packet that is sought. False when the container comes out behind it, or nowhere. */
static bool some_arrive(struct reader *reader, int64_t time, uint32_t place)
{
    const struct packet_table *table = reader->table;
    struct container *container = &reader->container;
    if (time == AV_NOPTS_VALUE || ff.av_seek_frame(container->format, container->stream->index, time, AVSEEK_FLAG_BACKWARD) < 0)
        return false;
    while (container_next(container)) {
        int64_t rank = packet_table_rank(table, container->packet->pts);
        if (rank != PACKET_NONE && table->by_rank[rank] >= place)
            return table->by_rank[rank] == place;
    }
    return false;
}

/* Containers with an index are sought by the time of showing, which in others (MPEG streams) comes out too late. */
static int some_seek(struct reader *reader, uint32_t place)
{
    const struct packet_entry *entry = &reader->table->entries[place];
    ff.avcodec_flush_buffers(reader->decoder);
    if (reader->seek_by_dts || !some_arrive(reader, entry->pts, place)) {
        reader->seek_by_dts = true;
        if (!some_arrive(reader, entry->dts, place))
            return READER_UNSURE;
    }
    reader->at = reader->sought = place;
    reader->holding = true;
    return 0;
}

/* Takes from the decoder what it holds back and makes sure that the first `n` targets have their pictures. H.264 drops frames that it
 * does not trust yet, among them good ones that it has to give away early: these are decoded again, from one key picture before. */
static int some_collect(struct reader *reader, size_t n, struct err *err)
{
    int rc = some_send(reader, NULL, err);
    if (rc != 0 || reader->n_exact == n)
        return rc;
    uint32_t end = reader->at;
    if (reader->sought == 0)
        return READER_UNSURE;
    if ((rc = some_seek(reader, packet_table_start(reader->table, reader->sought - 1))) != 0 ||
        (rc = some_decode_to(reader, end, err)) != 0 || (rc = some_send(reader, NULL, err)) != 0)
        return rc;
    return reader->n_exact == n ? 0 : READER_UNSURE;
}

int reader_read_some(struct reader *reader, struct err *err)
{
    int rc = reader_open(reader, err);
    reader->may_skip = rc == 0 && can_skip(reader->container.stream->codecpar);
    for (size_t i = 0; rc == 0 && i < reader->n_targets; i++) {
        uint32_t place = reader->table->by_rank[reader->targets[i].rank];
        uint32_t start = packet_table_start(reader->table, place);
        if (start > reader->at && start - reader->at >= SEEK_GAIN && (rc = some_collect(reader, i, err)) == 0)
            rc = some_seek(reader, start);
        if (rc == 0)
            rc = some_decode_to(reader, place + 1, err);
    }
    if (rc == 0)
        rc = some_collect(reader, reader->n_targets, err);
    if (rc != 0)
        atomic_store(reader->give_up, true);
    return rc;
}

/* ---- The pass that defines the frames. ---- */

struct whole_pass {
    struct reader *reader;
    bool *failed;        /* [table->n] by rank */
    AVFrame *last;       /* the one of the highest rank so far */
    int64_t last_rank;
    uint32_t n_shown;
    size_t cursor;       /* targets before it have a picture */
};

static int64_t all_rank_of(struct whole_pass *pass, const AVFrame *frame)
{
    const struct packet_table *table = pass->reader->table;
    if (table->timed)
        return packet_table_rank(table, frame->pts);
    return pass->n_shown < table->n ? (int64_t)pass->n_shown++ : PACKET_NONE;
}

/* Targets below `rank` that have no picture yet take this one, for the time being: theirs may still come. */
static int all_offer(struct whole_pass *pass, const AVFrame *frame, uint32_t rank, struct err *err)
{
    struct reader *reader = pass->reader;
    int rc = paint_exact(reader, frame, rank, err);
    size_t end = target_from(reader, rank);
    for (; rc == 0 && pass->cursor < end; pass->cursor++)
        if (reader->targets[pass->cursor].state == TARGET_MISSING)
            rc = paint_target(reader, frame, &reader->targets[pass->cursor], TARGET_REPLACED, err);
    if (rc == 0 && rank > pass->last_rank) {
        pass->last_rank = rank;
        ff.av_frame_unref(pass->last);
        if (ff.av_frame_ref(pass->last, frame) < 0)
            rc = err_no_memory(err, reader->path);
    }
    return rc;
}

/* A packet that fails shows no frame; where frames are counted it still counts, so that those behind it keep their places. */
static void all_note_failure(struct whole_pass *pass)
{
    const struct packet_table *table = pass->reader->table;
    if (pass->reader->at == table->n)
        return;
    uint32_t rank = table->timed ? table->entries[pass->reader->at].rank : pass->n_shown++;
    if (rank < table->n)
        pass->failed[rank] = true;
}

static int all_take_frame(struct whole_pass *pass, const AVFrame *frame, struct err *err)
{
    int64_t rank = all_rank_of(pass, frame);
    if (rank == PACKET_NONE)
        return 0;
    if (!is_damaged(frame))
        return all_offer(pass, frame, (uint32_t)rank, err);
    pass->failed[rank] = true;
    return 0;
}

/* Sends a packet, or NULL to get what the decoder holds back. */
static int all_send(struct whole_pass *pass, const AVPacket *packet, struct err *err)
{
    struct reader *reader = pass->reader;
    int rc = 0, code = ff.avcodec_send_packet(reader->decoder, packet);
    while (rc == 0 && code >= 0) {
        code = ff.avcodec_receive_frame(reader->decoder, reader->frame);
        if (code >= 0)
            rc = all_take_frame(pass, reader->frame, err);
        ff.av_frame_unref(reader->frame);
    }
    if (code < 0 && code != AVERROR(EAGAIN) && code != AVERROR_EOF)
        all_note_failure(pass);
    return rc;
}

/* At the end: targets behind the last frame repeat it, but a frame that failed in the middle is an error. */
static int all_settle(struct whole_pass *pass, struct err *err)
{
    struct reader *reader = pass->reader;
    if (pass->last_rank == PACKET_NONE)
        return err_set(err, ERR_DATA, "'%s': none of its %u packets of video can be decoded as %s; get the file again", reader->path,
                       (unsigned)reader->table->n, reader->decoder->codec->name);
    for (size_t i = 0; i < reader->n_targets; i++) {
        struct target *target = &reader->targets[i];
        int rc = 0;
        if (target->state == TARGET_REPLACED && pass->failed[target->rank])
            return err_set(err, ERR_DATA, "frame %u of '%s' cannot be decoded, although frames behind it can: the file is damaged; "
                           "get it again", (unsigned)target->rank, reader->path);
        if (target->state == TARGET_MISSING)
            rc = paint_target(reader, pass->last, target, TARGET_REPLACED, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int all_decode(struct whole_pass *pass, struct err *err)
{
    struct reader *reader = pass->reader;
    int rc = 0;
    for (; rc == 0 && reader->at < reader->table->n && reader->n_exact < reader->n_targets; reader->at++) {
        if (!container_next(&reader->container))
            break;
        if (reader->container.packet->size > 0)
            rc = all_send(pass, reader->container.packet, err);
    }
    if (rc == 0 && reader->n_exact < reader->n_targets)
        rc = all_send(pass, NULL, err);
    return rc == 0 ? all_settle(pass, err) : rc;
}

int reader_read_all(struct reader *reader, struct err *err)
{
    struct whole_pass pass = {.reader = reader, .last_rank = PACKET_NONE};
    int rc = reader_open(reader, err);
    if (rc < 0)
        return rc;
    pass.failed = calloc(reader->table->n, sizeof *pass.failed);
    pass.last = ff.av_frame_alloc();
    rc = pass.failed && pass.last ? all_decode(&pass, err) : err_no_memory(err, reader->path);
    ff.av_frame_free(&pass.last);
    free(pass.failed);
    return rc;
}
