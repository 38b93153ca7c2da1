#include "views.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "parallel.hpp"
#include "shear.hpp"

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

// The rows begin to end of one view, of canvas.samples times as many rows and columns.
struct Drawing {
    const Scene &scene;
    const Lens &lens;
    const Canvas &canvas;
    const int32_t *slot;  // of this view
    int begin, end, width;
    const Projected *vertices;
    double *nearest;  // by place
    int32_t *face;    // by place

    size_t place(int x, int y) const {
        int s = canvas.samples;
        if (!slot) return size_t(y) * size_t(width) + size_t(x);
        int32_t at = slot[size_t(y / s) * size_t(canvas.width) + size_t(x / s)];
        return at < 0 ? SIZE_MAX : (size_t(at) * size_t(s) + size_t(y % s)) * size_t(s) + size_t(x % s);
    }

    void ray(int x, int y, Vec &origin, Vec &direction) const {
        double u = (x + 0.5) / canvas.samples, v = (y + 0.5) / canvas.samples;
        const View &w = lens.view;
        origin = load(w.origin[0]) + load(w.origin[1]) * u + load(w.origin[2]) * v;
        direction = load(w.direction[0]) + load(w.direction[1]) * u + load(w.direction[2]) * v;
    }

    void test(int x, int y, int32_t f, const double *triangle, double least) const {
        size_t at = place(x, y);
        if (at == SIZE_MAX || least > nearest[at]) return;
        Vec origin, direction;
        ray(x, y, origin, direction);
        double t = ray_triangle(triangle, Shear(origin, direction), false);
        if (!(t >= 0)) return;
        if (t < nearest[at] || (t == nearest[at] && f < face[at])) nearest[at] = t, face[at] = f;
    }

    // Beside, above or below the rows, or behind: what of a triangle that no pixel can see. For those too near to project.
    bool beside(const double corner[3][3]) const {
        double s = canvas.samples, low[2] = {0, begin / s}, high[2] = {double(canvas.width), end / s};
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
            for (int x = 0; x < width; ++x) test(x, y, f, triangle, 0);
    }

    void draw(int32_t f) const {
        const Projected *p[3];
        for (size_t c = 0; c < 3; ++c) p[c] = &vertices[scene.faces[3 * size_t(f) + c]];
        double least = std::min({p[0]->depth, p[1]->depth, p[2]->depth});
        if (!(least >= lens.near)) return too_near(f);
        double s = canvas.samples, margin = kMargin + (lens.pinhole ? 0 : lens.off), x[3], y[3];
        for (int c = 0; c < 3; ++c) x[c] = p[c]->u * s - 0.5, y[c] = p[c]->v * s - 0.5;
        double left = std::max(std::ceil(std::min({x[0], x[1], x[2]}) - margin), 0.0);
        double right = std::min(std::floor(std::max({x[0], x[1], x[2]}) + margin), width - 1.0);
        double top = std::max(std::ceil(std::min({y[0], y[1], y[2]}) - margin), double(begin));
        double bottom = std::min(std::floor(std::max({y[0], y[1], y[2]}) + margin), end - 1.0);
        if (!(left <= right && top <= bottom)) return;
        const double *triangle = &scene.triangles[9 * size_t(f)];
        least -= std::fabs(least) * 1e-9 + lens.off;
        if ((right - left + 1) * (bottom - top + 1) <= 3) {
            for (int j = int(top); j <= int(bottom); ++j)
                for (int i = int(left); i <= int(right); ++i) test(i, j, f, triangle, least);
            return;
        }
        rows(f, triangle, least, x, y, int(left), int(right), int(top), int(bottom), margin);
    }

    // Between two lines a side, through the side and through the corner across, lies a triangle, whichever way it turns.
    struct Strip {
        double slope = 0, low = -INFINITY, high = INFINITY;  // low <= x + slope * y <= high
        Strip(double xa, double ya, double xb, double yb, double xc, double yc, double margin) {
            double nx = yb - ya, ny = xa - xb, length = std::fabs(nx) + std::fabs(ny);
            if (!(std::fabs(nx) > 1e-7 * length)) return;
            double inverse = 1 / nx, here = xa + ny * inverse * ya, across = xc + ny * inverse * yc;
            margin *= length * std::fabs(inverse);
            margin += (std::fabs(here) + std::fabs(across)) * 1e-14;
            slope = ny * inverse, low = std::min(here, across) - margin, high = std::max(here, across) + margin;
        }
    };

    void rows(int32_t f, const double *triangle, double least, const double *x, const double *y, int left, int right, int top,
              int bottom, double margin) const {
        const Strip strips[3] = {{x[0], y[0], x[1], y[1], x[2], y[2], margin},
                                 {x[1], y[1], x[2], y[2], x[0], y[0], margin},
                                 {x[2], y[2], x[0], y[0], x[1], y[1], margin}};
        for (int j = top; j <= bottom; ++j) {
            double low = left, high = right;
            for (const Strip &strip : strips)
                low = std::max(low, strip.low - strip.slope * j), high = std::min(high, strip.high - strip.slope * j);
            if (!(low <= high)) continue;
            for (int i = int(std::ceil(low)), last = int(high); i <= last; ++i) test(i, j, f, triangle, least);
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

void describe(const Drawing &d, const Images &images, const float *corner_normals, size_t base, int x, int y) {
    size_t place = d.place(x, y);
    if (place == SIZE_MAX) return;
    size_t at = base + place;
    int32_t f = d.face[place];
    if (images.face) images.face[at] = f;
    if (f < 0) return put_nothing(images, at);
    double unit = std::ldexp(1.0, d.scene.exponent), t = d.nearest[place], weights[3];
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

void draw_views(const Scene &s, const View *views, size_t N, const Canvas &canvas, const float *corner_normals, int threads,
                const Images &images) {
    int height = canvas.height * canvas.samples, width = canvas.width * canvas.samples;
    size_t bands = N >= 2 * size_t(threads) ? 1 : std::min<size_t>(size_t(canvas.height), size_t(threads));
    size_t pixels = size_t(canvas.height) * size_t(canvas.width);
    int rows = int((size_t(canvas.height) + bands - 1) / bands) * canvas.samples;
    struct Room {
        std::vector<Projected> vertices;
        std::vector<double> nearest;
        std::vector<int32_t> face;
    };
    std::vector<Room> rooms(static_cast<size_t>(threads));
    parallel_for(threads, N * bands, 1, [&](size_t item, size_t, int thread) {
        Room &room = rooms[size_t(thread)];
        size_t number = item / bands, base = canvas.slot ? 0 : number * pixels, parts = size_t(canvas.samples * canvas.samples);
        int begin = int(item % bands) * rows, end = std::min(height, begin + rows);
        if (begin >= end) return;
        // Slots of a view's rows follow one another, so that their places begin at the first of them.
        Canvas mine = canvas;
        const int32_t *slot = canvas.slot ? canvas.slot + number * pixels : nullptr;
        std::vector<int32_t> from_first;
        size_t count = pixels;
        if (slot) {
            size_t from = size_t(begin / canvas.samples) * size_t(canvas.width), to = size_t(end / canvas.samples) * size_t(canvas.width);
            int32_t first = -1, wanted = 0;
            from_first.assign(slot, slot + pixels);
            for (size_t i = from; i < to; ++i) {
                if (slot[i] < 0) continue;
                if (first < 0) first = slot[i];
                from_first[i] = slot[i] - first, ++wanted;
            }
            if (!wanted) return;
            slot = from_first.data(), count = size_t(wanted) * parts, base = size_t(first) * parts;
        }
        Lens lens(s, views[number], mine);
        room.vertices.resize(s.vertex_count), room.nearest.assign(count, INFINITY), room.face.assign(count, -1);
        project_vertices(s, lens, room.vertices.data());
        Drawing drawing{s, lens, mine, slot, begin, end, width, room.vertices.data(), room.nearest.data(), room.face.data()};
        for (size_t f = 0; f < s.face_count; ++f) drawing.draw(int32_t(f));
        for (int y = begin; y < end; ++y)
            for (int x = 0; x < width; ++x) describe(drawing, images, corner_normals, base, x, y);
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
