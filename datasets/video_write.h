/* Writing a video: RGB frames to MPEG-4 part 2 in an mp4 file, by FFmpeg's own encoder on one thread. Integer colours (BT.601, limited
 * range, 4:2:0) and bit-exact coding: one version of the libraries gives the same bytes each time. */
#ifndef TOKSWEEP_DATASETS_VIDEO_WRITE_H
#define TOKSWEEP_DATASETS_VIDEO_WRITE_H

#include "core/err.h"

#include <stdint.h>

struct video_writer; /* one thread's */

struct video_form {
    int width, height; /* even */
    int fps;
    int quantiser;     /* 1 is the finest, 31 the coarsest */
    int gop;           /* frames from one key frame to the next */
};

/* Begins a file, in the place of one that is there. ERR_IO; ERR_LIBRARY without FFmpeg's libraries. */
int video_write_open(struct video_writer **out, const char *path, const struct video_form *form, struct err *err);

/* Adds a frame, RGB24 [height][width][3]. */
int video_write_frame(struct video_writer *writer, const uint8_t *rgb, struct err *err);

/* Ends the file and frees `writer`, whatever happens. Only after 0 the file is a video. */
int video_write_close(struct video_writer *writer, struct err *err);

/* Versions of what the bytes depend on, as "libavcodec 59.37.100, libavformat 59.27.100": of the libraries that are here (opened for it;
 * ERR_LIBRARY when they are not), and of those that the program was built with. */
enum { VIDEO_VERSIONS = 64 };
int video_write_versions(char text[VIDEO_VERSIONS], struct err *err);
void video_write_versions_built(char text[VIDEO_VERSIONS]);

#endif
