#include "sampling.hpp"

#include <cmath>
#include <cstring>

namespace shapetool {

template <class T>
void points_on_faces(const T *triangles, const int64_t *faces, size_t count, Random random, T *points) {
    for (size_t i = 0; i < count; ++i) {
        const T *a = triangles + 9 * faces[i], *b = a + 3, *c = a + 6;
        T u, v;
        random.two_uniforms(u, v);
        if (u + v > 1) u = 1 - u, v = 1 - v;  // the far half of the parallelogram, folded back
        for (int k = 0; k < 3; ++k) points[3 * i + k] = a[k] + (b[k] - a[k]) * u + (c[k] - a[k]) * v;
    }
}
template void points_on_faces(const float *, const int64_t *, size_t, Random, float *);
template void points_on_faces(const double *, const int64_t *, size_t, Random, double *);

namespace {

// Layers of equal area under the normal density, the lowest with the tail beyond START.
// Source: Marsaglia and Tsang, "The ziggurat method for generating random variables", 2000; here with layer, sign and
// place from separate bits of one draw, as Doornik (2005) asks for.
constexpr int LAYERS = 256;
constexpr double START = 3.6541528853610088, AREA = 0.00492867323399;
constexpr double STEPS = 0x1p23;

double density(double x) { return std::exp(-0.5 * x * x); }

struct Ziggurat {
    double edge[LAYERS + 1];    // where each layer ends; the last one in 0
    float width[LAYERS];        // of one of the STEPS
    uint32_t inside[LAYERS];    // places below this lie under the density whatever their height

    Ziggurat() {
        edge[0] = AREA / density(START), edge[1] = START;
        for (int i = 2; i < LAYERS; ++i) edge[i] = std::sqrt(-2 * std::log(AREA / edge[i - 1] + density(edge[i - 1])));
        edge[LAYERS] = 0;
        for (int i = 0; i < LAYERS; ++i) {
            width[i] = float(edge[i] / STEPS);
            inside[i] = uint32_t(edge[i + 1] / edge[i] * STEPS);
        }
    }
};
const Ziggurat ZIGGURAT;

// The few that need a second look: 1 in 80. Returns the size of the number, or -1 to begin again.
double looked_at(int layer, uint32_t place, Random &random) {
    if (layer == 0) {
        for (;;) {
            double beyond = -std::log1p(-random.uniform()) / START, height = -std::log1p(-random.uniform());
            if (2 * height > beyond * beyond) return START + beyond;
        }
    }
    double x = place * (ZIGGURAT.edge[layer] / STEPS);
    double low = density(ZIGGURAT.edge[layer]), high = density(ZIGGURAT.edge[layer + 1]);
    return low + random.uniform() * (high - low) < density(x) ? x : -1;
}

float negated_if(uint32_t sign_bit, float x) {  // without a branch, which would be guessed wrongly half the time
    uint32_t word;
    std::memcpy(&word, &x, 4);
    word ^= sign_bit;
    std::memcpy(&x, &word, 4);
    return x;
}

float normal(uint32_t bits, Random &random) {
    for (;;) {
        int layer = bits & 0xff;
        uint32_t place = bits >> 9;
        uint32_t sign = (bits & 0x100) << 23;
        if (place < ZIGGURAT.inside[layer]) return negated_if(sign, float(place) * ZIGGURAT.width[layer]);
        double x = looked_at(layer, place, random);
        if (x >= 0) return negated_if(sign, float(x));
        bits = uint32_t(random.next() >> 32);
    }
}

}  // namespace

void add_noise(const float *base, float std, size_t count, Random random, float *points) {
    size_t n = 3 * count;
    for (size_t i = 0; i < n; i += 2) {
        uint64_t bits = random.next();
        points[i] = base[i] + std * normal(uint32_t(bits), random);
        if (i + 1 < n) points[i + 1] = base[i + 1] + std * normal(uint32_t(bits >> 32), random);
    }
}

}  // namespace shapetool
