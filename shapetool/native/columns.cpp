// Inside of closed meshes without a tree: points go into the cells of a grid across the mesh, and each face is taken to the
// points that it can lie above (columns.inc).
#include <algorithm>
#include <cmath>

#include "parallel.hpp"
#include "query.hpp"
#include "sorting.hpp"

namespace shapetool {
namespace {

constexpr size_t kAtOnce = size_t(1) << 20;  // points; more are taken in turns, so that memory stays bounded
constexpr size_t kAlone = size_t(1) << 17;   // fewer are put in order by one thread, before others have started
constexpr double kPointsPerCell = 6;
constexpr int32_t kMostCells = 2048;  // along one side
constexpr double kClose = 3e-14;      // of the largest coordinate: a hundred times what rounding makes of a distance
constexpr size_t kGap = 3;            // places behind each row, for the last four points that are looked at together

struct Grid : Columns {
    std::vector<uint32_t> starts, order;
    std::vector<Rows> rows_of_faces;
    Aligned<double> sorted[3];
    std::vector<int64_t> windings;
    std::vector<uint8_t> doubts;

    // Lines run along the longest side of the box, so that they miss the mesh most often.
    Grid(const Scene &s, size_t count) {
        double side[3];
        for (int a = 0; a < 3; ++a) side[a] = s.high[a] - s.low[a];
        axis[2] = int(std::max_element(side, side + 3) - side);
        axis[0] = (axis[2] + 1) % 3, axis[1] = (axis[2] + 2) % 3;
        for (int a = 0; a < 2; ++a) low[a] = s.low[axis[a]], extent[a] = side[axis[a]];
        double cells = std::max(1.0, double(count) / kPointsPerCell);
        double ratio = extent[0] > 0 && extent[1] > 0 ? extent[0] / extent[1] : 1;
        cols = int32_t(std::clamp(std::sqrt(cells * ratio), 1.0, double(kMostCells)));
        rows = int32_t(std::clamp(cells / cols, 1.0, double(kMostCells)));
        const int32_t across[2] = {cols, rows};
        for (int a = 0; a < 2; ++a) {
            size[a] = extent[a] / across[a];
            per[a] = extent[a] > 0 ? across[a] / extent[a] : 0;
            if (!std::isfinite(per[a])) per[a] = 0;
        }
        double largest = 0;
        for (int a = 0; a < 3; ++a) largest = std::max(largest, std::max(std::fabs(s.low[a]), std::fabs(s.high[a])));
        close = kClose * largest;
        for (int a = 0; a < 3; ++a) least[a] = s.low[axis[a]] - close, most[a] = s.high[axis[a]] + close;
        unit = std::ldexp(1.0, -s.exponent);
    }

    void take_faces(const Scene &s, int threads) {
        rows_of_faces.resize(s.face_count);
        parallel_for(threads, s.face_count, 8192, [&](size_t begin, size_t end, int) {
            for (size_t f = begin; f < end; ++f) {
                const double *y = &s.triangles[9 * f] + axis[1];
                double least = std::min(y[0], std::min(y[3], y[6])), most = std::max(y[0], std::max(y[3], y[6]));
                rows_of_faces[f] = {uint16_t(cell(1, least - low[1] - close)), uint16_t(cell(1, most - low[1] + close))};
            }
        });
        face_rows = rows_of_faces.data();
    }

    // Those in the box or close to it, by cells.
    void take_points(const double *p, size_t count, int threads) {
        size_t cells = size_t(rows) * size_t(cols);
        std::vector<uint32_t> keys(count);
        parallel_for(threads, count, 1 << 14, [&](size_t begin, size_t end, int) {
            functions().column_keys(*this, p, begin, end, keys.data());
        });
        int bits = 1;
        while (size_t(1) << bits <= cells) ++bits;
        order = sorting_order(keys, bits, threads);
        starts.resize(size_t(rows) * (size_t(cols) + 1));
        size_t k = 0, at = 0;
        for (size_t row = 0; row < size_t(rows); ++row)
            for (size_t c = 0; c <= size_t(cols); ++c) {
                while (k < count && keys[k] < row * size_t(cols) + c) ++k;
                starts[at++] = uint32_t(k + kGap * row);
            }
        size_t places = k + kGap * size_t(rows);
        for (int a = 0; a < 3; ++a) sorted[a].resize(places), points[a] = sorted[a].data();
        windings.assign(places, 0), doubts.assign(places, 0);
        start = starts.data(), winding = windings.data(), doubtful = doubts.data();
        each_row(threads, [&](size_t place, size_t i) {
            for (int a = 0; a < 3; ++a) sorted[a][place] = p[3 * i + size_t(axis[a])] * unit;
        });
        for (size_t row = 0; row < size_t(rows); ++row)
            for (int a = 0; a < 3; ++a) std::fill_n(sorted[a].data() + end_of(row), kGap, 0.0);
    }

    size_t end_of(size_t row) const { return starts[row * (size_t(cols) + 1) + size_t(cols)]; }

    // Calls body(place, point) for the points in the box.
    template <class Body>
    void each_row(int threads, const Body &body) const {
        parallel_for(threads, size_t(rows), 16, [&](size_t begin, size_t end, int) {
            for (size_t row = begin; row < end; ++row)
                for (size_t k = starts[row * (size_t(cols) + 1)]; k < end_of(row); ++k) body(k, order[k - kGap * row]);
        });
    }
};

}  // namespace

void query_inside(Scene &s, const double *points, size_t P, int orientation, int threads, int8_t *inside) {
    Grid grid(s, std::min(P, kAtOnce));
    grid.take_faces(s, s.face_count < 4000 ? 1 : threads);
    for (size_t from = 0; from < P; from += kAtOnce) {
        size_t count = std::min(kAtOnce, P - from);
        int helping = count < kAlone ? 1 : threads;
        grid.take_points(points + 3 * from, count, helping);
        size_t band = std::max<size_t>(1, size_t(grid.rows) / (4 * size_t(threads)));
        parallel_for(threads, size_t(grid.rows), band, [&](size_t begin, size_t end, int) {
            functions().cross_rows(s, grid, int32_t(begin), int32_t(end));
        });
        std::fill_n(inside + from, count, int8_t(0));
        grid.each_row(helping, [&](size_t place, size_t i) {
            inside[from + i] = grid.doubts[place] ? int8_t(-1) : int8_t(grid.windings[place] * orientation > 0);
        });
    }
}

}  // namespace shapetool
