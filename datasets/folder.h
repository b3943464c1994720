/* Folders of pictures that stand for a video: one jpg or png per frame, in the order of their names. Inside datasets/ only. */
#ifndef TOKSWEEP_DATASETS_FOLDER_H
#define TOKSWEEP_DATASETS_FOLDER_H

#include "core/err.h"

#include <libavutil/frame.h>
#include <stdint.h>

/* Full paths, sorted by the bytes of the names. */
struct folder {
    char **paths;
    uint32_t n;
};

/* ERR_IO, or ERR_DATA when there is no picture in it. */
int folder_list(struct folder *out, const char *path, struct err *err);
void folder_free(struct folder *folder);

/* Decodes one picture into `frame`. */
int folder_decode(const char *path, AVFrame *frame, struct err *err);

#endif
