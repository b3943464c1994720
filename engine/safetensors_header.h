/* The header of one safetensors file, read strictly. Internal to safetensors.c. */
#ifndef TOKSWEEP_ENGINE_SAFETENSORS_HEADER_H
#define TOKSWEEP_ENGINE_SAFETENSORS_HEADER_H

#include "core/arena.h"
#include "engine/safetensors.h"

struct tensor_list { /* zero-initialise; `at` is malloc'ed */
    struct tensor *at;
    size_t n, capacity;
};

struct header_place { /* where a header stands */
    const char *path;
    int shard;
    uint64_t data_start; /* bytes of the file in front of its data */
    uint64_t data_size;
};

/* Checks the header's `length` bytes and appends its tensors to `list`, ordered by offset; names are put into `arena`. ERR_DATA says
 * what is wrong with which tensor of which file. */
int safetensors_header_read(struct tensor_list *list, const char *text, size_t length, const struct header_place *place,
                            struct arena *arena, struct err *err);

#endif
