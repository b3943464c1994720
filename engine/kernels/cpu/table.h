/* All slots over the vector layer that was included before: each instruction set's file includes this once. */
#ifndef TOKSWEEP_ENGINE_KERNELS_CPU_TABLE_H
#define TOKSWEEP_ENGINE_KERNELS_CPU_TABLE_H

#include "engine/kernels/cpu/act.h"
#include "engine/kernels/cpu/cpu.h"
#include "engine/kernels/cpu/math.h"
#include "engine/kernels/cpu/parallel.h"
#include "engine/kernels/cpu/tile.h"

#include "engine/kernels/cpu/attention.h"
#include "engine/kernels/cpu/gemm.h"
#include "engine/kernels/cpu/kv.h"
#include "engine/kernels/cpu/rows.h"
#include "engine/kernels/cpu/spin.h"
#include "engine/kernels/ref/ref.h"

#define KERNELS_TABLE(table_name)                                                                  \
    {                                                                                              \
        .name = table_name, HOST_SLOTS, .gemm = gemm, .attention = attention,                      \
        .kv_write = kv_write, .attention_weights = attention_weights,                              \
        .layernorm = layernorm, .rmsnorm = rmsnorm, .rope = rope, .convert = convert,              \
        .quantise = quantise,                                                                      \
    }

#endif
