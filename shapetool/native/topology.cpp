// What is known of a mesh as a surface: closed, oriented, manifold, folded, self-intersecting; and its pseudonormals
// (Baerentzen and Aanaes 2005, "Signed distance computation using the angle weighted pseudonormal").
#include <algorithm>
#include <cmath>
#include <numeric>

#include "build.hpp"
#include "parallel.hpp"
#include "triangle.hpp"

namespace shapetool {
namespace {

struct Buckets {  // corners by vertex
    std::vector<uint32_t> start, corner;
};

Buckets corners_by_vertex(const Scene &s) {
    Buckets b;
    b.start.assign(s.vertex_count + 1, 0);
    b.corner.resize(3 * s.face_count);
    for (size_t i = 0; i < 3 * s.face_count; ++i) ++b.start[size_t(s.faces[i]) + 1];
    for (size_t v = 0; v < s.vertex_count; ++v) b.start[v + 1] += b.start[v];
    std::vector<uint32_t> at(b.start.begin(), b.start.end() - 1);
    for (size_t i = 0; i < 3 * s.face_count; ++i) b.corner[at[size_t(s.faces[i])]++] = uint32_t(i);
    return b;
}

struct HalfEdge {
    int32_t other;    // the larger vertex
    uint32_t corner;  // 3 face + edge
};

void find_neighbours(Scene &s, Topology &t) {
    // half-edges by their smaller vertex, then by the larger one
    std::vector<uint32_t> start(s.vertex_count + 1, 0);
    auto ends = [&](uint32_t i, int32_t &low, int32_t &high) {
        uint32_t f = i / 3, e = i - 3 * f;
        low = s.faces[i], high = s.faces[3 * f + (e == 2 ? 0 : e + 1)];
        bool forward = low < high;
        if (!forward) std::swap(low, high);
        return forward;
    };
    int32_t low, high;
    uint32_t n = uint32_t(3 * s.face_count);
    for (uint32_t i = 0; i < n; ++i) ends(i, low, high), ++start[size_t(low) + 1];
    for (size_t v = 0; v < s.vertex_count; ++v) start[v + 1] += start[v];
    std::vector<uint32_t> at(start.begin(), start.end() - 1);
    std::vector<HalfEdge> edges(n);
    for (uint32_t i = 0; i < n; ++i) ends(i, low, high), edges[at[size_t(low)]++] = {high, i};
    s.neighbour.assign(n, -1);
    for (size_t v = 0; v < s.vertex_count; ++v) {
        HalfEdge *first = edges.data() + start[v], *last = edges.data() + start[v + 1];
        if (last - first > 1)
            std::sort(first, last, [](const HalfEdge &a, const HalfEdge &b) {
                return a.other < b.other || (a.other == b.other && a.corner < b.corner);
            });
        while (first != last) {
            HalfEdge *next = first + 1;
            while (next != last && next->other == first->other) ++next;
            int32_t left = 0;
            for (const HalfEdge *e = first; e != next; ++e) left += ends(e->corner, low, high) ? 1 : -1;
            if (left) s.boundary.insert(s.boundary.end(), {low, high, left});
            if (next - first == 1) {
                ++t.open_edges;
            } else if (next - first == 2) {
                uint32_t a = first[0].corner, b = first[1].corner;
                s.neighbour[a] = int32_t(b), s.neighbour[b] = int32_t(a);
                if (ends(a, low, high) == ends(b, low, high)) ++t.misoriented_edges;
            } else {
                ++t.nonmanifold_edges;
            }
            first = next;
        }
    }
}

void find_components(Scene &s, Topology &t) {
    std::vector<int32_t> parent(s.face_count);
    std::iota(parent.begin(), parent.end(), 0);
    auto root = [&](int32_t f) {
        while (parent[size_t(f)] != f) f = parent[size_t(f)] = parent[size_t(parent[size_t(f)])];
        return f;
    };
    for (size_t i = 0; i < 3 * s.face_count; ++i)
        if (s.neighbour[i] >= 0) {
            int32_t a = root(int32_t(i / 3)), b = root(s.neighbour[i] / 3);
            if (a != b) parent[size_t(std::max(a, b))] = std::min(a, b);
        }
    s.component.assign(s.face_count, -1);
    for (size_t f = 0; f < s.face_count; ++f) {
        int32_t r = root(int32_t(f));
        s.component[f] = r == int32_t(f) ? int32_t(t.components++) : s.component[size_t(r)];
    }
}

// Whether every edge has two faces that run along it in opposite directions.
bool edges_cancel(const Scene &s, int threads) {
    // half-edges at their smaller vertex: the larger one, and in the lowest bit the direction
    std::vector<uint32_t> start(s.vertex_count + 1, 0), ends(3 * s.face_count);
    const int32_t *faces = s.faces.data();
    auto each = [&](const auto &take) {
        for (size_t f = 0; f < s.face_count; ++f) {
            int32_t a = faces[3 * f], b = faces[3 * f + 1], c = faces[3 * f + 2];
            take(a, b), take(b, c), take(c, a);
        }
    };
    each([&](int32_t a, int32_t b) { ++start[size_t(std::min(a, b)) + 1]; });
    for (size_t v = 0; v < s.vertex_count; ++v) start[v + 1] += start[v];
    std::vector<uint32_t> at(start.begin(), start.end() - 1);
    each([&](int32_t a, int32_t b) { ends[at[size_t(std::min(a, b))]++] = uint32_t(std::max(a, b)) << 1 | uint32_t(a < b); });
    std::atomic<bool> cancel{true};
    parallel_for(threads, s.vertex_count, 4096, [&](size_t begin, size_t end, int) {
        for (size_t v = begin; v < end && cancel; ++v) {
            uint32_t *first = ends.data() + start[v], *last = ends.data() + start[v + 1];
            std::sort(first, last);
            bool paired = (last - first) % 2 == 0;
            for (; paired && first != last; first += 2)  // one each way, and no third
                paired = first[0] + 1 == first[1] && first[1] % 2 == 1 && (first + 2 == last || first[2] > first[1]);
            if (!paired) cancel = false;
        }
    });
    return cancel;
}

constexpr size_t kVolumeGrain = 2048;  // faces added up before their sums are: the same bits whatever the threads

double volume_of_faces(const Scene &s, size_t begin, size_t end) {
    Vec centre{s.centre[0], s.centre[1], s.centre[2]};
    double volume = 0;
    for (size_t f = begin; f < end; ++f) {
        const double *v = &s.triangles[9 * f];
        volume += dot(load(v) - centre, cross(load(v + 3) - centre, load(v + 6) - centre)) / 6;
    }
    return volume;
}

double signed_volume(const Scene &s, int threads) {
    std::vector<double> sums((s.face_count + kVolumeGrain - 1) / kVolumeGrain);
    parallel_for(threads, s.face_count, kVolumeGrain,
                 [&](size_t begin, size_t end, int) { sums[begin / kVolumeGrain] = volume_of_faces(s, begin, end); });
    return std::accumulate(sums.begin(), sums.end(), 0.0);
}

// Normals, sums and folds, face by face.
void measure_faces(Scene &s, Topology &t, int threads) {
    s.face_normals.resize(3 * s.face_count);
    struct Sum {
        double area = 0;
        int64_t degenerate = 0;
    };
    constexpr size_t grain = 2048;
    std::vector<Sum> sums((s.face_count + grain - 1) / grain);
    parallel_for(threads, s.face_count, grain, [&](size_t begin, size_t end, int) {
        Sum sum;
        for (size_t f = begin; f < end; ++f) {
            const double *v = &s.triangles[9 * f];
            Vec a = load(v), b = load(v + 3), c = load(v + 6), n = cross(b - a, c - a);
            double length = norm(n);
            sum.area += 0.5 * length;
            bool thin = is_degenerate(n, longest_edge_sq(a, b, c));
            sum.degenerate += thin;
            store(&s.face_normals[3 * f], thin ? Vec{0, 0, 0} : n * (1 / length));
        }
        sums[begin / grain] = sum;
    });
    t.volume = signed_volume(s, threads);
    for (const Sum &sum : sums) t.area += sum.area, t.degenerate_faces += sum.degenerate;
    for (size_t i = 0; i < 3 * s.face_count; ++i)
        if (s.neighbour[i] > int32_t(i)) {
            Vec a = load(&s.face_normals[3 * (i / 3)]), b = load(&s.face_normals[3 * size_t(s.neighbour[i] / 3)]);
            if (norm_sq(a + b) < 1e-14) ++t.folded_edges;
        }
}

}  // namespace

void need_topology(Scene &s, int threads) {
    std::call_once(s.topology_once, [&] {
        Topology &t = s.topology;
        find_neighbours(s, t);
        find_components(s, t);
        measure_faces(s, t, s.face_count < 4000 ? 1 : threads);
        t.closed = t.open_edges == 0 && t.nonmanifold_edges == 0;
        t.oriented = t.misoriented_edges == 0 && t.nonmanifold_edges == 0;
    });
}

int need_orientation(Scene &s, int threads) {
    if (s.face_count < 4000) threads = 1;
    std::call_once(s.orientation_once, [&] {
        if (edges_cancel(s, threads)) s.orientation = signed_volume(s, threads) < 0 ? -1 : 1;
    });
    return s.orientation;
}

void need_normals(Scene &s, int threads) {
    need_topology(s, threads);
    std::call_once(s.normals_once, [&] {
        Buckets b = corners_by_vertex(s);
        s.vertex_normals.resize(3 * s.vertex_count);
        std::atomic<int64_t> split_fans{0};
        parallel_for(s.face_count < 4000 ? 1 : threads, s.vertex_count, 2048, [&](size_t begin, size_t end, int) {
            int64_t split = 0;
            for (size_t v = begin; v < end; ++v) {
                Vec sum{0, 0, 0};
                uint32_t valence = b.start[v + 1] - b.start[v];
                for (uint32_t k = b.start[v]; k < b.start[v + 1]; ++k) {
                    uint32_t corner = b.corner[k], f = corner / 3, i = corner - 3 * f;
                    Vec p = load(&s.triangles[3 * size_t(corner)]);
                    Vec e0 = load(&s.triangles[9 * size_t(f) + 3 * ((i + 1) % 3)]) - p,
                        e1 = load(&s.triangles[9 * size_t(f) + 3 * ((i + 2) % 3)]) - p;
                    sum = sum + load(&s.face_normals[3 * size_t(f)]) * std::atan2(norm(cross(e0, e1)), dot(e0, e1));
                }
                store(&s.vertex_normals[3 * v], sum);
                if (!valence) continue;
                // around the vertex through neighbours: a manifold vertex has all its faces in one fan
                uint32_t corner = b.corner[b.start[v]], walked = 0;
                do {
                    int32_t across = s.neighbour[corner];  // over the edge that leaves v
                    if (across < 0) break;
                    uint32_t f = uint32_t(across) / 3, e = uint32_t(across) - 3 * f;
                    corner = s.faces[size_t(across)] == int32_t(v) ? uint32_t(across) : 3 * f + (e + 1) % 3;
                    ++walked;
                } while (corner != b.corner[b.start[v]] && walked <= valence);
                split += walked != valence;
            }
            split_fans += split;
        });
        s.topology.nonmanifold_vertices = split_fans;
    });
}

void need_boundary(Scene &s, int threads) {
    need_topology(s, threads);
    std::call_once(s.boundary_once, [&] {
        size_t edges = s.boundary.size() / 3;
        s.boundary_edges.resize((edges + kWide - 1) / kWide);
        for (size_t i = 0; i < s.boundary_edges.size() * kWide; ++i) {
            BoundaryEdges &out = s.boundary_edges[i / kWide];
            size_t lane = i % kWide;
            const int32_t *edge = i < edges ? &s.boundary[3 * i] : nullptr;
            double length_sq = 0;
            for (size_t a = 0; a < 3; ++a) {
                double from = 1e3, to = 1e3;
                if (edge) {
                    from = (s.vertices[3 * size_t(edge[0]) + a] - s.centre[a]) * s.to_f32;
                    to = (s.vertices[3 * size_t(edge[1]) + a] - s.centre[a]) * s.to_f32;
                }
                out.start[a][lane] = float(from), out.end[a][lane] = float(to);
                length_sq += (to - from) * (to - from);
            }
            out.length[lane] = float(std::sqrt(length_sq)), out.inv_sq[lane] = length_sq > 1e-30 ? float(1 / length_sq) : 0;
            out.times[lane] = edge ? float(edge[2]) : 0;
        }
    });
}

void need_intersections(Scene &s, int threads) {
    need_vertex_leaves(s, threads);
    std::call_once(s.intersections_once, [&] {
        std::atomic<int64_t> found{0};
        constexpr int64_t enough = 64;
        parallel_for(s.face_count < 1000 ? 1 : threads, s.leaf_count, 64, [&](size_t begin, size_t end, int) {
            if (found < enough) found += functions().intersections(s, begin, end, kTouch, enough, nullptr);
        });
        s.topology.intersecting_pairs = std::min<int64_t>(found, enough);
    });
}

std::vector<int64_t> list_intersections(Scene &s, double slack, int threads) {
    need_vertex_leaves(s, threads);
    constexpr size_t grain = 64;
    std::vector<std::vector<int64_t>> by_block((s.leaf_count + grain - 1) / grain);
    parallel_for(threads, s.leaf_count, grain, [&](size_t begin, size_t end, int) {
        functions().intersections(s, begin, end, slack, INT64_MAX, &by_block[begin / grain]);
    });
    std::vector<int64_t> pairs;
    for (const auto &block : by_block) pairs.insert(pairs.end(), block.begin(), block.end());
    return pairs;
}

}  // namespace shapetool
