// Random points: on triangles, and away from a place by Gaussian noise.
#pragma once

#include <cstddef>
#include <cstdint>

namespace shapetool {

// Source: Blackman and Vigna, "Scrambled linear pseudorandom number generators", 2021: xoshiro256++.
class Random {
  public:
    // Any four words but all zeros.
    explicit Random(const uint64_t *seed) : s_{seed[0], seed[1], seed[2], seed[3]} {}

    uint64_t next() {
        uint64_t result = rotated(s_[0] + s_[3], 23) + s_[0], t = s_[1] << 17;
        s_[2] ^= s_[0], s_[3] ^= s_[1], s_[1] ^= s_[2], s_[0] ^= s_[3];
        s_[2] ^= t, s_[3] = rotated(s_[3], 45);
        return result;
    }
    // In [0, 1), with all the bits that T has there.
    double uniform() { return double(next() >> 11) * 0x1p-53; }
    void two_uniforms(double &a, double &b) { a = uniform(), b = uniform(); }
    void two_uniforms(float &a, float &b) {
        uint64_t bits = next();
        a = float(bits >> 40) * 0x1p-24f, b = float((bits >> 8) & 0xffffff) * 0x1p-24f;
    }

  private:
    static uint64_t rotated(uint64_t x, int by) { return (x << by) | (x >> (64 - by)); }
    uint64_t s_[4];
};

// One point on each of the faces, uniform by area. triangles: 9 numbers a face; points: 3 a drawn face.
template <class T>
void points_on_faces(const T *triangles, const int64_t *faces, size_t count, Random random, T *points);

// points[i] = base[i] + std * a normal number, for 3 * count coordinates.
void add_noise(const float *base, float std, size_t count, Random random, float *points);

}  // namespace shapetool
