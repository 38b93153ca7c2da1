#include "views.hpp"

#include <algorithm>
#include <cmath>

#include "parallel.hpp"
#include "vec.hpp"

namespace shapetool {
namespace {

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
            for (size_t a = 0; a < 3; ++a) out[3 * size_t(corners[i]) + a] = float((&total.x)[a] / length);
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
    size_t rows = (size_t(canvas.height) + bands - 1) / bands, parts = across * across, room = room_of(canvas);
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
        mine.vertices.resize(s.vertex_count), mine.nearest.assign(count * room, INFINITY), mine.face.assign(count * room, -1);
        functions().draw_rows(s, {&views[number], &canvas, slot, first, int(begin), int(end), mine.vertices.data(),
                                  mine.nearest.data(), mine.face.data(), part_u.data(), part_v.data(), corner_normals, &images,
                                  base});
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
