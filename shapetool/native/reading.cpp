// The Python face of what loading a mesh needs: numbers out of text, and whether a mesh needs a closer look.
#include "reading.hpp"

#include <nanobind/ndarray.h>

#include <algorithm>
#include <memory>
#include <stdexcept>

#include "soundness.hpp"
#include "text.hpp"

namespace nb = nanobind;

namespace shapetool {
namespace {

using Vertices = nb::ndarray<const double, nb::shape<-1, 3>, nb::c_contig, nb::device::cpu>;
using Faces = nb::ndarray<const int64_t, nb::shape<-1, 3>, nb::c_contig, nb::device::cpu>;

template <class T>
nb::ndarray<nb::numpy, T> given(std::unique_ptr<T[]> values, std::initializer_list<size_t> shape) {
    nb::capsule owner(values.get(), [](void *p) noexcept { delete[] static_cast<T *>(p); });
    T *data = values.release();
    return nb::ndarray<nb::numpy, T>(data, shape, owner);
}

template <class T>
nb::ndarray<nb::numpy, T> given(const std::vector<T> &values) {
    std::unique_ptr<T[]> copy(new T[values.size() + 1]);
    std::copy(values.begin(), values.end(), copy.get());
    return given(std::move(copy), {values.size()});
}

// Python's own reading of a float, which rounds right in any locale; the word has the form of a number.
double as_python(const std::string &word) {
    double value = PyOS_string_to_double(word.c_str(), nullptr, nullptr);
    if (value == -1.0 && PyErr_Occurred()) throw nb::python_error();
    return value;
}

Reader opened(const nb::bytes &text, size_t at) {
    if (at > text.size()) throw std::invalid_argument("expected a place inside the text");
    return {text.c_str() + at, text.c_str() + text.size()};
}

// A row takes a byte at least, so a promise of more is broken, and asks for no memory.
bool too_many(const Reader &reader, size_t rows) { return rows > size_t(reader.end - reader.at); }

nb::object coordinates(nb::bytes text, size_t at, size_t rows) {
    Reader reader = opened(text, at);
    if (too_many(reader, rows)) return nb::none();
    std::unique_ptr<double[]> values(new double[3 * rows + 1]);
    if (!reader.coordinates(rows, as_python, values.get())) return nb::none();
    return nb::make_tuple(given(std::move(values), {rows, size_t(3)}), reader.at - text.c_str());
}

nb::object polygons(nb::bytes text, size_t at, size_t rows) {
    Reader reader = opened(text, at);
    if (too_many(reader, rows)) return nb::none();
    std::vector<int64_t> corners;
    std::unique_ptr<int64_t[]> sizes(new int64_t[rows + 1]);
    corners.reserve(3 * rows);
    if (!reader.polygons(rows, corners, sizes.get()) || !reader.done()) return nb::none();
    return nb::make_tuple(given(corners), given(std::move(sizes), {rows}));
}

nb::object statements(nb::bytes text) {
    Reader reader = opened(text, 0);
    std::vector<double> vertices;
    std::vector<int64_t> corners, sizes;
    if (!reader.statements(as_python, vertices, corners, sizes)) return nb::none();
    return nb::make_tuple(given(vertices), given(corners), given(sizes));
}

void check_faces(const Vertices &vertices, const Faces &faces) {
    int64_t most = int64_t(vertices.shape(0));
    for (size_t i = 0; i < 3 * faces.shape(0); ++i)
        if (faces.data()[i] < 0 || faces.data()[i] >= most) throw std::invalid_argument("expected faces that point at vertices");
}

bool has_area(Vertices vertices, Faces faces, double share) {
    check_faces(vertices, faces);
    nb::gil_scoped_release release;
    return clearly_has_area(vertices.data(), faces.data(), faces.shape(0), share);
}

bool outward(Vertices vertices, Faces faces) {
    check_faces(vertices, faces);
    nb::gil_scoped_release release;
    return clearly_outward(vertices.data(), faces.data(), faces.shape(0));
}

}  // namespace

void bind_reading(nb::module_ &m) {
    m.def("read_coordinates", &coordinates, nb::arg("text"), nb::arg("at"), nb::arg("rows"));
    m.def("read_polygons", &polygons, nb::arg("text"), nb::arg("at"), nb::arg("rows"));
    m.def("read_statements", &statements, nb::arg("text"));
    m.def("clearly_has_area", &has_area, nb::arg("vertices"), nb::arg("faces"), nb::arg("share"));
    m.def("clearly_outward", &outward, nb::arg("vertices"), nb::arg("faces"));
}

}  // namespace shapetool
