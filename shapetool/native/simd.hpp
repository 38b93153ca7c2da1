// Eight floats or four doubles, by the compilers' vector extensions: the same source is compiled for every instruction set.
#pragma once
#include <cmath>
#include <cstdint>
#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace shapetool {
namespace {

typedef float f8 __attribute__((vector_size(32)));
typedef int32_t i8 __attribute__((vector_size(32)));
typedef double d4 __attribute__((vector_size(32)));
typedef int64_t l4 __attribute__((vector_size(32)));
typedef int32_t i4 __attribute__((vector_size(16)));
typedef f8 f8u __attribute__((aligned(4), may_alias));
typedef i8 i8u __attribute__((aligned(4), may_alias));
typedef l4 l4u __attribute__((aligned(8), may_alias));
typedef d4 d4u __attribute__((aligned(8), may_alias));

inline f8 set8(float a) { return f8{a, a, a, a, a, a, a, a}; }
inline f8 load8(const float *p) { return *reinterpret_cast<const f8u *>(p); }
inline i8 load8i(const int32_t *p) { return *reinterpret_cast<const i8u *>(p); }
inline d4 set4(double a) { return d4{a, a, a, a}; }
inline d4 widen4(const float *p) { return d4{p[0], p[1], p[2], p[3]}; }
inline void store8(float *p, f8 a) { *reinterpret_cast<f8u *>(p) = a; }

#if defined(__AVX__)
inline f8 min8(f8 a, f8 b) { return (f8)_mm256_min_ps((__m256)a, (__m256)b); }
inline f8 max8(f8 a, f8 b) { return (f8)_mm256_max_ps((__m256)a, (__m256)b); }
inline f8 sqrt8(f8 a) { return (f8)_mm256_sqrt_ps((__m256)a); }
inline int mask8(i8 m) { return _mm256_movemask_ps((__m256)m); }
inline f8 select8(i8 m, f8 a, f8 b) { return (f8)_mm256_blendv_ps((__m256)b, (__m256)a, (__m256)m); }
inline d4 sqrt4(d4 a) { return (d4)_mm256_sqrt_pd((__m256d)a); }
#else
inline f8 select8(i8 m, f8 a, f8 b) { return (f8)((m & (i8)a) | (~m & (i8)b)); }
inline f8 min8(f8 a, f8 b) { return select8(a < b, a, b); }
inline f8 max8(f8 a, f8 b) { return select8(a > b, a, b); }
inline f8 sqrt8(f8 a) {
    f8 r;
    for (int i = 0; i < 8; ++i) r[i] = std::sqrt(a[i]);
    return r;
}
inline d4 sqrt4(d4 a) { return d4{std::sqrt(a[0]), std::sqrt(a[1]), std::sqrt(a[2]), std::sqrt(a[3])}; }
#if defined(__SSE2__)
inline int mask8(i8 m) {
    union { i8 v; __m128 h[2]; } u{m};
    return _mm_movemask_ps(u.h[0]) | (_mm_movemask_ps(u.h[1]) << 4);
}
#else
inline int mask8(i8 m) {
    int r = 0;
    for (int i = 0; i < 8; ++i) r |= (m[i] < 0) << i;
    return r;
}
#endif
#endif

#if defined(__FMA__)
inline f8 fma8(f8 a, f8 b, f8 c) { return (f8)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c); }
#else
inline f8 fma8(f8 a, f8 b, f8 c) { return a * b + c; }
#endif

inline f8 abs8(f8 a) { return (f8)((i8)a & 0x7fffffff); }
inline d4 select4(l4 m, d4 a, d4 b) { return (d4)((m & (l4)a) | (~m & (l4)b)); }
inline float reduce_max(f8 a) {
    float r = a[0];
    for (int i = 1; i < 8; ++i) r = a[i] > r ? a[i] : r;
    return r;
}
inline float reduce_min(f8 a) {
    float r = a[0];
    for (int i = 1; i < 8; ++i) r = a[i] < r ? a[i] : r;
    return r;
}

}  // namespace
}  // namespace shapetool
