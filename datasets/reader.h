/* Readers: one pass over a video file that decodes some of its frames. Inside datasets/ only. */
#ifndef TOKSWEEP_DATASETS_READER_H
#define TOKSWEEP_DATASETS_READER_H

#include "datasets/container.h"
#include "datasets/picture.h"

#include <libavcodec/avcodec.h>
#include <stdatomic.h>

/* A frame that is wanted, and where its picture goes. */
struct target {
    uint32_t rank;
    uint8_t *dst;
    enum { TARGET_MISSING, TARGET_REPLACED, TARGET_EXACT } state;
};

/* One pass. The caller fills in what is above the line and zeroes the rest. */
struct reader {
    const char *path;
    const struct packet_table *table;
    const uint8_t *wanted;      /* [table->n] by place: 1 for packets of targets of any reader */
    struct target *targets;     /* ascending by rank, each rank once, none hidden or damaged */
    size_t n_targets;
    struct painter painter;
    atomic_bool *give_up;       /* shared by the readers of one read: somebody cannot go on */

    struct container container;
    AVCodecContext *decoder;
    AVFrame *frame;
    uint32_t at;                /* place of the next packet to be decoded */
    uint32_t sought;            /* place of the packet that was sought last, 0 before that */
    bool holding;               /* container.packet is that packet already */
    bool seek_by_dts;           /* found out by trying */
    bool may_skip;              /* frames that no other refers to can be left out */
    size_t n_exact;
};

/* Not an error: the file does not behave as its table says, and only reader_read_all() can tell what its frames are. */
enum { READER_UNSURE = 1 };

/* Decodes the targets, seeking over what nobody needs and skipping frames that no other needs. The pictures are those of
 * reader_read_all(), or the result is READER_UNSURE. Needs a timed table. */
int reader_read_some(struct reader *reader, struct err *err);

/* Decodes the file from its first packet to its last target. A target whose frame never comes takes the next one that does, or the
 * last one of all, and is TARGET_REPLACED; ERR_DATA when its packet could not be decoded although later ones can, or when nothing
 * can. */
int reader_read_all(struct reader *reader, struct err *err);

/* Everything but the targets. */
void reader_close(struct reader *reader);

#endif
