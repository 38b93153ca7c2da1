#include "voxels.hpp"

#include "overlap.hpp"
#include "parallel.hpp"

namespace shapetool {
namespace {

struct Block {  // cells from lo to hi, hi not included
    int lo[3], hi[3];
};

// A triangle in units of cells, prepared to be asked about many boxes.
class Probe {
  public:
    Probe(const Vec v[3], double lattice) {
        for (int i = 0; i < 3; ++i) v_[i] = v[i];
        for (int i = 0; i < 3; ++i) e_[i] = v[(i + 1) % 3] - v[i];
        normal_ = cross(e_[0], e_[1]);
        // Rounding of the corners and of the sums below, in cells; in doubt the answer is yes.
        doubt_ = 2e-15 * std::fmax(lattice, extent(v, 3));
        normal_doubt_ = doubt_ * norm(e_[0]) * norm(e_[1]);
    }

    // Akenine-Moeller, "Fast 3D triangle-box overlap testing", 2001: the axes of the box, the
    // normal, and an edge across an axis of the box.
    bool meets(const Block &b) const {
        Vec half{(b.hi[0] - b.lo[0]) / 2.0, (b.hi[1] - b.lo[1]) / 2.0, (b.hi[2] - b.lo[2]) / 2.0};
        Vec centre{b.lo[0] + half.x, b.lo[1] + half.y, b.lo[2] + half.z}, p[3];
        for (int i = 0; i < 3; ++i) p[i] = v_[i] - centre;
        auto apart = [&](Vec axis, double doubt) {
            Interval t = project(p, 3, axis);
            double reach = half.x * std::fabs(axis.x) + half.y * std::fabs(axis.y) + half.z * std::fabs(axis.z) + doubt;
            return t.lo > reach || t.hi < -reach;
        };
        if (apart({1, 0, 0}, doubt_) || apart({0, 1, 0}, doubt_) || apart({0, 0, 1}, doubt_)) return false;
        if (apart(normal_, normal_doubt_)) return false;
        for (const Vec &e : e_) {
            double doubt = 2 * doubt_ * norm(e);
            if (apart({0, -e.z, e.y}, doubt) || apart({e.z, 0, -e.x}, doubt) || apart({-e.y, e.x, 0}, doubt)) return false;
        }
        return true;
    }

    // The cells whose closed cubes the bounds of the triangle touch; empty where there is none.
    Block bounds(int n) const {
        Block b;
        for (int k = 0; k < 3; ++k) {
            Vec axis{k == 0 ? 1.0 : 0.0, k == 1 ? 1.0 : 0.0, k == 2 ? 1.0 : 0.0};
            Interval t = project(v_, 3, axis);
            b.lo[k] = int(std::fmin(std::fmax(std::ceil(t.lo - doubt_) - 1, 0.0), double(n)));
            b.hi[k] = int(std::fmax(std::fmin(std::floor(t.hi + doubt_) + 1, double(n)), 0.0));
        }
        return b;
    }

  private:
    Vec v_[3], e_[3], normal_;
    double doubt_, normal_doubt_;
};

void mark(const Probe &probe, const Block &b, size_t n, uint8_t *cells) {
    if (b.lo[0] >= b.hi[0] || b.lo[1] >= b.hi[1] || b.lo[2] >= b.hi[2] || !probe.meets(b)) return;
    int widest = 0;
    for (int k = 1; k < 3; ++k)
        if (b.hi[k] - b.lo[k] > b.hi[widest] - b.lo[widest]) widest = k;
    if (b.hi[widest] - b.lo[widest] == 1) {
        // Threads may mark one cell at a time, all with the same value.
        __atomic_store_n(&cells[(size_t(b.lo[0]) * n + size_t(b.lo[1])) * n + size_t(b.lo[2])], 1, __ATOMIC_RELAXED);
        return;
    }
    Block first = b, second = b;
    first.hi[widest] = second.lo[widest] = (b.lo[widest] + b.hi[widest]) / 2;
    mark(probe, first, n, cells);
    mark(probe, second, n, cells);
}

}  // namespace

void surface_cells(const double *triangles, size_t count, const double low[3], double size, int n, int threads, uint8_t *cells) {
    parallel_for(threads, count, 256, [&](size_t begin, size_t end, int) {
        for (size_t f = begin; f < end; ++f) {
            Vec v[3];
            for (int i = 0; i < 3; ++i) v[i] = (load(triangles + 9 * f + 3 * i) - load(low)) * (1 / size);
            Probe probe(v, n);
            mark(probe, probe.bounds(n), size_t(n), cells);
        }
    });
}

}  // namespace shapetool
