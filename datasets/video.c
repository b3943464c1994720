/* Videos: from what a benchmark names to the frames that were asked for (manifest -> frames).
 *
 * Opening makes the table that says which frame is which; reading turns indices into targets, hands contiguous parts of them to
 * readers on their own threads, and goes back to one pass over the whole file when the container turns out to be unreliable. */
#include "datasets/video.h"

#include "core/clock.h"
#include "datasets/container.h"
#include "datasets/ffmpeg.h"
#include "datasets/folder.h"
#include "datasets/reader.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { CHANNELS = 3, MOST_THREADS = 64, LEAST_TARGETS = 4 /* of one reader: fewer do not pay for opening the file again */ };

struct video {
    char *path;
    struct video_facts facts;
    int threads;
    struct packet_table table; /* of a file */
    AVRational time_base;
    struct folder folder; /* of a folder */
    bool is_folder;
};

const struct video_facts *video_facts(const struct video *video)
{
    return &video->facts;
}

void video_close(struct video *video)
{
    if (!video)
        return;
    packet_table_free(&video->table);
    folder_free(&video->folder);
    free(video->path);
    free(video);
}

/* Clockwise degrees, by quarters; a matrix that does anything else is left alone, as decord does. */
static int rotation_of(const AVStream *stream)
{
    size_t size = 0;
    const uint8_t *matrix = ff.av_stream_get_side_data(stream, AV_PKT_DATA_DISPLAYMATRIX, &size);
    if (!matrix || size < 9 * sizeof(int32_t))
        return 0;
    double quarters = -ff.av_display_rotation_get((const int32_t *)(const void *)matrix) / 90;
    if (isnan(quarters) || fabs(quarters - rint(quarters)) > 0.01)
        return 0;
    return ((int)rint(quarters) + 4) % 4 * 90;
}

static double rate_of(const AVStream *stream)
{
    if (stream->avg_frame_rate.num > 0 && stream->avg_frame_rate.den > 0)
        return av_q2d(stream->avg_frame_rate);
    if (stream->r_frame_rate.num > 0 && stream->r_frame_rate.den > 0)
        return av_q2d(stream->r_frame_rate);
    return 1;
}

int video_header(const char *path, double *fps, int64_t *n_frames, struct err *err)
{
    struct container container;
    *fps = 0;
    *n_frames = 0;
    int rc = container_open(&container, path, err);
    if (rc)
        return rc;
    AVRational rate = ff.av_guess_frame_rate(container.format, container.stream, NULL);
    *fps = rate.num && rate.den ? av_q2d(rate) : 0;
    double seconds = (double)container.format->duration / AV_TIME_BASE;
    if (seconds < 0.000025) /* OpenCV's zero */
        seconds = (double)container.stream->duration * av_q2d(container.stream->time_base);
    *n_frames = container.stream->nb_frames ? container.stream->nb_frames : (int64_t)floor(seconds * *fps + 0.5);
    container_close(&container);
    return 0;
}

static int video_open_file(struct video *video, struct err *err)
{
    struct container container;
    int rc = container_open(&container, video->path, err);
    if (rc < 0)
        return rc;
    if ((rc = packet_table_read(&video->table, &container, video->path, err)) < 0)
        goto done;
    const AVCodecParameters *parameters = container.stream->codecpar;
    if (parameters->width <= 0 || parameters->height <= 0) {
        rc = err_set(err, ERR_DATA, "'%s' does not say how large its pictures are; it may have been cut off", video->path);
        goto done;
    }
    video->time_base = container.stream->time_base;
    int rotation = rotation_of(container.stream);
    bool lies = rotation % 180 != 0;
    video->facts = (struct video_facts){
        .width = lies ? parameters->height : parameters->width,
        .height = lies ? parameters->width : parameters->height,
        .n_frames = video->table.n,
        .fps = rate_of(container.stream),
        .rotation = rotation,
    };
done:
    container_close(&container);
    return rc;
}

static int video_open_folder(struct video *video, double fps, struct err *err)
{
    int rc = folder_list(&video->folder, video->path, err);
    if (rc < 0)
        return rc;
    AVFrame *frame = ff.av_frame_alloc();
    if (!frame)
        return err_no_memory(err, video->path);
    if ((rc = folder_decode(video->folder.paths[0], frame, err)) == 0)
        video->facts = (struct video_facts){
            .width = frame->width, .height = frame->height, .n_frames = video->folder.n, .fps = fps > 0 ? fps : 1,
        };
    ff.av_frame_free(&frame);
    return rc;
}

int video_open(struct video **out, const struct video_ref *ref, int threads, struct err *err)
{
    *out = NULL;
    int rc = ffmpeg_open(err);
    if (rc)
        return rc;
    struct video *video = calloc(1, sizeof *video);
    if (!video || !(video->path = strdup(ref->path))) {
        video_close(video);
        return err_no_memory(err, ref->path);
    }
    video->threads = threads < 1 ? 1 : threads > MOST_THREADS ? MOST_THREADS : threads;
    video->is_folder = ref->is_folder;
    rc = video->is_folder ? video_open_folder(video, ref->folder_fps, err) : video_open_file(video, err);
    if (rc < 0) {
        video_close(video);
        return rc;
    }
    video->facts.duration_s = video->facts.n_frames / video->facts.fps;
    *out = video;
    return 0;
}

/* ---- Reading ---- */

static size_t picture_bytes(const struct frames *frames)
{
    return (size_t)frames->width * (size_t)frames->height * CHANNELS;
}

static double time_of(const struct video *video, uint32_t index)
{
    const struct packet_table *table = &video->table;
    if (video->is_folder || !table->timed)
        return index / video->facts.fps;
    int64_t from_first = table->entries[table->by_rank[index]].pts - table->entries[table->by_rank[0]].pts;
    return (double)from_first * av_q2d(video->time_base);
}

static int frames_make(struct frames *out, const struct video *video, const uint32_t *index, size_t n, int side, struct err *err)
{
    *out = (struct frames){
        .width = side ? side : video->facts.width,
        .height = side ? side : video->facts.height,
        .n = n,
        .index = malloc((n + 1) * sizeof *out->index),
        .time_s = malloc((n + 1) * sizeof *out->time_s),
    };
    size_t bytes = picture_bytes(out);
    if (n < SIZE_MAX / bytes)
        out->rgb = malloc(n * bytes + 1);
    if (!out->index || !out->time_s || !out->rgb) {
        frames_free(out);
        return err_set(err, ERR_MEMORY, "out of memory for %zu pictures of %zu bytes from '%s'; ask for fewer frames", n, bytes,
                       video->path);
    }
    for (size_t i = 0; i < n; i++) {
        out->index[i] = index[i];
        out->time_s[i] = time_of(video, index[i]);
    }
    return 0;
}

static int read_folder(const struct video *video, struct frames *out, int side, struct err *err)
{
    AVFrame *frame = ff.av_frame_alloc();
    if (!frame)
        return err_no_memory(err, video->path);
    struct painter painter = {.from_files = true, .side = side, .width = out->width, .height = out->height};
    double start = now_ms();
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < out->n; i++) {
        const char *path = video->folder.paths[out->index[i]];
        if ((rc = folder_decode(path, frame, err)) == 0 &&
            (rc = painter_paint(&painter, frame, out->rgb + i * picture_bytes(out), err)) < 0)
            err_prefix(err, "'%s'", path);
        ff.av_frame_unref(frame);
    }
    out->resize_ms = painter.resize_ms;
    out->decode_ms = now_ms() - start - painter.resize_ms;
    painter_free(&painter);
    ff.av_frame_free(&frame);
    return rc;
}

/* The nearest frame at or behind `rank` that the container both holds and shows; without one the nearest before it. */
static int64_t nearest_shown(const struct packet_table *table, uint32_t rank)
{
    for (uint32_t k = rank; k < table->n; k++)
        if (!table->entries[table->by_rank[k]].hidden && !table->entries[table->by_rank[k]].damaged)
            return k;
    for (uint32_t k = rank; k-- > 0;)
        if (!table->entries[table->by_rank[k]].hidden && !table->entries[table->by_rank[k]].damaged)
            return k;
    return PACKET_NONE;
}

/* What picture `index` shows. Only where frames are told by their times does the table know what a packet will show. */
static int rank_to_decode(const struct video *video, uint32_t index, uint32_t *rank, struct err *err)
{
    *rank = index;
    if (!video->table.timed)
        return 0;
    uint32_t place = video->table.by_rank[index];
    if (video->table.entries[place].damaged && place < video->table.n_whole)
        return err_set(err, ERR_DATA, "frame %u of '%s' is incomplete, although the file goes on behind it: it is damaged; get it again",
                       (unsigned)index, video->path);
    int64_t shown = nearest_shown(&video->table, index);
    if (shown == PACKET_NONE)
        return err_set(err, ERR_DATA, "'%s' shows none of its %u frames; it may have been cut off", video->path, (unsigned)video->table.n);
    *rank = (uint32_t)shown;
    return 0;
}

/* One video_read() of a file: picture i of `out` shows targets[source[i]]. */
struct reading {
    const struct video *video;
    struct frames *out;
    int side;
    struct target *targets;
    size_t n_targets;
    size_t *source;  /* [out->n] */
    uint8_t *wanted; /* [table.n] by place: 1 for packets of targets */
};

static void reading_free(struct reading *reading)
{
    free(reading->targets);
    free(reading->source);
    free(reading->wanted);
}

/* Pictures that show the same frame share a target, which is painted where the first of them is. */
static int reading_make(struct reading *reading, struct err *err)
{
    const struct video *video = reading->video;
    const struct frames *out = reading->out;
    reading->targets = calloc(out->n + 1, sizeof *reading->targets);
    reading->source = calloc(out->n + 1, sizeof *reading->source);
    reading->wanted = calloc(video->table.n, sizeof *reading->wanted);
    if (!reading->targets || !reading->source || !reading->wanted)
        return err_no_memory(err, video->path);
    for (size_t i = 0; i < out->n; i++) {
        uint32_t rank;
        int rc = rank_to_decode(video, out->index[i], &rank, err);
        if (rc < 0)
            return rc;
        if (reading->n_targets == 0 || reading->targets[reading->n_targets - 1].rank != rank)
            reading->targets[reading->n_targets++] = (struct target){.rank = rank, .dst = out->rgb + i * picture_bytes(out)};
        reading->source[i] = reading->n_targets - 1;
        reading->wanted[video->table.by_rank[rank]] = 1;
    }
    return 0;
}

/* One reader of targets first..first+n. */
struct job {
    struct reader reader;
    int (*read)(struct reader *reader, struct err *err);
    pthread_t thread;
    bool threaded;
    double busy_ms;
    int rc;
    struct err err;
};

static struct job job_for(const struct reading *reading, size_t first, size_t n, atomic_bool *give_up)
{
    const struct frames *out = reading->out;
    return (struct job){
        .read = reader_read_some,
        .reader = {
            .path = reading->video->path,
            .table = &reading->video->table,
            .wanted = reading->wanted,
            .targets = reading->targets + first,
            .n_targets = n,
            .painter = {.rotation = reading->video->facts.rotation, .side = reading->side, .width = out->width, .height = out->height},
            .give_up = give_up,
        },
    };
}

static void *job_run(void *context)
{
    struct job *job = context;
    double start = now_ms();
    job->rc = job->read(&job->reader, &job->err);
    job->busy_ms = now_ms() - start;
    return NULL;
}

static void job_start(struct job *job)
{
    job->threaded = pthread_create(&job->thread, NULL, job_run, job) == 0;
    if (!job->threaded)
        job_run(job);
}

/* Returns what became of the job, counting its time and freeing what it held. */
static int job_end(struct job *job, struct frames *out, struct err *err)
{
    if (job->threaded)
        pthread_join(job->thread, NULL);
    out->resize_ms += job->reader.painter.resize_ms;
    out->decode_ms += job->busy_ms - job->reader.painter.resize_ms;
    reader_close(&job->reader);
    if (job->rc < 0)
        *err = job->err;
    return job->rc;
}

/* Contiguous parts of the targets, each with a reader of its own. Errors go before doubts, and the first part's before the others'. */
static int read_some(struct reading *reading, struct err *err)
{
    size_t most = reading->n_targets / LEAST_TARGETS, n_jobs = (size_t)reading->video->threads;
    n_jobs = n_jobs < most ? n_jobs : most > 0 ? most : 1;
    struct job *jobs = malloc(n_jobs * sizeof *jobs);
    if (!jobs)
        return err_no_memory(err, reading->video->path);
    atomic_bool give_up = false;
    for (size_t i = 0; i < n_jobs; i++) {
        size_t first = reading->n_targets * i / n_jobs, end = reading->n_targets * (i + 1) / n_jobs;
        jobs[i] = job_for(reading, first, end - first, &give_up);
    }
    for (size_t i = 1; i < n_jobs; i++)
        job_start(&jobs[i]);
    job_run(&jobs[0]);
    int rc = 0;
    for (size_t i = n_jobs; i-- > 0;) {
        int job_rc = job_end(&jobs[i], reading->out, err);
        rc = job_rc < 0 || rc == 0 ? job_rc : rc;
    }
    free(jobs);
    return rc;
}

static int read_all(struct reading *reading, struct err *err)
{
    for (size_t i = 0; i < reading->n_targets; i++)
        reading->targets[i].state = TARGET_MISSING;
    struct job job = job_for(reading, 0, reading->n_targets, NULL);
    job.read = reader_read_all;
    job_run(&job);
    return job_end(&job, reading->out, err);
}

/* Copies pictures that share a target; counts those that do not show their own frame. */
static size_t reading_finish(const struct reading *reading)
{
    struct frames *out = reading->out;
    size_t bytes = picture_bytes(out), n_replaced = 0;
    for (size_t i = 0; i < out->n; i++) {
        const struct target *target = &reading->targets[reading->source[i]];
        uint8_t *dst = out->rgb + i * bytes;
        if (dst != target->dst)
            memcpy(dst, target->dst, bytes);
        n_replaced += target->rank != out->index[i] || target->state == TARGET_REPLACED;
    }
    return n_replaced;
}

static int read_file(const struct video *video, struct frames *out, int side, size_t *n_replaced, struct err *err)
{
    struct reading reading = {.video = video, .out = out, .side = side};
    int rc = reading_make(&reading, err);
    if (rc == 0)
        rc = video->table.timed ? read_some(&reading, err) : READER_UNSURE;
    if (rc == READER_UNSURE)
        rc = read_all(&reading, err);
    if (rc == 0)
        *n_replaced = reading_finish(&reading);
    reading_free(&reading);
    return rc;
}

int video_read(struct video *video, const uint32_t *index, size_t n, int side, struct frames *out, size_t *n_replaced, struct err *err)
{
    *n_replaced = 0;
    int rc = frames_make(out, video, index, n, side, err);
    if (rc < 0)
        return rc;
    if (n > 0)
        rc = video->is_folder ? read_folder(video, out, side, err) : read_file(video, out, side, n_replaced, err);
    if (rc < 0)
        frames_free(out);
    return rc;
}
