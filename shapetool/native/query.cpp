#include "query.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "build.hpp"
#include "curves.hpp"
#include "parallel.hpp"
#include "triangle.hpp"

namespace shapetool {
namespace {

constexpr size_t kBlock = 512;   // queries a thread takes at a time

// No finer than so many queries can be told apart, for sorting takes longer with every bit.
int bits_for(size_t P) { return P < (1u << 15) ? 5 : P < (1u << 22) ? 7 : 10; }

// The queries in units of 2^-exponent and in the order of the curve: order[k] is where query k came from. Results are made in
// this order too, and scattered at the end: a search then never waits for memory far away.
struct Batch {
    Aligned<double> points;
    std::vector<uint32_t> order;
    Batch(const Scene &s, const double *p, size_t P, Curve curve, int threads)
        : points(3 * P), order(curve_order(p, P, curve, bits_for(P), threads)) {
        double unit = std::ldexp(1.0, -s.exponent);
        parallel_for(threads, P, 1 << 14, [&](size_t begin, size_t end, int) {
            for (size_t k = begin; k < end; ++k)
                for (size_t a = 0; a < 3; ++a) points[3 * k + a] = p[3 * size_t(order[k]) + a] * unit;
        });
    }
    size_t size() const { return order.size(); }
    Vec point(size_t k) const { return load(&points[3 * k]); }
};

Aligned<Closest> find_closest(Scene &s, const Batch &batch, int threads) {
    need_frames(s, threads);
    Aligned<Closest> found(batch.size());
    parallel_for(threads, batch.size(), kBlock, [&](size_t begin, size_t end, int) {
        functions().closest(s, batch.points.data(), begin, end, found.data());
    });
    return found;
}

constexpr double kFastOpening = 4;

double fast_winding(const Scene &s, Vec p) {
    double doubt;
    return functions().careful(s, &p.x, kFastOpening, &doubt);
}

double exact_winding(const Scene &s, Vec p) { return functions().exact(s, &p.x); }

// Estimates of the winding number, each better and dearer than the one before, and how far from one half each must be to
// decide: more than twice the worst error seen on real meshes (0.09, 0.011, 0.0015).
constexpr Estimate kPackets[] = {{1.25f, 5, 0.2f}, {2.5f, 12, 0.04f}, {5, 40, 0.006f}};
// In f64: the same for far fields to second order. The last ones come with a bound on their error, to which rounding is added.
constexpr double kRoughOpening = 2, kRoughDoubt = 0.05, kFastDoubt = 2e-3, kCarefulOpening = 12, kRounding = 1e-5;
constexpr double kTooNear = 1e-5;      // nearer to the surface f32 decides nothing
constexpr size_t kLongBoundary = 256;  // in eights of edges: a longer one costs more than it saves

// Far fields three times, the third time with a bound on their error, and every triangle only within that bound.
bool decide_carefully(const Scene &s, Vec p) {
    double doubt, w = functions().careful(s, &p.x, kRoughOpening, &doubt);
    if (std::fabs(w - 0.5) > kRoughDoubt) return w > 0.5;
    w = fast_winding(s, p);
    if (std::fabs(w - 0.5) > kFastDoubt) return w > 0.5;
    w = functions().careful(s, &p.x, kCarefulOpening, &doubt);
    if (std::fabs(w - 0.5) > doubt + kRounding) return w > 0.5;
    return exact_winding(s, p) > 0.5;
}

// Makes the distances of queries begin to end negative where the winding number exceeds one half. Only the points that one
// estimate leaves in doubt are looked at by the next.
void decide_block(const Scene &s, const double *queries, size_t begin, size_t end, double *distances) {
    std::vector<uint32_t> undecided, near;
    std::vector<double> points;
    std::vector<float> estimate(end - begin), noise(end - begin);
    int8_t signs[kCrowd] = {};
    if (s.boundary_edges.size() <= kLongBoundary)
        functions().settle(s, queries + 3 * begin, distances + begin, end - begin, kPackets, signs);
    for (size_t k = begin; k < end; ++k) {
        if (signs[k - begin] == 0) (distances[k] * s.to_f32 < kTooNear ? near : undecided).push_back(uint32_t(k));
        if (signs[k - begin] < 0) distances[k] = -distances[k];
    }
    for (const Estimate &e : kPackets) {
        points.clear();
        for (uint32_t k : undecided) points.insert(points.end(), queries + 3 * size_t(k), queries + 3 * size_t(k) + 3);
        functions().winding(s, points.data(), 0, undecided.size(), e.opening, e.spread, estimate.data(), noise.data());
        size_t kept = 0;
        for (size_t i = 0; i < undecided.size(); ++i) {
            uint32_t k = undecided[i];
            if (std::fabs(estimate[i] - 0.5f) <= doubt_of(e, noise[i], float(distances[k] * s.to_f32)))
                undecided[kept++] = k;
            else if (estimate[i] > 0.5f)
                distances[k] = -distances[k];
        }
        undecided.resize(kept);
    }
    undecided.insert(undecided.end(), near.begin(), near.end());
    for (uint32_t k : undecided)
        if (decide_carefully(s, load(queries + 3 * size_t(k)))) distances[k] = -distances[k];
}

Vec pseudonormal(const Scene &s, const Closest &c) {
    const double *normals = s.face_normals.data();
    Vec own = load(normals + 3 * size_t(c.face));
    if (c.feature == 0) return own;
    if (c.feature <= 3) {
        int32_t across = s.neighbour[3 * size_t(c.face) + size_t(c.feature - 1)];
        return across < 0 ? own : own + load(normals + 3 * size_t(across / 3));
    }
    return load(&s.vertex_normals[3 * size_t(s.faces[3 * size_t(c.face) + size_t(c.feature - 4)])]);
}

// A face of each piece, and the winding number in front of it: just above a face of winding number w it is w - 1/2.
void find_front_winding(Scene &s, int threads) {
    size_t pieces = size_t(s.topology.components);
    std::vector<int32_t> face(pieces, -1);
    std::vector<double> largest(pieces, -1);
    for (size_t f = 0; f < s.face_count; ++f) {
        const double *t = &s.triangles[9 * f];
        double area = norm_sq(cross(load(t + 3) - load(t), load(t + 6) - load(t)));
        size_t piece = size_t(s.component[f]);
        if (area > largest[piece]) largest[piece] = area, face[piece] = int32_t(f);
    }
    s.front_winding.assign(pieces, 0);
    if (pieces > 1) {
        need_moments(s, threads);
        parallel_for(threads, pieces, 4, [&](size_t begin, size_t end, int) {
            for (size_t i = begin; i < end; ++i) {
                const double *t = &s.triangles[9 * size_t(face[i])];
                Vec middle = (load(t) + load(t + 3) + load(t + 6)) * (1.0 / 3);
                // the face itself contributes nothing in its own plane, the rest of a closed surface one half
                double w = fast_winding(s, middle);
                double own = winding_of_triangle(t, middle);
                s.front_winding[i] = int32_t(std::lround(w - own - 0.5));
            }
        });
    } else if (s.topology.volume < 0) {
        s.front_winding[0] = -1;
    }
    s.front_known = true;
}

bool behind_closest(const Scene &s, Vec p, const Closest &c) {
    bool behind = dot(p - load(c.point), pseudonormal(s, c)) < 0;
    if (!s.front_known) return behind;
    return s.front_winding[size_t(s.component[size_t(c.face)])] + (behind ? 1 : 0) >= 1;
}

void sign_by_pseudonormal(Scene &s, const Batch &batch, const Aligned<Closest> &found, int threads, double *distances) {
    parallel_for(threads, batch.size(), 4096, [&](size_t begin, size_t end, int) {
        for (size_t k = begin; k < end; ++k)
            if (behind_closest(s, batch.point(k), found[k])) distances[k] = -distances[k];
    });
}

void sign_by_winding(Scene &s, const Batch &batch, int threads, double *distances) {
    parallel_for(threads, batch.size(), kCrowd,
                 [&](size_t begin, size_t end, int) { decide_block(s, batch.points.data(), begin, end, distances); });
}

// The majority of three rays, in directions that no modelled face is likely to contain.
bool inside_by_parity(const Scene &s, const double *query) {
    constexpr double directions[3][3] = {
        {0.5773182, 0.4098321, 0.7061843}, {-0.3141593, 0.8660127, 0.3887211}, {0.2718282, -0.5235988, -0.8073912}};
    int votes = 0;
    for (const auto &d : directions) {
        int64_t crossings;
        functions().count_hits(s, query, d, 0, 1, &crossings);
        votes += int(crossings & 1);
    }
    return votes >= 2;
}

void sign_by_parity(Scene &s, const Batch &batch, int threads, double *distances) {
    parallel_for(threads, batch.size(), kBlock, [&](size_t begin, size_t end, int) {
        for (size_t k = begin; k < end; ++k)
            if (inside_by_parity(s, &batch.points[3 * k])) distances[k] = -distances[k];
    });
}

// What a sign method needs of the scene beside the closest triangles.
void need_for(Scene &s, Sign sign, int threads) {
    if (sign == Sign::pseudonormal) {
        need_normals(s, threads);
        if (s.topology.closed && s.topology.oriented) std::call_once(s.front_once, [&] { find_front_winding(s, threads); });
    } else if (sign == Sign::winding) {
        need_moments(s, threads);
        need_boundary(s, threads);
    } else if (sign == Sign::parity) {
        need_vertex_leaves(s, threads);
    }
}

// Eight nodes each way: as many as are settled together, and small enough to stay in the caches.
constexpr size_t kCube = 8;
static_assert(kCube * kCube * kCube == kCrowd, "a cube is settled as a whole");

// Node n of a cube, in Morton order: clusters and packets are cubes of their own then.
struct CubeNode {
    size_t at[3];
    explicit CubeNode(size_t n) {
        for (size_t a = 0; a < 3; ++a) at[2 - a] = (n >> a & 1) | (n >> (3 + a) & 1) << 1 | (n >> (6 + a) & 1) << 2;
    }
};

// The signed distances of one cube whose first node is `low`, in units of 2^-exponent, to `out`.
struct CubeQueries {
    double points[3 * kCrowd], distances[kCrowd];
    Closest found[kCrowd];
    uint16_t node[kCrowd];  // which nodes of the cube are in the lattice
    size_t count = 0;

    CubeQueries(const double *const *axes, const size_t *counts, const size_t *low, double unit) {
        for (size_t n = 0; n < kCrowd; ++n) {
            CubeNode cell(n);
            if (low[0] + cell.at[0] >= counts[0] || low[1] + cell.at[1] >= counts[1] || low[2] + cell.at[2] >= counts[2]) continue;
            for (size_t a = 0; a < 3; ++a) points[3 * count + a] = axes[a][low[a] + cell.at[a]] * unit;
            node[count++] = uint16_t(n);
        }
    }

    void sign(const Scene &s, Sign by) {
        for (size_t k = 0; k < count; ++k) distances[k] = std::sqrt(found[k].distance_sq);
        if (by == Sign::winding) decide_block(s, points, 0, count, distances);
        for (size_t k = 0; k < count; ++k)
            if ((by == Sign::pseudonormal && behind_closest(s, load(points + 3 * k), found[k])) ||
                (by == Sign::parity && inside_by_parity(s, points + 3 * k)))
                distances[k] = -distances[k];
    }
};

}  // namespace

bool pseudonormals_hold(Scene &s, int threads) {
    need_topology(s, threads);
    const Topology &t = s.topology;
    if (!t.closed || !t.oriented || t.folded_edges || t.degenerate_faces) return false;
    need_normals(s, threads);
    if (t.nonmanifold_vertices) return false;
    need_intersections(s, threads);
    return t.intersecting_pairs == 0;
}

void query_closest(Scene &s, const double *points, size_t P, int threads, double *distances, int64_t *faces, double *closest) {
    Batch batch(s, points, P, Curve::morton, threads);
    Aligned<Closest> found = find_closest(s, batch, threads);
    double unit = std::ldexp(1.0, s.exponent);
    parallel_for(threads, P, 1 << 14, [&](size_t begin, size_t end, int) {
        for (size_t k = begin; k < end; ++k) {
            size_t i = batch.order[k];
            distances[i] = std::sqrt(found[k].distance_sq) * unit;
            faces[i] = found[k].face;
            for (size_t a = 0; a < 3; ++a) closest[3 * i + a] = found[k].point[a] * unit;
        }
    });
}

void query_signed(Scene &s, const double *points, size_t P, Sign sign, int threads, double *out) {
    Batch batch(s, points, P, sign == Sign::winding ? Curve::hilbert : Curve::morton, threads);
    Aligned<Closest> found = find_closest(s, batch, threads);
    Aligned<double> distances(P);
    parallel_for(threads, P, 1 << 14, [&](size_t begin, size_t end, int) {
        for (size_t k = begin; k < end; ++k) distances[k] = std::sqrt(found[k].distance_sq);
    });
    need_for(s, sign, threads);
    if (sign == Sign::pseudonormal) sign_by_pseudonormal(s, batch, found, threads, distances.data());
    if (sign == Sign::winding) sign_by_winding(s, batch, threads, distances.data());
    if (sign == Sign::parity) sign_by_parity(s, batch, threads, distances.data());
    double unit = std::ldexp(1.0, s.exponent);
    parallel_for(threads, P, 1 << 14, [&](size_t begin, size_t end, int) {
        for (size_t k = begin; k < end; ++k) out[batch.order[k]] = distances[k] * unit;
    });
}

void query_lattice(Scene &s, const double *const *axes, const size_t *counts, Sign sign, int threads, double *out) {
    constexpr size_t cluster = kCrowd / 8;
    need_frames(s, threads);
    need_for(s, sign, threads);
    double unit = std::ldexp(1.0, s.exponent), per_unit = std::ldexp(1.0, -s.exponent);
    size_t cubes[3];
    for (size_t a = 0; a < 3; ++a) cubes[a] = (counts[a] + kCube - 1) / kCube;
    parallel_for(threads, cubes[0] * cubes[1] * cubes[2], 1, [&](size_t cube, size_t, int) {
        size_t low[3] = {cube / (cubes[1] * cubes[2]) * kCube, cube / cubes[2] % cubes[1] * kCube, cube % cubes[2] * kCube};
        CubeQueries queries(axes, counts, low, per_unit);
        functions().cluster_closest(s, queries.points, 0, queries.count, cluster, queries.found);
        queries.sign(s, sign);
        for (size_t k = 0; k < queries.count; ++k) {
            CubeNode cell(queries.node[k]);
            size_t at = ((low[0] + cell.at[0]) * counts[1] + low[1] + cell.at[1]) * counts[2] + low[2] + cell.at[2];
            out[at] = queries.distances[k] * unit;
        }
    });
}

void query_winding(Scene &s, const double *points, size_t P, Winding how, int threads, double *out) {
    Batch batch(s, points, P, Curve::hilbert, threads);
    if (how != Winding::exact) need_moments(s, threads);
    bool packets = how == Winding::rough || how == Winding::better;
    std::vector<float> estimate(packets ? P : 0), noise(estimate.size());
    parallel_for(threads, P, packets ? kBlock : 64, [&](size_t begin, size_t end, int) {
        if (packets) {
            const Estimate &e = kPackets[how == Winding::rough ? 0 : 2];
            functions().winding(s, batch.points.data(), begin, end, e.opening, e.spread, estimate.data(), noise.data());
        }
        for (size_t k = begin; k < end; ++k)
            out[batch.order[k]] = packets ? double(estimate[k])
                                  : how == Winding::exact ? exact_winding(s, batch.point(k))
                                                          : fast_winding(s, batch.point(k));
    });
}

void query_winding_change(Scene &s, const double *points, size_t P, int threads, float *change, float *doubt) {
    need_boundary(s, threads);
    std::vector<double> scaled(points, points + 3 * P);
    for (double &x : scaled) x *= std::ldexp(1.0, -s.exponent);
    if (P) functions().told(s, scaled.data(), scaled.data(), P, change, doubt);
}

void query_rays(Scene &s, const double *origins, const double *directions, size_t R, RayMode mode, int threads, double *t,
                int64_t *faces) {
    need_vertex_leaves(s, threads);
    // Large blocks first, because rays traced together share their way; small ones last, so that threads end together.
    std::vector<size_t> starts = {0};
    for (size_t at = 0; at < R; starts.push_back(at))
        at = std::min(R, at + std::clamp<size_t>((R - at) / (2 * size_t(threads)), 8192, kRayBlock));
    std::vector<Aligned<RaySpace>> spaces(static_cast<size_t>(threads));
    parallel_for(threads, starts.size() - 1, 1, [&](size_t block, size_t, int thread) {
        size_t begin = starts[block], end = starts[block + 1];
        Aligned<RaySpace> &space = spaces[size_t(thread)];
        if (!space.size()) space.resize(1);
        functions().first_hits(s, origins + 3 * begin, directions + 3 * begin, end - begin, mode, space[0],
                               t ? t + begin : nullptr, faces + begin);
    });
}

void query_all_hits(Scene &s, const double *origins, const double *directions, size_t R, int threads,
                    std::vector<int64_t> &start, std::vector<double> &t, std::vector<int64_t> &faces) {
    need_vertex_leaves(s, threads);
    double unit = std::ldexp(1.0, s.exponent);
    Aligned<double> scaled(3 * R);
    for (size_t i = 0; i < 3 * R; ++i) scaled[i] = origins[i] / unit;
    start.assign(R + 1, 0);
    parallel_for(threads, R, 256, [&](size_t begin, size_t end, int) {
        functions().count_hits(s, scaled.data(), directions, begin, end, start.data() + 1);
    });
    for (size_t i = 0; i < R; ++i) start[i + 1] += start[i];
    std::vector<Hit> hits(size_t(start[R]), Hit{INFINITY, -1});
    parallel_for(threads, R, 256, [&](size_t begin, size_t end, int) {
        functions().all_hits(s, scaled.data(), directions, begin, end, start.data(), hits.data());
        for (size_t i = begin; i < end; ++i)
            std::sort(hits.begin() + start[i], hits.begin() + start[i + 1],
                      [](const Hit &a, const Hit &b) { return a.t < b.t || (a.t == b.t && a.face < b.face); });
    });
    t.resize(hits.size()), faces.resize(hits.size());
    for (size_t i = 0; i < hits.size(); ++i) t[i] = hits[i].t * unit, faces[i] = hits[i].face;
}

}  // namespace shapetool
