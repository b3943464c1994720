/* Elementary functions on vectors of f32, by polynomials fitted for least relative error. Stated errors were found by comparison
 * with double over the whole range; rounding of f32 steps included. */
#ifndef TOKSWEEP_ENGINE_KERNELS_CPU_MATH_H
#define TOKSWEEP_ENGINE_KERNELS_CPU_MATH_H

/* 2^x for x <= 127, above that 2^127..2^128. 2^0 is exactly 1; 0 for x < -127, -infinity included. Relative error: 2e-7. */
static inline vec vec_exp2(vec x)
{
    x = vec_min(vec_max(x, vec_set(-200)), vec_set(127));
    vec whole = vec_round(x), f = vec_sub(x, whole);
    vec p = vec_fma(f, vec_set(0.00132647878f), vec_set(0.00967151299f));
    p = vec_fma(f, p, vec_set(0.0555073358f));
    p = vec_fma(f, p, vec_set(0.240222424f));
    p = vec_fma(f, p, vec_set(0.693147004f));
    return vec_scale(vec_fma(f, p, vec_set(1)), whole);
}

/* The same for finite x <= 0, with relative error 8e-5, at 0 too: a fiftieth of what values in bf16 are rounded by. */
static inline vec vec_exp2_short(vec x)
{
    vec whole = vec_round(x), f = vec_sub(x, whole);
    vec p = vec_fma(f, vec_set(0.0551716685f), vec_set(0.242611125f));
    p = vec_fma(f, p, vec_set(0.693260968f));
    return vec_scale(vec_fma(f, p, vec_set(0.999928057f)), whole);
}

/* v / (1 + e^-v). Error: 4e-7 of |v|. */
static inline vec vec_silu(vec v)
{
    vec decay = vec_exp2(vec_mul(v, vec_set(-1.44269504f)));
    return vec_div(v, vec_add(vec_set(1), decay));
}

/* 0.5 v (1 + tanh(u)) with u = 0.79788456 (v + 0.044715 v^3), as v / (1 + e^-2u). Error: 4e-7 of |v|. */
static inline vec vec_gelu_tanh(vec v)
{
    vec slope = vec_fma(vec_mul(v, v), vec_set(-0.10294324f), vec_set(-2.3022082f)); /* -2u log2(e) / v */
    return vec_div(v, vec_add(vec_set(1), vec_exp2(vec_mul(v, slope))));
}

/* 0.5 v (1 + erf(v / sqrt 2)) = max(v, 0) - |v| q, where q = 0.5 erfc(|v| / sqrt 2) = e^(-v^2/2) times a polynomial in
 * t = 1 / (1 + 0.3 |v|). Error: 4e-7 of |v|. */
static inline vec vec_gelu_erf(vec v)
{
    vec size = vec_abs(v), t = vec_div(vec_set(1), vec_fma(size, vec_set(0.3f), vec_set(1)));
    vec p = vec_fma(t, vec_set(0.035677962f), vec_set(-0.157216176f));
    p = vec_fma(t, p, vec_set(0.206375435f));
    p = vec_fma(t, p, vec_set(-0.0537029766f));
    p = vec_fma(t, p, vec_set(0.128571242f));
    p = vec_fma(t, p, vec_set(0.0999108106f));
    p = vec_fma(t, p, vec_set(0.120754346f));
    p = vec_fma(t, p, vec_set(0.119629279f));
    vec decay = vec_exp2(vec_mul(vec_mul(v, v), vec_set(-0.72134752f)));
    vec q = vec_mul(vec_mul(t, p), decay);
    return vec_sub(vec_max(v, vec_zero()), vec_mul(size, q));
}

#endif
