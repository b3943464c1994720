/* Counter-based random numbers: a pure function of what they are for, so that no draw depends on any other, on the order of work
 * or on the number of threads. SplitMix64's finaliser (Steele, Lea and Flood, OOPSLA 2014) over the mixed keys. */
#ifndef TOKSWEEP_CORE_RNG_H
#define TOKSWEEP_CORE_RNG_H

#include <stddef.h>
#include <stdint.h>

static inline uint64_t rng_mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* 64 random bits for (seed, stream, index); stream says what the number is for. */
static inline uint64_t rng_u64(uint64_t seed, uint64_t stream, uint64_t index)
{
    return rng_mix(rng_mix(rng_mix(seed + 0x9e3779b97f4a7c15u) ^ stream) + index * 0x9e3779b97f4a7c15u);
}

/* Uniform in [0, 1), 53 bits. */
static inline double rng_unit(uint64_t seed, uint64_t stream, uint64_t index)
{
    return (double)(rng_u64(seed, stream, index) >> 11) * 0x1p-53;
}

/* A stream number from a name (FNV-1a). */
static inline uint64_t rng_stream(const char *name)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 0x100000001b3u;
    return hash;
}

#endif
