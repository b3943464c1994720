/* Manifest, video and sample: what a benchmark asks. Made by datasets/, read by every later stage, owned by the manifest. */
#ifndef TOKSWEEP_CORE_SAMPLE_H
#define TOKSWEEP_CORE_SAMPLE_H

#include "core/arena.h"
#include "core/digest.h"

#include <stdbool.h>
#include <stddef.h>

enum { SAMPLE_MOST_OPTIONS = 26 };

/* A video, or a part of one, or a folder of frames. Samples with equal path and bounds share one entry. */
struct video_ref {
    const char *id;       /* what the manifest calls it */
    const char *path;     /* where it is; where it was looked for first when it is missing */
    bool missing;         /* no file under any of the names the benchmark's rule tries */
    bool is_folder;       /* a folder of frames, in the order of their names */
    double folder_fps;    /* frames per second of a folder (3 in MVBench), 0 for files */
    double start_s, end_s; /* the part that is asked about, in seconds; start_s < 0: the whole video */
};

/* One question on one video. Text is UTF-8 and kept byte for byte. */
struct sample {
    const char *id;      /* unique in its manifest */
    size_t row;          /* 0-based place in the manifest */
    size_t video;        /* index into manifest.videos */
    const char *question;
    const char *const *options; /* texts as the manifest has them, with or without letters */
    int n_options;
    int answer;          /* index of the right option, -1 when the manifest does not tell */
    const char *task_type; /* these four are NULL where the benchmark has none */
    const char *duration;
    const char *domain;
    const char *sub_category;
};

struct manifest {
    const char *benchmark; /* "videomme", "mvbench", ... */
    const char *path;
    char digest[DIGEST_HEX]; /* of the manifest's bytes (several files: of their digests in order) */
    struct video_ref *videos;
    size_t n_videos;
    struct sample *samples; /* in manifest order */
    size_t n_samples;
    struct arena arena; /* owns everything above */
};

#endif
