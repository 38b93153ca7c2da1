#include "views.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "parallel.hpp"
#include "shear.hpp"
#include "simd.hpp"

namespace shapetool {
namespace {

constexpr double kMargin = 1.0 / 128;  // of a pixel: twice what a projection may be off

struct Projected {
    double u, v, depth, unused;
};

// One view in units of 2^-exponent, and what its projection may be off.
struct Lens {
    View view;
    bool pinhole;
    double off;   // of u and v times the depth, or of u and v
    double near;  // from this depth on u and v of a pinhole are off by less than kMargin / 2, where it matters

    Lens(const Scene &s, const View &given, const Canvas &canvas) : view(given), pinhole(!canvas.orthographic) {
        double unit = std::ldexp(1.0, s.exponent), per_unit = 1 / unit, size = 0, most = 0;
        for (size_t a = 0; a < 3; ++a) size = std::max({size, std::fabs(s.low[a]), std::fabs(s.high[a])});
        for (int row = 0; row < 3; ++row)
            for (int a = 0; a < 3; ++a) view.origin[row][a] *= per_unit;
        for (int row = 0; row < 3; ++row) {
            double *p = view.project[row];
            if (pinhole || row == 2) p[3] *= per_unit;
            else for (int a = 0; a < 3; ++a) p[a] *= unit;
            double reach = (std::fabs(p[0]) + std::fabs(p[1]) + std::fabs(p[2])) * size + std::fabs(p[3]);
            most = std::max(most, row == 2 && pinhole ? reach * std::max(canvas.width, canvas.height) : reach);
        }
        off = most * 64 * 2.3e-16 * canvas.samples;
        near = pinhole ? off * (4 / kMargin) : -INFINITY;
    }

    void times_depth(const double *p, double *out) const {
        for (int row = 0; row < 3; ++row) {
            const double *m = view.project[row];
            out[row] = m[0] * p[0] + m[1] * p[1] + m[2] * p[2] + m[3];
        }
    }
};

// The first whole number from x on, and the last up to x, both within 0 .. most or just beside; std::ceil is a call for
// processors that may lack it.
int up_to(double x, int most) {
    if (!(x > 0)) return 0;
    if (x > most) return most + 1;
    int down = int(x);
    return down + (down < x);
}
int down_to(double x, int most) { return x < 0 ? -1 : x >= most ? most : int(x); }

// The rows begin to end of one view. Each pixel has samples^2 parts, with a ray through the middle of each.
struct Drawing {
    const Scene &scene;
    const Lens &lens;
    const Canvas &canvas;
    const int32_t *slot;  // of this view, or null
    int32_t first;        // the first slot of these rows
    int begin, end;
    const Projected *vertices;
    double *nearest;  // by part, those of a pixel row by row
    int32_t *face;    // by part
    const double *part_u, *part_v;  // of each part, from the corner of its pixel

    void ray(int x, int y, Vec &origin, Vec &direction) const {
        double u = (x + 0.5) / canvas.samples, v = (y + 0.5) / canvas.samples;
        const View &w = lens.view;
        origin = load(w.origin[0]) + load(w.origin[1]) * u + load(w.origin[2]) * v;
        direction = load(w.direction[0]) + load(w.direction[1]) * u + load(w.direction[2]) * v;
    }

    struct Box {
        int left, right, top, bottom;
    };
    Box all() const { return {0, canvas.width - 1, begin, end - 1}; }

    // The first part of a pixel, or SIZE_MAX where it is not wanted.
    size_t place(int x, int y) const {
        size_t at = size_t(y) * size_t(canvas.width) + size_t(x);
        if (!slot) return at - size_t(begin) * size_t(canvas.width);
        return slot[at] < 0 ? SIZE_MAX : size_t(slot[at] - first) * room_of(canvas);
    }
    // Parts of a pixel are tested by fours.
    static size_t room_of(const Canvas &c) { return c.slot ? (size_t(c.samples) * size_t(c.samples) + 3) / 4 * 4 : 1; }

    // A triangle, and a depth that no point of it is nearer than.
    struct Target {
        int32_t face;
        const double *triangle;
        double least;
    };

    void hit(size_t part, double t, int32_t f) const {
        if (t < nearest[part] || (t == nearest[part] && f < face[part])) nearest[part] = t, face[part] = f;
    }

    void test(int x, int y, const Target &target) const {
        size_t at = place(x, y);
        if (at == SIZE_MAX) return;
        if (slot) return test_parts(x, y, at, target);
        if (target.least > nearest[at]) return;
        Vec origin, direction;
        ray(x, y, origin, direction);
        double t = ray_triangle(target.triangle, Shear(origin, direction), false);
        if (t >= 0) hit(at, t, target.face);
    }

    // ray_triangle for four rays of a pixel at a time, all along the axis that its middle is most along.
    void test_parts(int x, int y, size_t at, const Target &target) const {
        int s = canvas.samples;
        Vec o, d;
        ray(x * s + s / 2, y * s + s / 2, o, d);
        Shear middle(o, d);
        const int axis[3] = {middle.kx, middle.ky, middle.kz};
        const View &w = lens.view;
        size_t room = room_of(canvas);
        for (size_t k = 0; k < room; k += 4) {
            d4 before = *reinterpret_cast<const d4u *>(nearest + at + k);
            l4 may = before >= set4(target.least);
            if (!any(may)) continue;
            d4 u = *reinterpret_cast<const d4u *>(part_u + k) + set4(x), v = *reinterpret_cast<const d4u *>(part_v + k) + set4(y);
            d4 from[3], along[3];
            for (int a = 0; a < 3; ++a) {
                from[a] = set4(w.origin[0][axis[a]]) + set4(w.origin[1][axis[a]]) * u + set4(w.origin[2][axis[a]]) * v;
                along[a] = set4(w.direction[0][axis[a]]) + set4(w.direction[1][axis[a]]) * u + set4(w.direction[2][axis[a]]) * v;
            }
            d4 sx = along[0] / along[2], sy = along[1] / along[2], px[3], py[3], dz[3];
            for (int c = 0; c < 3; ++c) {
                const double *corner = target.triangle + 3 * c;
                dz[c] = set4(corner[axis[2]]) - from[2];
                px[c] = set4(corner[axis[0]]) - from[0] - sx * dz[c];
                py[c] = set4(corner[axis[1]]) - from[1] - sy * dz[c];
            }
            d4 e0 = px[2] * py[1] - py[2] * px[1], e1 = px[0] * py[2] - py[0] * px[2], e2 = px[1] * py[0] - py[1] * px[0];
            d4 det = e0 + e1 + e2, zero = set4(0);
            may &= ((e0 >= zero) & (e1 >= zero) & (e2 >= zero)) | ((e0 <= zero) & (e1 <= zero) & (e2 <= zero));
            may &= det != zero;
            if (!any(may)) continue;
            d4 t = (e0 * dz[0] + e1 * dz[1] + e2 * dz[2]) / (det * along[2]);
            may &= t >= zero;
            for (size_t i = 0; i < 4; ++i)
                if (may[i]) hit(at + k + i, t[i], target.face);
        }
    }
    static bool any(l4 m) { return (m[0] | m[1] | m[2] | m[3]) != 0; }

    // Beside, above or below the rows, or behind: what of a triangle that no pixel can see. For those too near to project.
    bool beside(const double corner[3][3]) const {
        double low[2] = {0, double(begin)}, high[2] = {double(canvas.width), double(end)};
        bool behind = true, out[4] = {true, true, true, true};
        for (int c = 0; c < 3; ++c) {
            behind &= corner[c][2] < -lens.near;
            for (int a = 0; a < 2; ++a) {
                double doubt = 4 * lens.off + kMargin * std::fabs(corner[c][2]);
                out[a] &= corner[c][a] - low[a] * corner[c][2] < -doubt;
                out[2 + a] &= corner[c][a] - high[a] * corner[c][2] > doubt;
            }
        }
        return behind || out[0] || out[1] || out[2] || out[3];
    }

    void too_near(int32_t f) const {
        const double *triangle = &scene.triangles[9 * size_t(f)];
        double corner[3][3];
        for (int c = 0; c < 3; ++c) lens.times_depth(triangle + 3 * c, corner[c]);
        if (beside(corner)) return;
        for (int y = begin; y < end; ++y)
            for (int x = 0; x < canvas.width; ++x) test(x, y, {f, triangle, 0});
    }

    void draw(int32_t f) const {
        const int32_t *corners = &scene.faces[3 * size_t(f)];
        const Projected &a = vertices[corners[0]], &b = vertices[corners[1]], &c = vertices[corners[2]];
        double least = std::min(a.depth, std::min(b.depth, c.depth));
        if (!(least >= lens.near)) return too_near(f);
        // Parts lie up to half a pixel beside the middle.
        double margin = kMargin + (lens.pinhole ? 0 : lens.off) + (slot ? 0.5 : 0);
        Box all = this->all(), box;
        box.left = up_to(std::min(a.u, std::min(b.u, c.u)) - margin - 0.5, all.right);
        box.right = down_to(std::max(a.u, std::max(b.u, c.u)) + margin - 0.5, all.right);
        box.top = std::max(up_to(std::min(a.v, std::min(b.v, c.v)) - margin - 0.5, all.bottom), all.top);
        box.bottom = down_to(std::max(a.v, std::max(b.v, c.v)) + margin - 0.5, all.bottom);
        if (box.left > box.right || box.top > box.bottom) return;
        Target target{f, &scene.triangles[9 * size_t(f)], least - std::fabs(least) * 1e-9 - lens.off};
        if ((box.right - box.left + 1) * (box.bottom - box.top + 1) > 3) return rows(target, box, margin);
        for (int y = box.top; y <= box.bottom; ++y)
            for (int x = box.left; x <= box.right; ++x) test(x, y, target);
    }

    // Between two lines a side, through the side and through the corner across, lies a triangle, whichever way it turns.
    struct Strip {
        double slope = 0, low = -INFINITY, high = INFINITY;  // low <= u + slope * v <= high
        Strip(const Projected &a, const Projected &b, const Projected &c, double margin) {
            double nx = b.v - a.v, ny = a.u - b.u, length = std::fabs(nx) + std::fabs(ny);
            if (!(std::fabs(nx) > 1e-7 * length)) return;
            double inverse = 1 / nx, here = a.u + ny * inverse * a.v, across = c.u + ny * inverse * c.v;
            margin *= length * std::fabs(inverse);
            margin += (std::fabs(here) + std::fabs(across)) * 1e-14;
            slope = ny * inverse, low = std::min(here, across) - margin, high = std::max(here, across) + margin;
        }
    };

    void rows(const Target &target, const Box &box, double margin) const {
        const int32_t *corners = &scene.faces[3 * size_t(target.face)];
        const Projected &a = vertices[corners[0]], &b = vertices[corners[1]], &c = vertices[corners[2]];
        const Strip strips[3] = {{a, b, c, margin}, {b, c, a, margin}, {c, a, b, margin}};
        for (int y = box.top; y <= box.bottom; ++y) {
            double low = box.left, high = box.right, v = y + 0.5;
            for (const Strip &strip : strips) {
                low = std::max(low, strip.low - strip.slope * v - 0.5);
                high = std::min(high, strip.high - strip.slope * v - 0.5);
            }
            for (int x = up_to(low, box.right), last = down_to(high, box.right); x <= last; ++x) test(x, y, target);
        }
    }
};

Vec unit_normal(const double *triangle, Vec towards) {
    Vec a = load(triangle), n = cross(load(triangle + 3) - a, load(triangle + 6) - a);
    double length = norm(n);
    if (!(length > 0)) n = towards * -1, length = norm(n);
    return n * ((dot(n, towards) > 0 ? -1 : 1) / length);
}

void put(float *out, size_t at, Vec v) {
    out[3 * at] = float(v.x), out[3 * at + 1] = float(v.y), out[3 * at + 2] = float(v.z);
}

void put_nothing(const Images &images, size_t at) {
    if (images.depth) images.depth[at] = 0;
    if (images.ray_length) images.ray_length[at] = 0;
    if (images.light) images.light[at] = 0;
    for (float *out : {images.normal, images.camera_normal, images.coordinates, images.weights})
        if (out) put(out, at, {0, 0, 0});
}

// Cosine of the light of a lamp at the camera; the smooth normal is turned with the face.
float headlight(const float *corners, const double *weights, Vec face_normal, Vec direction, double length, const double *triangle) {
    if (!corners) return float(std::fabs(dot(face_normal, direction)) / length);
    Vec smooth{0, 0, 0}, a = load(triangle), wound = cross(load(triangle + 3) - a, load(triangle + 6) - a);
    for (int c = 0; c < 3; ++c)
        smooth = smooth + Vec{corners[3 * c], corners[3 * c + 1], corners[3 * c + 2]} * weights[c];
    double turn = dot(wound, direction) > 0 ? 1 : -1, size = norm(smooth) * length;
    if (!(size > 0)) return float(std::fabs(dot(face_normal, direction)) / length);
    return float(std::fmax(0.0, turn * dot(smooth, direction) / size));
}

// Writes what is known of the ray (x, y), counted over the parts of all pixels.
void describe(const Drawing &d, const Images &images, const float *corner_normals, size_t at, size_t part, int x, int y) {
    int32_t f = d.face[part];
    if (images.face) images.face[at] = f;
    if (f < 0) return put_nothing(images, at);
    double unit = std::ldexp(1.0, d.scene.exponent), t = d.nearest[part], weights[3];
    const double *triangle = &d.scene.triangles[9 * size_t(f)];
    Vec origin, direction;
    d.ray(x, y, origin, direction);
    double length = norm(direction);
    if (images.depth) images.depth[at] = float(t * unit);
    if (images.ray_length) images.ray_length[at] = float(t * length * unit);
    if (images.coordinates) put(images.coordinates, at, (origin + direction * t) * unit);
    if (images.weights || (images.light && corner_normals)) ray_triangle(triangle, Shear(origin, direction), false, weights);
    if (images.weights) put(images.weights, at, load(weights));
    if (!images.normal && !images.camera_normal && !images.light) return;
    Vec n = unit_normal(triangle, direction);
    if (images.normal) put(images.normal, at, n);
    const auto &r = d.lens.view.rotation;
    if (images.camera_normal) put(images.camera_normal, at, load(r[0]) * n.x + load(r[1]) * n.y + load(r[2]) * n.z);
    const float *corners = corner_normals ? corner_normals + 9 * size_t(f) : nullptr;
    if (images.light) images.light[at] = headlight(corners, weights, n, direction, length, triangle);
}

void project_vertices(const Scene &s, const Lens &lens, Projected *out) {
    for (size_t i = 0; i < s.vertex_count; ++i) {
        double p[3];
        lens.times_depth(&s.vertices[3 * i], p);
        double by = lens.pinhole ? 1 / p[2] : 1;
        out[i] = {p[0] * by, p[1] * by, p[2], 0};
    }
}

// Adds, for every corner of one vertex's faces, the face normals of those that it reaches over smooth edges.
struct Fan {
    struct Side {
        int32_t other, face;
    };
    std::vector<Side> sides;
    std::vector<int32_t> group;
    std::vector<Vec> sum;

    int32_t root(int32_t i) {
        while (group[size_t(i)] != i) i = group[size_t(i)] = group[size_t(group[size_t(i)])];
        return i;
    }

    // corners: 3 * face + corner of each corner at the vertex
    void smooth(const Scene &s, const double *normals, const int32_t *corners, size_t n, double least_cosine, float *out) {
        sides.clear(), group.resize(n), sum.assign(n, {0, 0, 0});
        for (size_t i = 0; i < n; ++i) {
            int32_t first = corners[i] / 3 * 3, c = corners[i] - first;
            group[i] = int32_t(i);
            for (int k = 1; k < 3; ++k) sides.push_back({s.faces[size_t(first + (c + k) % 3)], int32_t(i)});
        }
        std::sort(sides.begin(), sides.end(),
                  [](const Side &a, const Side &b) { return a.other != b.other ? a.other < b.other : a.face < b.face; });
        for (size_t i = 0; i + 1 < sides.size(); ++i) {
            if (sides[i].other != sides[i + 1].other) continue;
            size_t a = size_t(corners[size_t(sides[i].face)] / 3), b = size_t(corners[size_t(sides[i + 1].face)] / 3);
            if (dot(load(normals + 3 * a), load(normals + 3 * b)) < least_cosine) continue;
            int32_t x = root(sides[i].face), y = root(sides[i + 1].face);
            group[size_t(std::max(x, y))] = std::min(x, y);
        }
        for (size_t i = 0; i < n; ++i) {
            int32_t first = corners[i] / 3 * 3, c = corners[i] - first;
            const double *t = &s.triangles[3 * size_t(first)];
            Vec at = load(t + 3 * c), one = load(t + 3 * ((c + 1) % 3)) - at, two = load(t + 3 * ((c + 2) % 3)) - at;
            double angle = std::atan2(norm(cross(one, two)), dot(one, two));
            Vec &total = sum[size_t(root(int32_t(i)))];
            total = total + load(normals + size_t(first)) * angle;
        }
        for (size_t i = 0; i < n; ++i) {
            Vec total = sum[size_t(root(int32_t(i)))];
            double length = norm(total);
            if (!(length > 0)) total = load(normals + size_t(corners[i] / 3 * 3)), length = 1;
            put(out, size_t(corners[i]), total * (1 / length));
        }
    }
};

}  // namespace

namespace {

// How many slots some rows of pixels have, and the first of them: they follow one another.
size_t wanted_slots(const int32_t *slot, size_t begin, size_t end, int32_t &first) {
    size_t wanted = 0;
    for (size_t i = begin; i < end; ++i)
        if (slot[i] >= 0 && !wanted++) first = slot[i];
    return wanted;
}

}  // namespace

void draw_views(const Scene &s, const View *views, size_t N, const Canvas &canvas, const float *corner_normals, int threads,
                const Images &images) {
    size_t bands = N >= 2 * size_t(threads) ? 1 : std::min<size_t>(size_t(canvas.height), size_t(threads));
    size_t width = size_t(canvas.width), pixels = size_t(canvas.height) * width, across = size_t(canvas.samples);
    size_t rows = (size_t(canvas.height) + bands - 1) / bands, parts = across * across, room = Drawing::room_of(canvas);
    std::vector<double> part_u(room), part_v(room);
    for (size_t k = 0; k < room; ++k) {
        size_t part = std::min(k, parts - 1);
        part_u[k] = (double(part % across) + 0.5) / double(across), part_v[k] = (double(part / across) + 0.5) / double(across);
    }
    struct Room {
        std::vector<Projected> vertices;
        std::vector<double> nearest;
        std::vector<int32_t> face;
    };
    std::vector<Room> rooms(static_cast<size_t>(threads));
    parallel_for(threads, N * bands, 1, [&](size_t item, size_t, int thread) {
        Room &mine = rooms[size_t(thread)];
        size_t number = item / bands, begin = item % bands * rows, end = std::min(size_t(canvas.height), begin + rows);
        if (begin >= end) return;
        size_t base = number * pixels + begin * width, count = (end - begin) * width;
        const int32_t *slot = canvas.slot ? canvas.slot + number * pixels : nullptr;
        int32_t first = 0;
        if (slot) {
            count = wanted_slots(slot, begin * width, end * width, first), base = size_t(first) * parts;
            if (!count) return;
        }
        Lens lens(s, views[number], canvas);
        mine.vertices.resize(s.vertex_count), mine.nearest.assign(count * room, INFINITY), mine.face.assign(count * room, -1);
        project_vertices(s, lens, mine.vertices.data());
        Drawing drawing{s, lens, canvas, slot, first, int(begin), int(end), mine.vertices.data(), mine.nearest.data(),
                        mine.face.data(), part_u.data(), part_v.data()};
        for (size_t f = 0; f < s.face_count; ++f) drawing.draw(int32_t(f));
        for (int y = int(begin); y < int(end); ++y)
            for (int x = 0; x < canvas.width; ++x) {
                size_t part = drawing.place(x, y), at = base + part / room * parts;
                if (part == SIZE_MAX) continue;
                for (size_t k = 0; k < parts; ++k)
                    describe(drawing, images, corner_normals, at + k, part + k, x * canvas.samples + int(k % across),
                             y * canvas.samples + int(k / across));
            }
    });
}

void smooth_corners(const Scene &s, double least_cosine, int threads, float *out) {
    std::vector<double> normals(3 * s.face_count);
    parallel_for(threads, s.face_count, 1 << 13, [&](size_t begin, size_t end, int) {
        for (size_t f = begin; f < end; ++f) {
            const double *t = &s.triangles[9 * f];
            Vec n = cross(load(t + 3) - load(t), load(t + 6) - load(t));
            double length = norm(n);
            store(&normals[3 * f], length > 0 ? n * (1 / length) : Vec{0, 0, 0});
        }
    });
    std::vector<int32_t> start(s.vertex_count + 1, 0), corners(3 * s.face_count);
    for (int32_t v : s.faces) ++start[size_t(v) + 1];
    for (size_t v = 0; v < s.vertex_count; ++v) start[v + 1] += start[v];
    std::vector<int32_t> next(start.begin(), start.end() - 1);
    for (size_t c = 0; c < 3 * s.face_count; ++c) corners[size_t(next[size_t(s.faces[c])]++)] = int32_t(c);
    parallel_for(threads, s.vertex_count, 1 << 12, [&](size_t begin, size_t end, int) {
        Fan fan;
        for (size_t v = begin; v < end; ++v)
            fan.smooth(s, normals.data(), &corners[size_t(start[v])], size_t(start[v + 1] - start[v]), least_cosine, out);
    });
}

}  // namespace shapetool
