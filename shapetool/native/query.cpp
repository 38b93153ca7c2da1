#include "query.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "build.hpp"
#include "parallel.hpp"
#include "triangle.hpp"

namespace shapetool {
namespace {

constexpr size_t kBlock = 512;  // queries a thread takes at a time

uint32_t spread(uint32_t x) {  // 10 bits to every third bit
    x &= 0x3ff;
    x = (x | x << 16) & 0x030000ff;
    x = (x | x << 8) & 0x0300f00f;
    x = (x | x << 4) & 0x030c30c3;
    return (x | x << 2) & 0x09249249;
}

// The order that sorts the keys: a radix sort, stable, by all threads.
std::vector<uint32_t> sorting_order(std::vector<uint32_t> keys, int bits, int threads) {
    size_t P = keys.size();
    std::vector<uint32_t> order(P), order2(P), keys2(P);
    size_t grain = std::max<size_t>(1, (P + size_t(threads) - 1) / size_t(std::max(1, threads)));
    size_t blocks = (P + grain - 1) / grain;
    constexpr int kDigit = 11;
    constexpr size_t kRadix = size_t(1) << kDigit;
    for (size_t i = 0; i < P; ++i) order[i] = uint32_t(i);
    std::vector<uint32_t> counts(blocks * kRadix);
    for (int shift = 0; shift < bits; shift += kDigit) {
        std::fill(counts.begin(), counts.end(), 0);
        parallel_for(threads, P, grain, [&](size_t begin, size_t end, int) {
            uint32_t *c = &counts[begin / grain * kRadix];
            for (size_t i = begin; i < end; ++i) ++c[(keys[i] >> shift) & (kRadix - 1)];
        });
        uint32_t total = 0;
        for (size_t d = 0; d < kRadix; ++d)
            for (size_t b = 0; b < blocks; ++b) {
                uint32_t n = counts[b * kRadix + d];
                counts[b * kRadix + d] = total;
                total += n;
            }
        parallel_for(threads, P, grain, [&](size_t begin, size_t end, int) {
            uint32_t *c = &counts[begin / grain * kRadix];
            for (size_t i = begin; i < end; ++i) {
                uint32_t at = c[(keys[i] >> shift) & (kRadix - 1)]++;
                keys2[at] = keys[i], order2[at] = order[i];
            }
        });
        keys.swap(keys2), order.swap(order2);
    }
    return order;
}

// The order of the queries along a Morton curve through the box around them, no finer than they can tell apart.
std::vector<uint32_t> curve_order(const double *points, size_t P, int threads) {
    if (P < 32) return sorting_order(std::vector<uint32_t>(P), 0, 1);
    double lo[3] = {INFINITY, INFINITY, INFINITY}, hi[3] = {-INFINITY, -INFINITY, -INFINITY};
    for (size_t i = 0; i < P; ++i)
        for (size_t a = 0; a < 3; ++a) lo[a] = std::min(lo[a], points[3 * i + a]), hi[a] = std::max(hi[a], points[3 * i + a]);
    int bits = P < (1u << 15) ? 5 : P < (1u << 22) ? 7 : 10;
    double size = std::max(hi[0] - lo[0], std::max(hi[1] - lo[1], hi[2] - lo[2]));
    double by = size > 0 ? double(1 << bits) * 0.999999 / size : 0;
    if (!std::isfinite(by)) by = 0;
    std::vector<uint32_t> keys(P);
    parallel_for(threads, P, 1 << 14, [&](size_t begin, size_t end, int) {
        for (size_t i = begin; i < end; ++i) {
            uint32_t key = 0;
            for (size_t a = 0; a < 3; ++a) key |= spread(uint32_t((points[3 * i + a] - lo[a]) * by)) << a;
            keys[i] = key;
        }
    });
    return sorting_order(std::move(keys), 3 * bits, threads);
}

// The queries in units of 2^-exponent and in the order of the curve: order[k] is where query k came from. Results are made in
// this order too, and scattered at the end: a search then never waits for memory far away.
struct Batch {
    Aligned<double> points;
    std::vector<uint32_t> order;
    Batch(const Scene &s, const double *p, size_t P, int threads) : points(3 * P), order(curve_order(p, P, threads)) {
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

// Winding number by f64 far fields to second order, with a stricter opening angle; near triangles exactly.
double careful_winding(const Scene &s, Vec p) {
    constexpr double opening = 4;
    Vec centre{s.centre[0], s.centre[1], s.centre[2]};
    Vec q = (p - centre) * s.to_f32;
    double sum = 0;
    std::vector<int32_t> stack{0};
    while (!stack.empty()) {
        int32_t index = stack.back();
        stack.pop_back();
        const Node &node = s.nodes[size_t(index)];
        for (int c = 0; c < node.count; ++c) {
            const NodeMoments &m = s.moments[size_t(index)];
            Vec r = Vec{m.c[0][c], m.c[1][c], m.c[2][c]} - q;
            double rr = norm_sq(r), reach = opening * m.radius[c];
            if (rr > reach * reach) {
                double inv_sq = 1 / rr, inv_cube = inv_sq * std::sqrt(inv_sq);
                double quadratic = r.x * (r.x * m.q[0][c] + r.y * m.q[3][c] + r.z * m.q[4][c]) +
                                   r.y * (r.y * m.q[1][c] + r.z * m.q[5][c]) + r.z * r.z * m.q[2][c];
                const SecondMoment &two = s.second_moments[size_t(index)].child[c];
                const float *k = two.cubic;
                double cubic = r.x * r.x * (r.x * k[0] + r.y * k[3] + r.z * k[4]) +
                               r.y * r.y * (r.y * k[1] + r.x * k[5] + r.z * k[6]) +
                               r.z * r.z * (r.z * k[2] + r.x * k[7] + r.y * k[8]) + r.x * r.y * r.z * k[9];
                double second = 7.5 * cubic * inv_sq - 1.5 * (r.x * two.trace[0] + r.y * two.trace[1] + r.z * two.trace[2]);
                double dipole = r.x * m.n[0][c] + r.y * m.n[1][c] + r.z * m.n[2][c];
                sum += (dipole + m.trace[c] - 3 * quadratic * inv_sq + second * inv_sq) * inv_cube / (4 * M_PI);
            } else if (node.child[c] < 0) {
                const int32_t *faces = &s.leaf_faces[size_t(~node.child[c]) * kWide];
                for (int i = 0; i < kWide && faces[i] >= 0; ++i)
                    sum += winding_of_triangle(&s.triangles[9 * size_t(faces[i])], p);
            } else {
                stack.push_back(node.child[c]);
            }
        }
    }
    return sum;
}

double exact_winding(const Scene &s, Vec p) {
    double sum = 0;
    for (size_t f = 0; f < s.face_count; ++f) sum += winding_of_triangle(&s.triangles[9 * f], p);
    return sum;
}

// Estimates of the winding number, each better and dearer than the one before, and how far from one half each must be to
// decide: more than twice the worst error seen on real meshes (0.09, 0.011, 0.0015).
struct Estimate {
    float opening, spread, doubt;
};
constexpr Estimate kPackets[] = {{1.25f, 5, 0.2f}, {2.5f, 12, 0.04f}, {5, 40, 0.006f}};
constexpr double kCarefulDoubt = 5e-3;
constexpr double kTooNear = 1e-5;  // f32 solid angles mean nothing this close to a triangle

bool decide_carefully(const Scene &s, Vec p) {
    double w = careful_winding(s, p);
    if (std::fabs(w - 0.5) > kCarefulDoubt) return w > 0.5;
    return exact_winding(s, p) > 0.5;
}

// Makes the distances of queries begin to end negative where the winding number exceeds one half. Only the points that one
// estimate leaves in doubt are looked at by the next.
void decide_block(const Scene &s, const Batch &batch, size_t begin, size_t end, double *distances) {
    std::vector<uint32_t> undecided, near;
    std::vector<double> points;
    std::vector<float> estimate(end - begin);
    for (size_t k = begin; k < end; ++k) (distances[k] * s.to_f32 < kTooNear ? near : undecided).push_back(uint32_t(k));
    for (const Estimate &e : kPackets) {
        points.clear();
        for (uint32_t k : undecided) points.insert(points.end(), &batch.points[3 * size_t(k)], &batch.points[3 * size_t(k)] + 3);
        functions().winding(s, points.data(), 0, undecided.size(), e.opening, e.spread, estimate.data());
        size_t kept = 0;
        for (size_t i = 0; i < undecided.size(); ++i) {
            uint32_t k = undecided[i];
            if (std::fabs(estimate[i] - 0.5f) <= e.doubt)
                undecided[kept++] = k;
            else if (estimate[i] > 0.5f)
                distances[k] = -distances[k];
        }
        undecided.resize(kept);
    }
    undecided.insert(undecided.end(), near.begin(), near.end());
    for (uint32_t k : undecided)
        if (decide_carefully(s, batch.point(k))) distances[k] = -distances[k];
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
                double w = careful_winding(s, middle);
                double own = winding_of_triangle(t, middle);
                s.front_winding[i] = int32_t(std::lround(w - own - 0.5));
            }
        });
    } else if (s.topology.volume < 0) {
        s.front_winding[0] = -1;
    }
    s.front_known = true;
}

void sign_by_pseudonormal(Scene &s, const Batch &batch, const Aligned<Closest> &found, int threads, double *distances) {
    bool pieces = s.front_known;
    parallel_for(threads, batch.size(), 4096, [&](size_t begin, size_t end, int) {
        for (size_t k = begin; k < end; ++k) {
            const Closest &c = found[k];
            bool behind = dot(batch.point(k) - load(c.point), pseudonormal(s, c)) < 0;
            bool inside = behind;
            if (pieces) inside = s.front_winding[size_t(s.component[size_t(c.face)])] + (behind ? 1 : 0) >= 1;
            if (inside) distances[k] = -distances[k];
        }
    });
}

void sign_by_winding(Scene &s, const Batch &batch, int threads, double *distances) {
    need_moments(s, threads);
    parallel_for(threads, batch.size(), kBlock,
                 [&](size_t begin, size_t end, int) { decide_block(s, batch, begin, end, distances); });
}

// The majority of three rays, in directions that no modelled face is likely to contain.
void sign_by_parity(Scene &s, const Batch &batch, int threads, double *distances) {
    need_vertex_leaves(s, threads);
    constexpr double directions[3][3] = {
        {0.5773182, 0.4098321, 0.7061843}, {-0.3141593, 0.8660127, 0.3887211}, {0.2718282, -0.5235988, -0.8073912}};
    parallel_for(threads, batch.size(), kBlock, [&](size_t begin, size_t end, int) {
        for (size_t k = begin; k < end; ++k) {
            int votes = 0;
            for (const auto &d : directions) {
                int64_t crossings;
                functions().count_hits(s, &batch.points[3 * k], d, 0, 1, &crossings);
                votes += int(crossings & 1);
            }
            if (votes >= 2) distances[k] = -distances[k];
        }
    });
}

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
    Batch batch(s, points, P, threads);
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
    Batch batch(s, points, P, threads);
    Aligned<Closest> found = find_closest(s, batch, threads);
    Aligned<double> distances(P);
    parallel_for(threads, P, 1 << 14, [&](size_t begin, size_t end, int) {
        for (size_t k = begin; k < end; ++k) distances[k] = std::sqrt(found[k].distance_sq);
    });
    if (sign == Sign::pseudonormal) {
        need_normals(s, threads);
        if (s.topology.closed && s.topology.oriented) std::call_once(s.front_once, [&] { find_front_winding(s, threads); });
        sign_by_pseudonormal(s, batch, found, threads, distances.data());
    } else if (sign == Sign::winding) {
        sign_by_winding(s, batch, threads, distances.data());
    } else if (sign == Sign::parity) {
        sign_by_parity(s, batch, threads, distances.data());
    }
    double unit = std::ldexp(1.0, s.exponent);
    parallel_for(threads, P, 1 << 14, [&](size_t begin, size_t end, int) {
        for (size_t k = begin; k < end; ++k) out[batch.order[k]] = distances[k] * unit;
    });
}

void query_winding(Scene &s, const double *points, size_t P, Winding how, int threads, double *out) {
    Batch batch(s, points, P, threads);
    if (how != Winding::exact) need_moments(s, threads);
    bool packets = how == Winding::rough || how == Winding::better;
    std::vector<float> estimate(packets ? P : 0);
    parallel_for(threads, P, packets ? kBlock : 64, [&](size_t begin, size_t end, int) {
        if (packets) {
            const Estimate &e = kPackets[how == Winding::rough ? 0 : 2];
            functions().winding(s, batch.points.data(), begin, end, e.opening, e.spread, estimate.data());
        }
        for (size_t k = begin; k < end; ++k)
            out[batch.order[k]] = packets ? double(estimate[k])
                                  : how == Winding::exact ? exact_winding(s, batch.point(k))
                                                          : careful_winding(s, batch.point(k));
    });
}

void query_rays(Scene &s, const double *origins, const double *directions, size_t R, RayMode mode, int threads, double *t,
                int64_t *faces) {
    need_vertex_leaves(s, threads);
    // As large as a block may be, because rays traced together share their way, but as many blocks for each thread.
    size_t share = size_t(threads) * kRayBlock, blocks = size_t(threads) * ((R + share - 1) / share);
    size_t block = std::max<size_t>(1024, (R + blocks - 1) / std::max<size_t>(1, blocks));
    std::vector<Aligned<RaySpace>> spaces(static_cast<size_t>(threads));
    parallel_for(threads, R, block, [&](size_t begin, size_t end, int thread) {
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
