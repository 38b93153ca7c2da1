// The Python face of the kernel: numpy arrays in without a copy, numpy arrays out, the GIL released in between.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <algorithm>
#include <climits>
#include <stdexcept>
#include <string>

#include "build.hpp"
#include "emd.hpp"
#include "parallel.hpp"
#include "points.hpp"
#include "query.hpp"
#include "reading.hpp"
#include "sampling.hpp"
#include "views.hpp"
#include "voxels.hpp"

namespace nb = nanobind;
using namespace shapetool;

using Points = nb::ndarray<const double, nb::shape<-1, 3>, nb::c_contig, nb::device::cpu>;
using Faces = nb::ndarray<const int64_t, nb::shape<-1, 3>, nb::c_contig, nb::device::cpu>;
using Axis = nb::ndarray<const double, nb::shape<-1>, nb::c_contig, nb::device::cpu>;
template <class T>
using Out = nb::ndarray<nb::numpy, T>;

namespace {

template <class T>
struct Result {
    T *data;
    nb::capsule owner;
    explicit Result(size_t n) : data(new T[n ? n : 1]), owner(data, [](void *p) noexcept { delete[] static_cast<T *>(p); }) {}
    Out<T> array(size_t rows) { return Out<T>(data, {rows}, owner); }
    Out<T> array(size_t rows, size_t columns) { return Out<T>(data, {rows, columns}, owner); }
};

template <class T>
Out<T> copied(const std::vector<T> &v) {
    Result<T> r(v.size());
    std::copy(v.begin(), v.end(), r.data);
    return r.array(v.size());
}

Sign sign_named(const std::string &name) {
    if (name == "unsigned") return Sign::unsigned_;
    if (name == "pseudonormal") return Sign::pseudonormal;
    if (name == "winding") return Sign::winding;
    if (name != "parity") throw std::invalid_argument("unknown sign method '" + name + "'");
    return Sign::parity;
}

using Cameras = nb::ndarray<const double, nb::shape<-1, kViewNumbers>, nb::c_contig, nb::device::cpu>;
using Slots = nb::ndarray<const int32_t, nb::shape<-1>, nb::c_contig, nb::device::cpu>;
using Corners = nb::ndarray<const float, nb::shape<-1, 3, 3>, nb::c_contig, nb::device::cpu>;

// What an array of that name in `images` may be written to, or null; it must hold `count` numbers.
template <class T>
T *image(nb::dict images, const char *name, size_t count) {
    if (!images.contains(name)) return nullptr;
    auto array = nb::cast<nb::ndarray<T, nb::c_contig, nb::device::cpu>>(images[name]);
    if (array.size() != count) throw std::invalid_argument(std::string(name) + ": expected " + std::to_string(count) + " numbers");
    return array.data();
}

class Kernel {
  public:
    Kernel(Points vertices, Faces faces, int threads) {
        size_t V = vertices.shape(0), F = faces.shape(0);
        if (F == 0) throw std::invalid_argument("expected at least one face, found none");
        if (V > size_t(INT32_MAX) || F > size_t(INT32_MAX) / 3)
            throw std::invalid_argument("expected fewer than 2^31 vertices and 3 faces' corners, found more");
        for (size_t i = 0; i < 3 * F; ++i)
            if (faces.data()[i] < 0 || size_t(faces.data()[i]) >= V)
                throw std::invalid_argument("face " + std::to_string(i / 3) + ": vertex index " +
                                            std::to_string(faces.data()[i]) + " is not below " + std::to_string(V));
        for (size_t i = 0; i < 3 * V; ++i)
            if (!std::isfinite(vertices.data()[i]))
                throw std::invalid_argument("vertex " + std::to_string(i / 3) + " is not finite");
        nb::gil_scoped_release release;
        scene_ = build_scene(vertices.data(), V, faces.data(), F, thread_count(threads));
    }

    nb::tuple closest(Points points, int threads) {
        size_t P = points.shape(0);
        Result<double> d(P), c(3 * P);
        Result<int64_t> f(P);
        {
            nb::gil_scoped_release release;
            query_closest(*scene_, points.data(), P, thread_count(threads), d.data, f.data, c.data);
        }
        return nb::make_tuple(d.array(P), f.array(P), c.array(P, 3));
    }

    Out<double> distances(Points points, const std::string &sign, int threads) {
        Sign by = sign_named(sign);
        size_t P = points.shape(0);
        Result<double> d(P);
        {
            nb::gil_scoped_release release;
            query_signed(*scene_, points.data(), P, by, thread_count(threads), d.data);
        }
        return d.array(P);
    }

    Out<double> lattice(Axis x, Axis y, Axis z, const std::string &sign, int threads) {
        Sign by = sign_named(sign);
        const double *axes[3] = {x.data(), y.data(), z.data()};
        size_t counts[3] = {x.shape(0), y.shape(0), z.shape(0)};
        Result<double> d(counts[0] * counts[1] * counts[2]);
        {
            nb::gil_scoped_release release;
            query_lattice(*scene_, axes, counts, by, thread_count(threads), d.data);
        }
        return Out<double>(d.data, {counts[0], counts[1], counts[2]}, d.owner);
    }

    Out<double> winding(Points points, const std::string &how, int threads) {
        Winding by = how == "rough" ? Winding::rough : how == "better" ? Winding::better : how == "fast" ? Winding::fast : Winding::exact;
        if (by == Winding::exact && how != "exact") throw std::invalid_argument("unknown winding number '" + how + "'");
        size_t P = points.shape(0);
        Result<double> w(P);
        {
            nb::gil_scoped_release release;
            query_winding(*scene_, points.data(), P, by, thread_count(threads), w.data);
        }
        return w.array(P);
    }

    int orientation(int threads) {
        nb::gil_scoped_release release;
        return need_orientation(*scene_, thread_count(threads));
    }

    Out<int8_t> inside(Points points, int threads) {
        size_t P = points.shape(0);
        Result<int8_t> inside(P);
        int way = orientation(threads);
        if (!way) throw std::invalid_argument("expected a closed mesh wound one way, found another");
        {
            nb::gil_scoped_release release;
            query_inside(*scene_, points.data(), P, way, thread_count(threads), inside.data);
        }
        return inside.array(P);
    }

    nb::tuple winding_change(Points points, int threads) {
        size_t P = points.shape(0);
        Result<float> change(P), doubt(P);
        {
            nb::gil_scoped_release release;
            query_winding_change(*scene_, points.data(), P, thread_count(threads), change.data, doubt.data);
        }
        return nb::make_tuple(change.array(P), doubt.array(P));
    }

    nb::tuple first_hits(Points origins, Points directions, int threads) {
        size_t R = rays(origins, directions);
        Result<double> t(R);
        Result<int64_t> f(R);
        {
            nb::gil_scoped_release release;
            query_rays(*scene_, origins.data(), directions.data(), R, RayMode::first, thread_count(threads), t.data, f.data);
        }
        return nb::make_tuple(t.array(R), f.array(R));
    }

    Out<bool> any_hits(Points origins, Points directions, int threads) {
        size_t R = rays(origins, directions);
        std::vector<int64_t> f(R);
        Result<bool> hit(R);
        {
            nb::gil_scoped_release release;
            query_rays(*scene_, origins.data(), directions.data(), R, RayMode::any, thread_count(threads), nullptr, f.data());
            for (size_t i = 0; i < R; ++i) hit.data[i] = f[i] >= 0;
        }
        return hit.array(R);
    }

    nb::tuple all_hits(Points origins, Points directions, int threads) {
        size_t R = rays(origins, directions);
        std::vector<int64_t> start, f;
        std::vector<double> t;
        {
            nb::gil_scoped_release release;
            query_all_hits(*scene_, origins.data(), directions.data(), R, thread_count(threads), start, t, f);
        }
        return nb::make_tuple(copied(start), copied(t), copied(f));
    }

    // Writes into the arrays of `images`, by name; rays are those of the pixels, or of the parts of those with a slot.
    void views(Cameras cameras, int height, int width, bool orthographic, int samples, nb::dict images,
               std::optional<Corners> corners, std::optional<Slots> slots, int threads) {
        if (height < 1 || width < 1 || samples < 1 || int64_t(std::max(height, width)) * samples > INT32_MAX / 4)
            throw std::invalid_argument("expected images of 1 to 2^29 rows and columns of rays");
        size_t N = cameras.shape(0), rays = N * size_t(height) * size_t(width), wanted = 0;
        if (corners && corners->shape(0) != scene_->face_count) throw std::invalid_argument("expected three normals a face");
        if (slots && slots->shape(0) != rays) throw std::invalid_argument("expected a slot for each pixel");
        for (size_t i = 0; slots && i < rays; ++i) {
            int32_t slot = slots->data()[i];
            if (slot >= 0 && size_t(slot) != wanted++) throw std::invalid_argument("expected slots counted from 0");
        }
        if (slots) rays = wanted * size_t(samples) * size_t(samples);
        else if (samples != 1) throw std::invalid_argument("expected slots for more than one ray a pixel");
        Images out;
        out.face = image<int32_t>(images, "face", rays);
        out.depth = image<float>(images, "depth", rays), out.ray_length = image<float>(images, "ray_length", rays);
        out.normal = image<float>(images, "normal", 3 * rays);
        out.camera_normal = image<float>(images, "camera_normal", 3 * rays);
        out.coordinates = image<float>(images, "coordinates", 3 * rays);
        out.weights = image<float>(images, "weights", 3 * rays), out.light = image<float>(images, "light", rays);
        Canvas canvas{height, width, orthographic, samples, slots ? slots->data() : nullptr};
        nb::gil_scoped_release release;
        draw_views(*scene_, reinterpret_cast<const View *>(cameras.data()), N, canvas, corners ? corners->data() : nullptr,
                   thread_count(threads), out);
    }

    Out<float> smooth_normals(double least_cosine, int threads) {
        Result<float> normals(9 * scene_->face_count);
        {
            nb::gil_scoped_release release;
            smooth_corners(*scene_, least_cosine, thread_count(threads), normals.data);
        }
        return Out<float>(normals.data, {scene_->face_count, 3, 3}, normals.owner);
    }

    bool pseudonormals(int threads) {
        nb::gil_scoped_release release;
        return pseudonormals_hold(*scene_, thread_count(threads));
    }

    nb::object intersecting_pairs(double slack, int threads) {
        std::vector<int64_t> pairs;
        {
            nb::gil_scoped_release release;
            pairs = list_intersections(*scene_, std::fmax(slack, kTouch), thread_count(threads));
        }
        return nb::cast(copied(pairs));
    }

    nb::dict topology(bool intersections, int threads) {
        {
            nb::gil_scoped_release release;
            int n = thread_count(threads);
            need_normals(*scene_, n);
            if (intersections) need_intersections(*scene_, n);
        }
        const Topology &t = scene_->topology;
        double unit = std::ldexp(1.0, scene_->exponent);
        nb::dict d;
        d["closed"] = t.closed, d["oriented"] = t.oriented;
        d["open_edges"] = t.open_edges, d["nonmanifold_edges"] = t.nonmanifold_edges;
        d["misoriented_edges"] = t.misoriented_edges, d["nonmanifold_vertices"] = t.nonmanifold_vertices;
        d["degenerate_faces"] = t.degenerate_faces, d["folded_edges"] = t.folded_edges;
        d["components"] = t.components, d["intersecting_pairs"] = t.intersecting_pairs;
        d["volume"] = t.volume * unit * unit * unit, d["area"] = t.area * unit * unit;
        return d;
    }

  private:
    static size_t rays(const Points &origins, const Points &directions) {
        if (origins.shape(0) != directions.shape(0))
            throw std::invalid_argument("expected as many directions as origins, found " + std::to_string(directions.shape(0)) +
                                        " and " + std::to_string(origins.shape(0)));
        return origins.shape(0);
    }
    std::unique_ptr<Scene> scene_;
};

using Seed = nb::ndarray<const uint64_t, nb::shape<4>, nb::c_contig, nb::device::cpu>;
template <class T>
using Triangles = nb::ndarray<const T, nb::shape<-1, 3, 3>, nb::c_contig, nb::device::cpu>;
using Chosen = nb::ndarray<const int64_t, nb::shape<-1>, nb::c_contig, nb::device::cpu>;
using Base = nb::ndarray<const float, nb::shape<-1, 3>, nb::c_contig, nb::device::cpu>;
using Noisy = nb::ndarray<float, nb::shape<-1, 3>, nb::c_contig, nb::device::cpu>;

template <class T>
Out<T> on_faces(Triangles<T> triangles, Chosen faces, Seed seed) {
    size_t count = faces.shape(0), F = triangles.shape(0);
    for (size_t i = 0; i < count; ++i)
        if (faces.data()[i] < 0 || size_t(faces.data()[i]) >= F)
            throw std::invalid_argument("face " + std::to_string(faces.data()[i]) + " is not below " + std::to_string(F));
    Result<T> points(3 * count);
    {
        nb::gil_scoped_release release;
        points_on_faces(triangles.data(), faces.data(), count, Random(seed.data()), points.data);
    }
    return points.array(count, 3);
}

void noise(Base base, float std, Seed seed, Noisy points) {
    if (base.shape(0) != points.shape(0)) throw std::invalid_argument("expected as many places as points");
    nb::gil_scoped_release release;
    add_noise(base.data(), std, base.shape(0), Random(seed.data()), points.data());
}

using Corner = nb::ndarray<const double, nb::shape<3>, nb::c_contig, nb::device::cpu>;

Out<uint8_t> cells_of_surface(Triangles<double> triangles, Corner low, double size, int n, int threads) {
    if (n < 1 || !(size > 0)) throw std::invalid_argument("expected at least one cell of a size above 0");
    size_t across = size_t(n), total = across * across * across;
    Result<uint8_t> cells(total);
    {
        nb::gil_scoped_release release;
        std::fill(cells.data, cells.data + total, uint8_t(0));
        surface_cells(triangles.data(), triangles.shape(0), low.data(), size, n, thread_count(threads), cells.data);
    }
    return cells.array(total);
}

using Amounts = nb::ndarray<const int64_t, nb::shape<-1>, nb::c_contig, nb::device::cpu>;

int64_t total(const Amounts &amounts) {
    int64_t sum = 0;
    for (size_t i = 0; i < amounts.shape(0); ++i) {
        if (amounts.data()[i] < 0 || amounts.data()[i] > INT64_MAX / 2 - sum)
            throw std::invalid_argument("expected amounts from 0 that sum to less than 2^62");
        sum += amounts.data()[i];
    }
    return sum;
}

// Whether a signal's handler raised, as that of Ctrl-C does; only the main thread runs handlers.
bool interrupted() {
    nb::gil_scoped_acquire acquire;
    return PyErr_CheckSignals() != 0;
}

nb::tuple transported(Points a, Amounts supply, Points b, Amounts demand, bool squared, double rtol, int threads) {
    size_t N = a.shape(0), M = b.shape(0);
    if (N == 0 || M == 0 || N > size_t(INT32_MAX) - kColumnBlock || M > size_t(INT32_MAX) - kColumnBlock)
        throw std::invalid_argument("expected 1 to 2^31 points on either side");
    if (supply.shape(0) != N || demand.shape(0) != M) throw std::invalid_argument("expected an amount for each point");
    if (total(supply) != total(demand)) throw std::invalid_argument("expected amounts of the same sum on both sides");
    Plan plan;
    Pulse pulse(interrupted);
    try {
        nb::gil_scoped_release release;
        plan = transport(a.data(), supply.data(), N, b.data(), demand.data(), M, squared, {rtol, thread_count(threads), pulse});
    } catch (const Stopped &) {
        throw nb::python_error();  // what the handler raised
    }
    return nb::make_tuple(copied(plan.rows), copied(plan.columns), copied(plan.amounts), copied(plan.u), copied(plan.v));
}

class Cloud {
  public:
    Cloud(Points points, int threads) : tree_(checked(points), points.shape(0), thread_count(threads)) {}
    nb::tuple nearest(Points queries, int count, int threads) const {
        if (queries.shape(0) > size_t(INT32_MAX)) throw std::invalid_argument("expected fewer than 2^31 points");
        size_t rows = queries.shape(0);
        return answered(rows, count, [&](double *squared, int64_t *index) {
            tree_.nearest(queries.data(), rows, count, thread_count(threads), squared, index);
        });
    }
    nb::tuple nearest_of(const Cloud &queries, int count, int threads) const {
        return answered(queries.tree_.size(), count, [&](double *squared, int64_t *index) {
            tree_.nearest(queries.tree_, count, thread_count(threads), squared, index);
        });
    }

  private:
    template <class Ask>
    nb::tuple answered(size_t rows, int count, Ask ask) const {
        if (count < 1 || count > kMostNeighbours || size_t(count) > tree_.size())
            throw std::invalid_argument("expected to be asked for 1 to 16 neighbours, and no more than there are points");
        Result<double> squared(rows * size_t(count));
        Result<int64_t> index(rows * size_t(count));
        {
            nb::gil_scoped_release release;
            ask(squared.data, index.data);
        }
        return nb::make_tuple(squared.array(rows, size_t(count)), index.array(rows, size_t(count)));
    }
    static const double *checked(const Points &points) {
        if (points.shape(0) == 0 || points.shape(0) > size_t(INT32_MAX) - 8)
            throw std::invalid_argument("expected 1 to 2^31 points");
        return points.data();
    }
    PointTree tree_;
};

}  // namespace

NB_MODULE(_kernel, m) {
    m.doc() = "Bounding volume hierarchy over triangles: closest points, winding numbers, rays.";
    m.def("simd", [] { return std::string(functions().name); }, "The instruction set in use: avx512, avx2 or baseline.");
    m.def("points_on_faces", &on_faces<float>, nb::arg("triangles"), nb::arg("faces"), nb::arg("seed"));
    m.def("points_on_faces", &on_faces<double>, nb::arg("triangles"), nb::arg("faces"), nb::arg("seed"));
    m.def("surface_cells", &cells_of_surface, nb::arg("triangles"), nb::arg("low"), nb::arg("size"), nb::arg("n"),
          nb::arg("threads") = 0);
    m.def("add_noise", &noise, nb::arg("base"), nb::arg("std"), nb::arg("seed"), nb::arg("points"));
    m.def("transport", &transported, nb::arg("a"), nb::arg("supply"), nb::arg("b"), nb::arg("demand"), nb::arg("squared") = false,
          nb::arg("rtol") = 0.0, nb::arg("threads") = 0);
    nb::class_<Cloud>(m, "Cloud")
        .def(nb::init<Points, int>(), nb::arg("points"), nb::arg("threads") = 0)
        .def("nearest", &Cloud::nearest, nb::arg("points"), nb::arg("count") = 1, nb::arg("threads") = 0)
        .def("nearest_of", &Cloud::nearest_of, nb::arg("other"), nb::arg("count") = 1, nb::arg("threads") = 0);
    bind_reading(m);
    nb::class_<Kernel>(m, "Kernel")
        .def(nb::init<Points, Faces, int>(), nb::arg("vertices"), nb::arg("faces"), nb::arg("threads") = 0)
        .def("closest", &Kernel::closest, nb::arg("points"), nb::arg("threads") = 0)
        .def("distances", &Kernel::distances, nb::arg("points"), nb::arg("sign"), nb::arg("threads") = 0)
        .def("lattice", &Kernel::lattice, nb::arg("x"), nb::arg("y"), nb::arg("z"), nb::arg("sign"), nb::arg("threads") = 0)
        .def("orientation", &Kernel::orientation, nb::arg("threads") = 0)
        .def("inside", &Kernel::inside, nb::arg("points"), nb::arg("threads") = 0)
        .def("winding_change", &Kernel::winding_change, nb::arg("points"), nb::arg("threads") = 0)
        .def("winding", &Kernel::winding, nb::arg("points"), nb::arg("how") = "fast", nb::arg("threads") = 0)
        .def("first_hits", &Kernel::first_hits, nb::arg("origins"), nb::arg("directions"), nb::arg("threads") = 0)
        .def("any_hits", &Kernel::any_hits, nb::arg("origins"), nb::arg("directions"), nb::arg("threads") = 0)
        .def("all_hits", &Kernel::all_hits, nb::arg("origins"), nb::arg("directions"), nb::arg("threads") = 0)
        .def("views", &Kernel::views, nb::arg("cameras"), nb::arg("height"), nb::arg("width"), nb::arg("orthographic"),
             nb::arg("samples"), nb::arg("images"), nb::arg("corners").none(), nb::arg("slots").none(), nb::arg("threads") = 0)
        .def("smooth_normals", &Kernel::smooth_normals, nb::arg("least_cosine"), nb::arg("threads") = 0)
        .def("pseudonormals_hold", &Kernel::pseudonormals, nb::arg("threads") = 0)
        .def("intersecting_pairs", &Kernel::intersecting_pairs, nb::arg("slack") = 0.0, nb::arg("threads") = 0)
        .def("topology", &Kernel::topology, nb::arg("intersections") = false, nb::arg("threads") = 0);
}
