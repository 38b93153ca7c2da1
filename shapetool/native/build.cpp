// The bounding volume hierarchy: binned surface area heuristic (Wald 2007, "On fast construction of SAH-based bounding
// volume hierarchies"), eight children a node. Costs count whole leaves of eight triangles, so that leaves come out full.
#include "build.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "parallel.hpp"
#include "triangle.hpp"

namespace shapetool {
namespace {

constexpr int kBins = 16;
constexpr int kBalancedBelow = 40;  // from this depth on ranges are halved: no mesh outgrows the stack of a search
constexpr float kGrow = 1.5e-6f;  // more than the rounding of a coordinate within 4, so that boxes stay conservative

constexpr float kFlat = 1e-30f;  // middles no further apart are at one place: what a bin is found by stays finite

typedef float f4 __attribute__((vector_size(16)));

inline f4 min4(f4 a, f4 b) { return a < b ? a : b; }
inline f4 max4(f4 a, f4 b) { return a > b ? a : b; }

struct Box {
    f4 lo{INFINITY, INFINITY, INFINITY, INFINITY}, hi{-INFINITY, -INFINITY, -INFINITY, -INFINITY};
    void grow(const Box &b) { lo = min4(lo, b.lo), hi = max4(hi, b.hi); }
    void grow(f4 p) { lo = min4(lo, p), hi = max4(hi, p); }
    float half_area() const {
        f4 d = hi - lo;
        if (!(d[0] >= 0)) return 0;
        return d[0] * d[1] + d[1] * d[2] + d[2] * d[0];
    }
};

struct Primitive {
    f4 lo, hi;  // lo[3] holds the bits of the face index
    f4 middle() const { return lo + hi; }
};

inline int32_t face_of(const Primitive &p) {
    int32_t face;
    float bits = p.lo[3];
    std::memcpy(&face, &bits, 4);
    return face;
}

struct Range {
    uint32_t begin, end;
    Box box, middles;
    uint32_t size() const { return end - begin; }
};

inline float leaves(uint32_t n) { return float((n + kWide - 1) / kWide); }

Range measure(const Primitive *p, uint32_t begin, uint32_t end) {
    Range r{begin, end, {}, {}};
    for (uint32_t i = begin; i < end; ++i) {
        r.box.lo = min4(r.box.lo, p[i].lo), r.box.hi = max4(r.box.hi, p[i].hi);
        r.middles.grow(p[i].middle());
    }
    return r;
}

// Halves by count along the widest axis: for primitives that no plane separates, and for the last levels, where the left
// side gets a whole number of leaves.
void split_by_count(Primitive *p, const Range &r, Range &left, Range &right) {
    f4 d = r.middles.hi - r.middles.lo;
    int axis = d[0] >= d[1] ? (d[0] >= d[2] ? 0 : 2) : (d[1] >= d[2] ? 1 : 2);
    uint32_t half = r.size() / 2;
    if (half > uint32_t(kWide)) half = (half + kWide / 2) / kWide * kWide;
    uint32_t mid = r.begin + std::max<uint32_t>(1, half);
    std::nth_element(p + r.begin, p + mid, p + r.end,
                     [axis](const Primitive &a, const Primitive &b) { return a.middle()[axis] < b.middle()[axis]; });
    left = measure(p, r.begin, mid);
    right = measure(p, mid, r.end);
}

void split(Primitive *p, const Range &r, Range &left, Range &right) {
    f4 extent = r.middles.hi - r.middles.lo;
    float best_cost = INFINITY;
    int best_axis = -1, best_bin = 0;
    f4 scale;
    for (int a = 0; a < 3; ++a) scale[a] = extent[a] > kFlat ? kBins * 0.9999f / extent[a] : 0;
    scale[3] = 0;
    Box boxes[3][kBins];
    uint32_t counts[3][kBins] = {};
    for (uint32_t i = r.begin; i < r.end; ++i) {
        f4 bin = (p[i].middle() - r.middles.lo) * scale;
        Box b;
        b.lo = p[i].lo, b.hi = p[i].hi;
        for (int a = 0; a < 3; ++a) {
            int k = int(bin[a]);
            boxes[a][k].grow(b);
            ++counts[a][k];
        }
    }
    for (int a = 0; a < 3; ++a) {
        if (!(extent[a] > kFlat)) continue;
        float right_cost[kBins];
        Box b;
        uint32_t n = 0;
        for (int k = kBins - 1; k > 0; --k) {
            b.grow(boxes[a][k]);
            n += counts[a][k];
            right_cost[k] = b.half_area() * leaves(n);
        }
        b = Box{};
        n = 0;
        for (int k = 1; k < kBins; ++k) {
            b.grow(boxes[a][k - 1]);
            n += counts[a][k - 1];
            if (n == 0 || n == r.size()) continue;
            float cost = b.half_area() * leaves(n) + right_cost[k];
            if (cost < best_cost) best_cost = cost, best_axis = a, best_bin = k;
        }
    }
    if (best_axis < 0) return split_by_count(p, r, left, right);
    float low = r.middles.lo[best_axis], by = scale[best_axis];
    auto goes_left = [&](const Primitive &q) { return int((q.middle()[best_axis] - low) * by) < best_bin; };
    Box left_box, left_middles, right_box, right_middles;
    uint32_t i = r.begin, j = r.end;
    while (i < j) {
        Primitive q = p[i];
        if (goes_left(q)) {
            left_box.lo = min4(left_box.lo, q.lo), left_box.hi = max4(left_box.hi, q.hi);
            left_middles.grow(q.middle());
            ++i;
        } else {
            right_box.lo = min4(right_box.lo, q.lo), right_box.hi = max4(right_box.hi, q.hi);
            right_middles.grow(q.middle());
            --j;
            std::swap(p[i], p[j]);
        }
    }
    left = {r.begin, i, left_box, left_middles};
    right = {i, r.end, right_box, right_middles};
}

// Cuts the range with the largest surface until there are eight children or nothing left to cut.
int make_children(Primitive *p, const Range &whole, Range *children, int depth) {
    int n = 1;
    children[0] = whole;
    while (n < kWide) {
        int worst = -1;
        float area = -1;
        for (int i = 0; i < n; ++i)
            if (children[i].size() > uint32_t(kWide) && children[i].box.half_area() > area)
                area = children[i].box.half_area(), worst = i;
        if (worst < 0) break;
        Range left, right;
        if (children[worst].size() <= 3 * kWide || depth > kBalancedBelow)
            split_by_count(p, children[worst], left, right);
        else
            split(p, children[worst], left, right);
        children[worst] = left;
        children[n++] = right;
    }
    return n;
}

struct Part {
    std::vector<Node> nodes;
    std::vector<Range> leaves;
};

void set_child(Node &node, int slot, const Range &r, int32_t child) {
    for (int a = 0; a < 3; ++a) node.lo[a][slot] = r.box.lo[a] - kGrow, node.hi[a][slot] = r.box.hi[a] + kGrow;
    node.child[slot] = child;
}

Node empty_node() {
    Node node;
    std::memset(&node, 0, sizeof node);
    for (int a = 0; a < 3; ++a)
        for (int i = 0; i < kWide; ++i) node.lo[a][i] = INFINITY, node.hi[a][i] = -INFINITY;
    return node;
}

int32_t build_part(Primitive *p, const Range &r, Part &part, int depth) {
    int32_t index = int32_t(part.nodes.size());
    part.nodes.push_back(empty_node());
    Range children[kWide];
    int n = make_children(p, r, children, depth);
    part.nodes[index].count = n;
    for (int i = 0; i < n; ++i) {
        int32_t child;
        if (children[i].size() <= uint32_t(kWide)) {
            child = ~int32_t(part.leaves.size());
            part.leaves.push_back(children[i]);
        } else {
            child = build_part(p, children[i], part, depth + 1);
        }
        set_child(part.nodes[index], i, children[i], child);
    }
    return index;
}

void build_tree(Scene &s, int threads) {
    size_t F = s.face_count;
    Aligned<Primitive> primitives(F);
    Primitive *p = primitives.data();
    std::vector<Box> boxes(static_cast<size_t>(std::max(1, threads))), middles(boxes.size());
    parallel_for(threads, F, 4096, [&](size_t begin, size_t end, int thread) {
        Box box, middle;
        for (size_t f = begin; f < end; ++f) {
            const double *t = &s.triangles[9 * f];
            f4 v[3] = {};
            for (int c = 0; c < 3; ++c)
                for (int a = 0; a < 3; ++a) v[c][a] = float((t[3 * c + a] - s.centre[a]) * s.to_f32);
            for (int c = 0; c < 3; ++c) v[c][3] = 0;
            Primitive q{min4(v[0], min4(v[1], v[2])), max4(v[0], max4(v[1], v[2]))};
            int32_t face = int32_t(f);
            float bits;
            std::memcpy(&bits, &face, 4);
            box.lo = min4(box.lo, q.lo), box.hi = max4(box.hi, q.hi);
            middle.grow(q.middle());
            q.lo[3] = bits;
            p[f] = q;
        }
        boxes[size_t(thread)].grow(box);
        middles[size_t(thread)].grow(middle);
    });
    Range whole{0, uint32_t(F), {}, {}};
    for (auto &b : boxes) whole.box.grow(b);
    for (auto &b : middles) whole.middles.grow(b);

    // The top of the tree by one thread, its branches by all.
    Part top;
    std::vector<Range> branches;
    std::vector<std::pair<int32_t, int>> slots;  // where each branch hangs
    auto build_top = [&](auto &&self, const Range &r, int depth) -> int32_t {
        int32_t index = int32_t(top.nodes.size());
        top.nodes.push_back(empty_node());
        Range children[kWide];
        int n = make_children(p, r, children, 0);
        top.nodes[size_t(index)].count = n;
        for (int i = 0; i < n; ++i) {
            set_child(top.nodes[size_t(index)], i, children[i], 0);
            if (depth > 1 && children[i].size() > 16384) {
                int32_t child = self(self, children[i], depth - 1);
                top.nodes[size_t(index)].child[i] = child;
            } else {
                slots.emplace_back(index, i);
                branches.push_back(children[i]);
            }
        }
        return index;
    };
    build_top(build_top, whole, threads > 4 ? 3 : 1);
    std::vector<Part> parts(branches.size());
    std::vector<uint32_t> by_size(branches.size());
    for (size_t i = 0; i < by_size.size(); ++i) by_size[i] = uint32_t(i);
    std::sort(by_size.begin(), by_size.end(),
              [&](uint32_t a, uint32_t b) { return branches[a].size() > branches[b].size(); });
    int build_threads = F < 2000 ? 1 : threads;
    parallel_for(build_threads, branches.size(), 1, [&](size_t begin, size_t end, int) {
        for (size_t k = begin; k < end; ++k) {
            uint32_t b = by_size[k];
            if (branches[b].size() <= uint32_t(kWide))
                parts[b].leaves.push_back(branches[b]);
            else
                build_part(p, branches[b], parts[b], 3);
        }
    });
    size_t nodes = top.nodes.size(), leaf_total = 0;
    std::vector<size_t> node_base(parts.size()), leaf_base(parts.size());
    for (size_t i = 0; i < parts.size(); ++i) {
        node_base[i] = nodes, leaf_base[i] = leaf_total;
        nodes += parts[i].nodes.size(), leaf_total += parts[i].leaves.size();
    }
    s.nodes.resize(nodes);
    s.leaf_count = leaf_total;
    s.leaf_faces.assign(leaf_total * kWide, -1);
    for (size_t i = 0; i < parts.size(); ++i) {
        bool single = parts[i].nodes.empty();
        top.nodes[size_t(slots[i].first)].child[slots[i].second] = single ? ~int32_t(leaf_base[i]) : int32_t(node_base[i]);
    }
    std::memcpy(s.nodes.data(), top.nodes.data(), top.nodes.size() * sizeof(Node));
    parallel_for(build_threads, parts.size(), 1, [&](size_t begin, size_t end, int) {
        for (size_t i = begin; i < end; ++i) {
            for (size_t k = 0; k < parts[i].nodes.size(); ++k) {
                Node node = parts[i].nodes[k];
                for (int c = 0; c < node.count; ++c)
                    node.child[c] += node.child[c] < 0 ? -int32_t(leaf_base[i]) : int32_t(node_base[i]);
                s.nodes[node_base[i] + k] = node;
            }
            for (size_t k = 0; k < parts[i].leaves.size(); ++k) {
                const Range &r = parts[i].leaves[k];
                int32_t *out = &s.leaf_faces[(leaf_base[i] + k) * kWide];
                for (uint32_t j = r.begin; j < r.end; ++j) out[j - r.begin] = face_of(p[j]);
                std::sort(out, out + r.size());
            }
        }
    });
}

void fill_frame(const Scene &s, FrameLeaf &leaf, int lane, int32_t face) {
    const double *t = &s.triangles[9 * size_t(face)];
    Vec v[3];
    for (int c = 0; c < 3; ++c) v[c] = load(t + 3 * c);
    Vec o{s.centre[0], s.centre[1], s.centre[2]};
    for (auto &p : v) p = (p - o) * s.to_f32;
    int first = 0;
    double longest = -1;
    for (int i = 0; i < 3; ++i) {
        double e = norm_sq(v[(i + 1) % 3] - v[i]);
        if (e > longest) longest = e, first = i;
    }
    Vec a = v[first], b = v[(first + 1) % 3], c = v[(first + 2) % 3];
    double length = std::sqrt(longest);
    Vec x = length > 0 ? (b - a) * (1 / length) : Vec{1, 0, 0};
    double cx = dot(c - a, x);
    Vec y = (c - a) - x * cx;
    double cy = norm(y);
    if (cy > 1e-12 * length) {
        y = y * (1 / cy);
        y = y - x * dot(x, y);  // once more: on a sliver the first difference has lost its direction
        y = y * (1 / norm(y));
    } else {
        cy = 0;
        Vec pick = std::fabs(x.x) < 0.6 ? Vec{1, 0, 0} : Vec{0, 1, 0};
        y = cross(x, pick);
        y = y * (1 / norm(y));
    }
    Vec z = cross(x, y);
    const double *rows[4] = {&a.x, &x.x, &y.x, &z.x};
    float(*out[4])[kWide] = {leaf.origin, leaf.x, leaf.y, leaf.z};
    for (int k = 0; k < 4; ++k)
        for (int axis = 0; axis < 3; ++axis) out[k][axis][lane] = float(rows[k][axis]);
    leaf.length[lane] = float(length), leaf.cx[lane] = float(cx), leaf.cy[lane] = float(cy);
    double bc = (cx - length) * (cx - length) + cy * cy, ca = cx * cx + cy * cy;
    leaf.inv_bc[lane] = bc > 1e-30 ? float(1 / bc) : 0, leaf.inv_ca[lane] = ca > 1e-30 ? float(1 / ca) : 0;
    leaf.face[lane] = face;
}

void fill_empty_frame(FrameLeaf &leaf, int lane) {
    for (int a = 0; a < 3; ++a)
        leaf.origin[a][lane] = 1e18f, leaf.x[a][lane] = a == 0, leaf.y[a][lane] = a == 1, leaf.z[a][lane] = a == 2;
    leaf.length[lane] = leaf.cx[lane] = leaf.cy[lane] = leaf.inv_bc[lane] = leaf.inv_ca[lane] = 0;
    leaf.face[lane] = -1;
}

}  // namespace

std::unique_ptr<Scene> build_scene(const double *vertices, size_t V, const int64_t *faces, size_t F, int threads) {
    auto scene = std::make_unique<Scene>();
    Scene &s = *scene;
    s.vertex_count = V, s.face_count = F;
    double largest = 0;
    for (size_t i = 0; i < 3 * V; ++i) largest = std::max(largest, std::fabs(vertices[i]));
    s.exponent = largest > 0 ? std::clamp(std::ilogb(largest), -1000, 1000) : 0;
    double unit = std::ldexp(1.0, -s.exponent);
    s.vertices.resize(3 * V);
    for (size_t i = 0; i < 3 * V; ++i) s.vertices[i] = vertices[i] * unit;
    s.faces.resize(3 * F);
    s.triangles.resize(9 * F);
    for (int a = 0; a < 3; ++a) s.low[a] = INFINITY, s.high[a] = -INFINITY;
    std::mutex together;
    parallel_for(F < 4000 ? 1 : threads, 3 * F, 1 << 15, [&](size_t begin, size_t end, int) {
        double low[3] = {INFINITY, INFINITY, INFINITY}, high[3] = {-INFINITY, -INFINITY, -INFINITY};
        for (size_t i = begin; i < end; ++i) {
            s.faces[i] = int32_t(faces[i]);
            const double *v = &s.vertices[3 * size_t(faces[i])];
            for (int a = 0; a < 3; ++a) {
                s.triangles[3 * i + size_t(a)] = v[a];
                low[a] = std::min(low[a], v[a]), high[a] = std::max(high[a], v[a]);
            }
        }
        std::lock_guard<std::mutex> alone(together);
        for (int a = 0; a < 3; ++a) s.low[a] = std::min(s.low[a], low[a]), s.high[a] = std::max(s.high[a], high[a]);
    });
    double half = 0;
    for (int a = 0; a < 3; ++a) {
        s.centre[a] = 0.5 * (s.low[a] + s.high[a]);
        half = std::max(half, 0.5 * (s.high[a] - s.low[a]));
    }
    s.to_f32 = half > 0 ? 1 / half : 1;
    return scene;
}

void need_tree(Scene &s, int threads) {
    std::call_once(s.tree_once, [&] { build_tree(s, threads); });
}

void need_frames(Scene &s, int threads) {
    need_tree(s, threads);
    std::call_once(s.frames_once, [&] {
        s.frames.resize(s.leaf_count);
        parallel_for(s.face_count < 4000 ? 1 : threads, s.leaf_count, 256, [&](size_t begin, size_t end, int) {
            for (size_t l = begin; l < end; ++l)
                for (int i = 0; i < kWide; ++i) {
                    int32_t face = s.leaf_faces[l * kWide + size_t(i)];
                    if (face >= 0)
                        fill_frame(s, s.frames[l], i, face);
                    else
                        fill_empty_frame(s.frames[l], i);
                }
        });
    });
}

namespace {

void find_distinct(const VertexLeaf &from, FanLeaf &leaf) {
    int32_t ids[3 * kWide];
    leaf.distinct_count = leaf.count = 0;
    for (int i = 0; i < kWide && from.face[i] >= 0; ++i, ++leaf.count)
        for (int c = 0; c < 3; ++c) {
            int32_t id = from.id[c][i];
            int at = 0;
            while (at < leaf.distinct_count && ids[at] != id) ++at;
            if (at == leaf.distinct_count) {
                ids[leaf.distinct_count++] = id;
                for (int a = 0; a < 3; ++a) leaf.distinct[at][a] = from.v[c][a][i];
            }
            leaf.corner[i][c] = uint8_t(at);
        }
}

}  // namespace

void need_vertex_leaves(Scene &s, int threads) {
    need_tree(s, threads);
    std::call_once(s.vertices_once, [&] {
        s.vertex_leaves.resize(s.leaf_count);
        parallel_for(s.face_count < 4000 ? 1 : threads, s.leaf_count, 256, [&](size_t begin, size_t end, int) {
            for (size_t l = begin; l < end; ++l) {
                VertexLeaf &leaf = s.vertex_leaves[l];
                for (int i = 0; i < kWide; ++i) {
                    int32_t face = s.leaf_faces[l * kWide + size_t(i)];
                    leaf.face[i] = face;
                    int32_t shown = face >= 0 ? face : s.leaf_faces[l * kWide];  // an empty lane repeats the first
                    for (int c = 0; c < 3; ++c) {
                        leaf.id[c][i] = face >= 0 ? s.faces[3 * size_t(shown) + size_t(c)] : -1;
                        for (int a = 0; a < 3; ++a)
                            leaf.v[c][a][i] =
                                float((s.triangles[9 * size_t(shown) + size_t(3 * c + a)] - s.centre[a]) * s.to_f32);
                    }
                }
            }
        });
    });
}

namespace {

struct Sums {
    Vec area_centroid{0, 0, 0}, n{0, 0, 0};
    double area = 0;
    double q[3][3] = {};     // integral of n_i x_j over the triangles
    double m[3][3][3] = {};  // integral of n_i x_j x_k
    Vec lo{INFINITY, INFINITY, INFINITY}, hi{-INFINITY, -INFINITY, -INFINITY};
    double reach = INFINITY;  // no part is farther from the middle, as far as the parts tell; the box may know better
    Vec middle() const { return area > 0 ? area_centroid * (1 / area) : lo.x <= hi.x ? (lo + hi) * 0.5 : Vec{0, 0, 0}; }
    double radius() const {
        Vec c = middle(), far{std::max(hi.x - c.x, c.x - lo.x), std::max(hi.y - c.y, c.y - lo.y), std::max(hi.z - c.z, c.z - lo.z)};
        return std::min(norm(far), reach);
    }
    void add(const Sums &s) {
        area_centroid = area_centroid + s.area_centroid, n = n + s.n, area += s.area;
        for (int i = 0; i < 9; ++i) (&q[0][0])[i] += (&s.q[0][0])[i];
        for (int i = 0; i < 27; ++i) (&m[0][0][0])[i] += (&s.m[0][0][0])[i];
        lo = {std::min(lo.x, s.lo.x), std::min(lo.y, s.lo.y), std::min(lo.z, s.lo.z)};
        hi = {std::max(hi.x, s.hi.x), std::max(hi.y, s.hi.y), std::max(hi.z, s.hi.z)};
    }
};

Sums sum_leaf(const Scene &s, size_t l) {
    Sums sum;
    Vec o{s.centre[0], s.centre[1], s.centre[2]};
    for (int i = 0; i < kWide; ++i) {
        int32_t face = s.leaf_faces[l * kWide + size_t(i)];
        if (face < 0) continue;
        Vec v[3];
        for (int c = 0; c < 3; ++c) v[c] = (load(&s.triangles[9 * size_t(face) + size_t(3 * c)]) - o) * s.to_f32;
        Vec n = cross(v[1] - v[0], v[2] - v[0]) * 0.5;
        double area = norm(n);
        Vec c = (v[0] + v[1] + v[2]) * (1.0 / 3);
        sum.area += area, sum.n = sum.n + n, sum.area_centroid = sum.area_centroid + c * area;
        const double *nn = &n.x, *cc = &c.x;
        double xx[3][3];  // mean of x_j x_k over the triangle
        for (int j = 0; j < 3; ++j)
            for (int k = 0; k < 3; ++k) {
                xx[j][k] = 9 * cc[j] * cc[k];
                for (auto &p : v) xx[j][k] += (&p.x)[j] * (&p.x)[k];
                xx[j][k] /= 12;
            }
        for (int a = 0; a < 3; ++a)
            for (int b = 0; b < 3; ++b) {
                sum.q[a][b] += nn[a] * cc[b];
                for (int d = 0; d < 3; ++d) sum.m[a][b][d] += nn[a] * xx[b][d];
            }
        for (auto &p : v) {
            sum.lo = {std::min(sum.lo.x, p.x), std::min(sum.lo.y, p.y), std::min(sum.lo.z, p.z)};
            sum.hi = {std::max(sum.hi.x, p.x), std::max(sum.hi.y, p.y), std::max(sum.hi.z, p.z)};
        }
    }
    Vec middle = sum.middle();
    double reach_sq = 0;
    for (int i = 0; i < kWide; ++i) {
        int32_t face = s.leaf_faces[l * kWide + size_t(i)];
        if (face < 0) continue;
        const double *t = &s.triangles[9 * size_t(face)];
        for (int c = 0; c < 3; ++c) reach_sq = std::max(reach_sq, norm_sq((load(t + 3 * c) - o) * s.to_f32 - middle));
    }
    sum.reach = std::sqrt(reach_sq);
    return sum;
}

void finish(const Sums &s, NodeMoments &m, NodeSecondMoments &second, int lane) {
    Vec c = s.middle();
    const double *cc = &c.x, *nn = &s.n.x;
    double q[3][3];
    for (int a = 0; a < 3; ++a)
        for (int b = 0; b < 3; ++b) q[a][b] = s.q[a][b] - nn[a] * cc[b];
    for (int a = 0; a < 3; ++a) {
        m.c[a][lane] = float(cc[a]), m.n[a][lane] = float(nn[a]), m.q[a][lane] = float(q[a][a]);
        m.q[3 + a][lane] = a < 2 ? float(q[0][a + 1] + q[a + 1][0]) : float(q[1][2] + q[2][1]);
    }
    m.radius[lane] = float(s.radius() * (1 + 1e-6)), m.trace[lane] = float(q[0][0] + q[1][1] + q[2][2]);
    double t[3][3][3];
    for (int i = 0; i < 3; ++i)
        for (int j = 0; j < 3; ++j)
            for (int k = 0; k < 3; ++k)
                t[i][j][k] = s.m[i][j][k] - s.q[i][j] * cc[k] - s.q[i][k] * cc[j] + nn[i] * cc[j] * cc[k];
    auto three = [&](int i, int j) { return float(t[i][i][j] + t[i][j][i] + t[j][i][i]); };
    const float cubic[10] = {float(t[0][0][0]), float(t[1][1][1]), float(t[2][2][2]), three(0, 1), three(0, 2), three(1, 0),
                             three(1, 2), three(2, 0), three(2, 1),
                             float(t[0][1][2] + t[0][2][1] + t[1][0][2] + t[1][2][0] + t[2][0][1] + t[2][1][0])};
    for (int i = 0; i < 10; ++i) second.cubic[i][lane] = cubic[i];
    second.area[lane] = float(s.area);
    for (int k = 0; k < 3; ++k) {
        double sum = 0;
        for (int i = 0; i < 3; ++i) sum += 2 * t[i][i][k] + t[k][i][i];
        second.trace[k][lane] = float(sum);
    }
}

}  // namespace

void need_moments(Scene &s, int threads) {
    need_vertex_leaves(s, threads);
    std::call_once(s.moments_once, [&] {
        std::vector<Sums> of_leaf(s.leaf_count), of_node(s.nodes.size());
        s.fan_leaves.resize(s.leaf_count);
        parallel_for(s.face_count < 4000 ? 1 : threads, s.leaf_count, 256, [&](size_t begin, size_t end, int) {
            for (size_t l = begin; l < end; ++l) {
                of_leaf[l] = sum_leaf(s, l);
                find_distinct(s.vertex_leaves[l], s.fan_leaves[l]);
            }
        });
        s.moments.resize(s.nodes.size());
        s.second_moments.resize(s.nodes.size());
        for (size_t n = s.nodes.size(); n-- > 0;) {  // children always come after their parent
            const Node &node = s.nodes[n];
            const Sums *children[kWide];
            for (int i = 0; i < kWide; ++i) {
                if (i >= node.count) {
                    finish(Sums{}, s.moments[n], s.second_moments[n], i);
                    s.moments[n].radius[i] = INFINITY;
                    continue;
                }
                const Sums &sum = node.child[i] < 0 ? of_leaf[size_t(~node.child[i])] : of_node[size_t(node.child[i])];
                of_node[n].add(sum);
                children[i] = &sum;
                finish(sum, s.moments[n], s.second_moments[n], i);
            }
            Vec middle = of_node[n].middle();
            double reach = 0;
            for (int i = 0; i < node.count; ++i) reach = std::max(reach, norm(children[i]->middle() - middle) + children[i]->radius());
            of_node[n].reach = reach;
        }
    });
}

}  // namespace shapetool
