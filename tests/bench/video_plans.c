/* video_plans: what reading frames costs here beside the plan of decord's reader, in one process, on videos that are made for it.
 *
 *   video_plans make OUT.mp4 WIDTH HEIGHT GOP FRAMES KBITS   encodes a drifting texture with x264, B-frames as by default
 *   video_plans loop IN.mp4 OUT.mp4 MINUTES                  the same packets again and again
 *   video_plans compare FILE.mp4 BASE.mp4 N OF               reads the first N of OF evenly spread frames both ways, in turn, twice
 *
 * compare prints how many of the frames no other refers to, seconds of processors and of the clock, each the least of its runs, the
 * ratios, and whether all pictures are those that decoding BASE from its start gives. The plan is that of dmlc/decord
 * src/video/video_reader.cc (0.6.0): an index from all packets; decoding goes
 * forward inside the group of pictures that is being decoded, else to the start and on to the key picture, whose colours are converted to
 * see where the seek has led; frames before the one that is wanted are decoded and dropped. Its decoder has FFmpeg's own choice of threads.
 * Both ways convert colours by the same code. tests/bench/video_plans.sh runs it all. */
#include "core/clock.h"
#include "core/rng.h"
#include "datasets/container.h"
#include "datasets/picture.h"
#include "datasets/video.h"

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { FPS = 30, MOST = 4096, CHANNELS = 3, TEXTURE = 1024, RUNS = 2 };

static void die(const char *what, int code)
{
    fprintf(stderr, "error: %s%s%s\n", what, code ? ": " : "", code ? av_err2str(code) : "");
    exit(1);
}

static int checked(int code, const char *what)
{
    if (code < 0)
        die(what, code);
    return code;
}

static void *made(void *memory)
{
    if (!memory)
        die("no memory", 0);
    return memory;
}

/* ---- making --------------------------------------------------------------------------------------------------------------- */

/* Smooth noise that repeats, in several sizes of grain. */
static uint8_t *texture_new(void)
{
    uint8_t *texture = made(malloc(TEXTURE * TEXTURE));
    for (int y = 0; y < TEXTURE; y++)
        for (int x = 0; x < TEXTURE; x++) {
            double value = 0;
            for (int grain = 4; grain <= 256; grain *= 4)
                value += sin(x * 6.2831853 / grain + 3 * sin(y * 6.2831853 / grain * 2)) * cos(y * 6.2831853 / grain) * 12;
            texture[y * TEXTURE + x] = (uint8_t)(128 + value + (double)(rng_u64(1, 2, (uint64_t)(y * TEXTURE + x)) % 24));
        }
    return texture;
}

/* Two layers that drift apart, and grain that is another in each frame. */
static void paint(AVFrame *frame, const uint8_t *texture, int i)
{
    uint64_t grain = rng_u64(3, 4, (uint64_t)i) | 1;
    for (int y = 0; y < frame->height; y++) {
        uint8_t *row = frame->data[0] + (ptrdiff_t)y * frame->linesize[0];
        const uint8_t *far = texture + (y + i / 2) % TEXTURE * TEXTURE, *near = texture + (y / 2 + 3 * i) % TEXTURE * TEXTURE;
        for (int x = 0; x < frame->width; x++) {
            grain = grain * 6364136223846793005u + 1442695040888963407u;
            bool in_front = ((x + 5 * i) / 160 + (y + 2 * i) / 120) % 3 == 0;
            row[x] = (uint8_t)((in_front ? near[(x / 2 + 7 * i) % TEXTURE] : far[(x + i) % TEXTURE]) + (grain >> 62));
        }
    }
    for (int plane = 1; plane < 3; plane++)
        for (int y = 0; y < frame->height / 2; y++)
            memcpy(frame->data[plane] + (ptrdiff_t)y * frame->linesize[plane], texture + (y + plane * 100 + i) % TEXTURE * TEXTURE,
                   (size_t)frame->width / 2);
}

struct output {
    AVFormatContext *format;
    AVStream *stream;
    AVPacket *packet;
};

static struct output output_open(const char *path)
{
    struct output out = {.packet = made(av_packet_alloc())};
    checked(avformat_alloc_output_context2(&out.format, NULL, "mp4", path), path);
    out.stream = made(avformat_new_stream(out.format, NULL));
    checked(avio_open(&out.format->pb, path, AVIO_FLAG_WRITE), path);
    return out;
}

static void output_close(struct output *out)
{
    checked(av_write_trailer(out->format), "the end of a file");
    checked(avio_closep(&out->format->pb), "the end of a file");
    avformat_free_context(out->format);
    av_packet_free(&out->packet);
}

static AVCodecContext *encoder_open(int width, int height, int gop, int kbits)
{
    const AVCodec *codec = avcodec_find_encoder(AV_CODEC_ID_H264);
    AVCodecContext *encoder = made(codec ? avcodec_alloc_context3(codec) : NULL);
    AVDictionary *options = NULL;
    encoder->width = width;
    encoder->height = height;
    encoder->time_base = (AVRational){1, FPS};
    encoder->framerate = (AVRational){FPS, 1};
    encoder->pix_fmt = AV_PIX_FMT_YUV420P;
    encoder->gop_size = gop;
    encoder->bit_rate = kbits * 1000;
    encoder->thread_count = 1;
    encoder->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    checked(av_dict_set(&options, "preset", "veryfast", 0), "options");
    checked(avcodec_open2(encoder, codec, &options), "x264");
    av_dict_free(&options);
    return encoder;
}

static void encode(AVCodecContext *encoder, const AVFrame *frame, struct output *out)
{
    checked(avcodec_send_frame(encoder, frame), "encoding");
    while (avcodec_receive_packet(encoder, out->packet) >= 0) {
        out->packet->duration = 1;
        av_packet_rescale_ts(out->packet, encoder->time_base, out->stream->time_base);
        checked(av_interleaved_write_frame(out->format, out->packet), "writing");
    }
}

static void make(const char *path, int width, int height, int gop, int n, int kbits)
{
    AVCodecContext *encoder = encoder_open(width, height, gop, kbits);
    struct output out = output_open(path);
    AVFrame *frame = made(av_frame_alloc());
    uint8_t *texture = texture_new();
    frame->width = width;
    frame->height = height;
    frame->format = AV_PIX_FMT_YUV420P;
    checked(av_frame_get_buffer(frame, 0), "a frame");
    checked(avcodec_parameters_from_context(out.stream->codecpar, encoder), "parameters");
    out.stream->time_base = encoder->time_base;
    checked(avformat_write_header(out.format, NULL), path);
    for (int i = 0; i < n; i++) {
        checked(av_frame_make_writable(frame), "a frame");
        paint(frame, texture, i);
        frame->pts = i;
        encode(encoder, frame, &out);
    }
    encode(encoder, NULL, &out);
    output_close(&out);
    av_frame_free(&frame);
    avcodec_free_context(&encoder);
    free(texture);
}

/* One pass over the input's packets, later by so many of its time units. False when the output is long enough. */
static bool copy_once(struct container *in, struct output *out, int64_t later, int64_t end)
{
    while (container_next(in)) {
        AVPacket *packet = in->packet;
        if (packet->flags & AV_PKT_FLAG_KEY && packet->pts + later >= end)
            return false;
        packet->pts += later;
        packet->dts += later;
        packet->stream_index = 0;
        av_packet_rescale_ts(packet, in->stream->time_base, out->stream->time_base);
        checked(av_interleaved_write_frame(out->format, packet), "writing");
    }
    return true;
}

static void loop(const char *from, const char *to, int minutes)
{
    struct output out = output_open(to);
    struct container in;
    struct err err;
    bool more = true;
    for (int64_t turn = 0; more; turn++) {
        if (container_open(&in, from, &err))
            die(err.text, 0);
        if (!turn) {
            checked(avcodec_parameters_copy(out.stream->codecpar, in.stream->codecpar), "parameters");
            out.stream->codecpar->codec_tag = 0;
            out.stream->time_base = in.stream->time_base;
            checked(avformat_write_header(out.format, NULL), to);
        }
        int64_t second = in.stream->time_base.den / in.stream->time_base.num;
        more = copy_once(&in, &out, turn * in.stream->duration, minutes * 60 * second);
        container_close(&in);
    }
    output_close(&out);
}

/* ---- both ways ------------------------------------------------------------------------------------------------------------ */

/* Cheap beside decoding. */
static uint64_t hash_of(const uint8_t *bytes, size_t n)
{
    uint64_t hash = n, word;
    for (; n >= sizeof word; n -= sizeof word, bytes += sizeof word) {
        memcpy(&word, bytes, sizeof word);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 29;
    }
    while (n--)
        hash = (hash ^ *bytes++) * 0x9e3779b97f4a7c15u;
    return hash;
}

struct spent { double processor, wall; };

static struct spent spent_now(void)
{
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (struct spent){(double)used.tv_sec + 1e-9 * (double)used.tv_nsec, now_s()};
}

/* What is read, and what came of it. */
struct task {
    const char *path;
    uint32_t index[MOST];
    size_t n;
    int width, height;
    uint64_t hashes[MOST]; /* of the pictures */
    long n_decoded;
};

/* decord's reader on its way. */
struct walk {
    struct task *task;
    struct container in;
    struct packet_table table;
    AVCodecContext *decoder;
    AVFrame *frame;
    struct painter painter;
    uint8_t *rgb;
    int64_t at;  /* rank of the frame that comes out next */
    bool ended;
};

static void walk_open(struct walk *walk, struct task *task)
{
    struct err err;
    *walk = (struct walk){.task = task, .frame = made(av_frame_alloc()), .painter = {.width = task->width, .height = task->height}};
    if (container_open(&walk->in, task->path, &err) || packet_table_read(&walk->table, &walk->in, task->path, &err))
        die(err.text, 0);
    const AVCodecParameters *parameters = walk->in.stream->codecpar;
    const AVCodec *codec = avcodec_find_decoder(parameters->codec_id);
    walk->decoder = made(avcodec_alloc_context3(codec));
    checked(avcodec_parameters_to_context(walk->decoder, parameters), "parameters");
    walk->decoder->thread_count = 0;
    walk->decoder->pkt_timebase = walk->in.stream->time_base;
    checked(avcodec_open2(walk->decoder, codec, NULL), "a decoder");
    walk->rgb = made(malloc((size_t)task->width * (size_t)task->height * CHANNELS));
    walk->at = walk->table.n;
}

static void walk_close(struct walk *walk)
{
    avcodec_free_context(&walk->decoder);
    av_frame_free(&walk->frame);
    container_close(&walk->in);
    packet_table_free(&walk->table);
    painter_free(&walk->painter);
    free(walk->rgb);
}

/* The next frame, whichever it is. */
static void walk_step(struct walk *walk)
{
    int code;
    av_frame_unref(walk->frame);
    while ((code = avcodec_receive_frame(walk->decoder, walk->frame)) == AVERROR(EAGAIN)) {
        bool more = !walk->ended && container_next(&walk->in);
        walk->ended = !more;
        checked(avcodec_send_packet(walk->decoder, more ? walk->in.packet : NULL), "decoding");
    }
    checked(code, "decoding");
    walk->task->n_decoded++;
    walk->at++;
}

static void walk_seek(struct walk *walk, int64_t rank, int flags)
{
    avcodec_flush_buffers(walk->decoder);
    int64_t time = walk->table.entries[walk->table.by_rank[rank]].pts;
    if (av_seek_frame(walk->in.format, walk->in.stream->index, time, flags) < 0)
        checked(av_seek_frame(walk->in.format, walk->in.stream->index, time, AVSEEK_FLAG_BACKWARD), "seeking");
    walk->ended = false;
    walk->at = rank;
}

static int64_t key_of(const struct walk *walk, int64_t rank)
{
    return rank < walk->table.n ? (int64_t)packet_table_start(&walk->table, walk->table.by_rank[rank]) : PACKET_NONE;
}

static void walk_convert(struct walk *walk)
{
    struct err err;
    if (painter_paint(&walk->painter, walk->frame, walk->rgb, &err))
        die(err.text, 0);
}

/* Leaves the picture in walk->rgb. */
static void walk_to(struct walk *walk, int64_t rank)
{
    int64_t key = key_of(walk, rank);
    if (rank != walk->at && (key != key_of(walk, walk->at) || rank < walk->at)) {
        walk_seek(walk, 0, AVSEEK_FLAG_BACKWARD);
        walk_seek(walk, walk->table.entries[key].rank, 0);
        walk_step(walk);
        walk_convert(walk); /* is it that key picture? */
    }
    while (walk->at <= rank)
        walk_step(walk);
    if (walk->frame->pts != walk->table.entries[walk->table.by_rank[rank]].pts)
        die("the plan has come to another frame", 0);
    walk_convert(walk);
}

static void read_as_planned(struct task *task)
{
    struct walk walk;
    walk_open(&walk, task);
    for (size_t i = 0; i < task->n; i++) {
        walk_to(&walk, task->index[i]);
        task->hashes[i] = hash_of(walk.rgb, (size_t)task->width * (size_t)task->height * CHANNELS);
    }
    walk_close(&walk);
}

static void read_here(struct task *task)
{
    struct err err;
    struct video *video;
    struct frames frames;
    size_t n_replaced, bytes = (size_t)task->width * (size_t)task->height * CHANNELS;
    const struct video_ref ref = {.id = task->path, .path = task->path, .start_s = -1, .end_s = -1};
    if (video_open(&video, &ref, (int)sysconf(_SC_NPROCESSORS_ONLN), &err) ||
        video_read(video, task->index, task->n, 0, &frames, &n_replaced, &err))
        die(err.text, 0);
    for (size_t i = 0; i < task->n; i++)
        task->hashes[i] = hash_of(frames.rgb + i * bytes, bytes);
    frames_free(&frames);
    video_close(video);
}

/* ---- the truth, and the comparison ----------------------------------------------------------------------------------------- */

static void task_make(struct task *task, const char *path, size_t n, size_t of)
{
    const struct video_ref ref = {.id = path, .path = path, .start_s = -1, .end_s = -1};
    struct video *video;
    struct err err;
    if (video_open(&video, &ref, 1, &err))
        die(err.text, 0);
    const struct video_facts *facts = video_facts(video);
    *task = (struct task){.path = path, .n = n, .width = facts->width, .height = facts->height};
    frame_indices(FRAMES_UNIFORM, facts->n_frames, facts->fps, 0, facts->n_frames - 1, of, task->index);
    video_close(video);
}

/* Decodes the base from its start and counts the pictures that are not those of its frames; the file repeats the base. */
static size_t count_wrong(const struct task *task, const char *base)
{
    struct task truth = *task;
    struct walk walk;
    size_t n_wrong = 0;
    truth.path = base;
    walk_open(&walk, &truth);
    uint64_t *hashes = made(calloc(walk.table.n, sizeof *hashes));
    bool *wanted = made(calloc(walk.table.n, sizeof *wanted));
    for (size_t i = 0; i < task->n; i++)
        wanted[task->index[i] % walk.table.n] = true;
    walk_seek(&walk, 0, AVSEEK_FLAG_BACKWARD);
    for (uint32_t k = 0; k < walk.table.n; k++) {
        walk_step(&walk);
        if (!wanted[k])
            continue;
        walk_convert(&walk);
        hashes[k] = hash_of(walk.rgb, (size_t)task->width * (size_t)task->height * CHANNELS);
    }
    for (size_t i = 0; i < task->n; i++)
        n_wrong += task->hashes[i] != hashes[task->index[i] % walk.table.n];
    free(hashes);
    free(wanted);
    walk_close(&walk);
    return n_wrong;
}

/* Share of the packets that no other frame refers to (nal_ref_idc 0), in per cent. */
static double unreferenced(const char *path)
{
    enum { LENGTH = 4, SLICE = 1, KEY_SLICE = 5 };
    struct container in;
    struct err err;
    double n = 0, n_free = 0;
    if (container_open(&in, path, &err))
        die(err.text, 0);
    for (; container_next(&in); n++)
        for (const uint8_t *at = in.packet->data, *end = at + in.packet->size; end - at > LENGTH;) {
            size_t length = (size_t)at[0] << 24 | (size_t)at[1] << 16 | (size_t)at[2] << 8 | at[3];
            if ((at[LENGTH] & 31) == SLICE || (at[LENGTH] & 31) == KEY_SLICE) {
                n_free += (at[LENGTH] >> 5 & 3) == 0;
                break;
            }
            at += length < (size_t)(end - at - LENGTH) ? length + LENGTH : (size_t)(end - at);
        }
    container_close(&in);
    return 100 * n_free / n;
}

static struct spent timed(void (*read)(struct task *task), struct task *task)
{
    struct spent before = spent_now();
    read(task);
    struct spent after = spent_now();
    return (struct spent){after.processor - before.processor, after.wall - before.wall};
}

static struct spent least(struct spent a, struct spent b)
{
    return (struct spent){fmin(a.processor, b.processor), fmin(a.wall, b.wall)};
}

static void compare(const char *path, const char *base, size_t n, size_t of)
{
    static struct task plan, here;
    struct spent planned = {INFINITY, INFINITY}, ours = planned;
    if (!n || n > of || of > MOST)
        die("N and OF should be 1 <= N <= OF <= 4096", 0);
    task_make(&plan, path, n, of);
    here = plan;
    for (int run = 0; run < RUNS; run++) {
        plan.n_decoded = 0;
        planned = least(planned, timed(read_as_planned, &plan));
        ours = least(ours, timed(read_here, &here));
    }
    size_t wrong = count_wrong(&here, base);
    bool alike = !memcmp(plan.hashes, here.hashes, n * sizeof *here.hashes);
    printf("%-24s %4d x %-4d  %.0f %% free, plan %6ld decoded, %7.2f s of processors, %7.2f s; here %7.2f s, %7.2f s; "
           "ratio %.2f, %.2f; pictures %s\n",
           path, here.width, here.height, unreferenced(base), plan.n_decoded, planned.processor, planned.wall, ours.processor, ours.wall,
           ours.processor / planned.processor, ours.wall / planned.wall, wrong ? "DIFFER" : alike ? "equal" : "differ in the plan");
    if (wrong)
        exit(1);
}

int main(int argc, char **argv)
{
    av_log_set_level(AV_LOG_ERROR);
    if (argc == 8 && !strcmp(argv[1], "make"))
        make(argv[2], atoi(argv[3]), atoi(argv[4]), atoi(argv[5]), atoi(argv[6]), atoi(argv[7]));
    else if (argc == 5 && !strcmp(argv[1], "loop"))
        loop(argv[2], argv[3], atoi(argv[4]));
    else if (argc == 6 && !strcmp(argv[1], "compare"))
        compare(argv[2], argv[3], (size_t)atoi(argv[4]), (size_t)atoi(argv[5]));
    else
        die("usage: video_plans make OUT WIDTH HEIGHT GOP FRAMES KBITS | loop IN OUT MINUTES | compare FILE BASE N OF", 0);
    return 0;
}
