/* Containers: one video stream of one file, as packets. Inside datasets/ only. */
#ifndef TOKSWEEP_DATASETS_CONTAINER_H
#define TOKSWEEP_DATASETS_CONTAINER_H

#include "core/err.h"

#include <libavformat/avformat.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An open file, positioned in front of some packet of its best video stream. */
struct container {
    AVFormatContext *format;
    AVStream *stream;
    AVPacket *packet; /* what container_next() read */
};

/* ERR_IO, or ERR_DATA with a sentence that names the path. On failure there is nothing to close. */
int container_open(struct container *out, const char *path, struct err *err);
void container_close(struct container *container);

/* Reads the stream's next packet into container->packet: false at the end, or where nothing more can be read. */
bool container_next(struct container *container);

/* What the container says about one packet. */
struct packet_entry {
    int64_t pts, dts; /* of showing and of decoding, in the stream's time base; AV_NOPTS_VALUE when it does not say */
    int size;
    uint32_t rank; /* of its frame: how many packets are shown before it */
    bool key;      /* decoding can start here */
    bool hidden;   /* its frame is never shown: outside the edit list, empty, or for reference only */
    bool damaged;  /* the container knows that bytes are missing */
};

/* All packets of the stream, in the order of the file, which is the order of decoding. */
struct packet_table {
    struct packet_entry *entries;
    uint32_t *by_rank;  /* place in `entries` of the packet whose frame is the k-th one shown */
    uint32_t n;
    uint32_t n_whole;   /* packets up to the last one that is not damaged: those behind it were cut off */
    bool timed;         /* presentation times are complete and distinct; else rank is place, and frames have to be counted */
};

enum { PACKET_NONE = -1 };

/* Reads the container from where it is to its end. ERR_DATA when there is no packet. */
int packet_table_read(struct packet_table *out, struct container *container, const char *path, struct err *err);
void packet_table_free(struct packet_table *table);

/* The rank of the frame shown at `pts`, PACKET_NONE if there is none. For timed tables. */
int64_t packet_table_rank(const struct packet_table *table, int64_t pts);

/* Where decoding has to start for the frame of packet `at`: the last key packet that is neither stored nor shown after it (frames
 * stored behind a key picture but shown before it may need older ones), or the first packet. */
uint32_t packet_table_start(const struct packet_table *table, uint32_t at);

#endif
