// The kernel's reading of plain text as one function of bytes: every law that its callers rely on is checked, in a copy of the bytes
// that ends where they end, so that a sanitizer sees any step beyond.
#include "text.hpp"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

using shapetool::Reader;

namespace {

void require(bool holds, const char *what) {
    if (holds) return;
    std::fprintf(stderr, "broken: %s\n", what);
    std::abort();
}

double hard(const std::string &word) {
    char *end;
    double value = std::strtod(word.c_str(), &end);
    require(end == word.c_str() + word.size() && !word.empty(), "a word for the hard way has the form of a number");
    return value;
}

void require_numbers(const double *values, size_t count) {
    for (size_t i = 0; i < count; ++i) require(!std::isnan(values[i]), "a number is none only where a word says so, and then none is read");
}

void rows(const char *text, size_t size, size_t at, size_t vertices, size_t polygons) {
    at = at < size ? at : size;
    Reader reader{text + at, text + size};
    if (vertices <= size - at) {
        std::unique_ptr<double[]> values(new double[3 * vertices + 1]);
        if (reader.coordinates(vertices, hard, values.get()))
            require_numbers(values.get(), 3 * vertices);
        require(text + at <= reader.at && reader.at <= text + size, "a reader stays in its text");
    }
    if (polygons > size_t(reader.end - reader.at)) return;
    std::vector<int64_t> corners;
    std::unique_ptr<int64_t[]> sizes(new int64_t[polygons + 1]);
    if (!reader.polygons(polygons, corners, sizes.get())) return;
    size_t sum = 0;
    for (size_t i = 0; i < polygons; ++i) {
        require(sizes[i] >= 0, "a polygon has no fewer than no corners");
        sum += size_t(sizes[i]);
    }
    require(sum == corners.size(), "there are as many corners as the polygons have");
    for (int64_t corner : corners) require(corner >= 0, "an index is no negative number");
    reader.done();
    require(reader.at <= text + size, "a reader stays in its text");
}

void statements(const char *text, size_t size) {
    Reader reader{text, text + size};
    std::vector<double> vertices;
    std::vector<int64_t> corners, sizes;
    if (!reader.statements(hard, vertices, corners, sizes)) return;
    require(reader.at == text + size, "all of an OBJ is read");
    require(vertices.size() % 3 == 0, "a vertex has three numbers");
    size_t sum = 0;
    for (int64_t each : sizes) sum += size_t(each);
    require(sum == corners.size(), "there are as many corners as the faces have");
    require_numbers(vertices.data(), vertices.size());
}

}  // namespace

extern "C" void read_text(const unsigned char *data, size_t size) {
    if (size < 6) return;
    size_t n = size - 6, numbers[3];
    for (int i = 0; i < 3; ++i) numbers[i] = data[2 * i] | size_t(data[2 * i + 1]) << 8;
    std::unique_ptr<char[]> copy(new char[n]);
    std::memcpy(copy.get(), data + 6, n);
    rows(copy.get(), n, numbers[0], numbers[1], numbers[2]);
    statements(copy.get(), n);
}

#ifdef REPLAY
// Reads records of a four-byte length and as many bytes from stdin, and each as a text; says how many they were.
int main() {
    unsigned char length[4];
    size_t count = 0;
    while (std::fread(length, 1, 4, stdin) == 4) {
        size_t size = length[0] | size_t(length[1]) << 8 | size_t(length[2]) << 16 | size_t(length[3]) << 24;
        std::vector<unsigned char> data(size);
        if (std::fread(data.data(), 1, size, stdin) != size) return 2;
        read_text(data.data(), size);
        ++count;
    }
    std::printf("%zu\n", count);
}
#endif
