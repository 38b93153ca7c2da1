// Numbers out of text, each the double that Python's float() gives.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace shapetool {

// What reads a number that exact arithmetic in 64 bits cannot round.
using Hard = double (*)(const std::string &word);

// A place in a text that is read row by row. Blank rows and what stands behind a # are passed over.
struct Reader {
    const char *at, *end;

    // Three numbers from the front of each of the next rows; false for a row without, or a word that is no plain number.
    bool coordinates(size_t rows, Hard hard, double *out);

    // A count and as many whole numbers from the front of each of the next rows; false for a row without.
    bool polygons(size_t rows, std::vector<int64_t> &corners, int64_t *sizes);

    // All rows of an OBJ text: the numbers behind each v, the index before the slashes of each word behind each f. Rows of texture,
    // normals, groups and materials are passed over; false for any other row, or a word that is no plain number.
    bool statements(Hard hard, std::vector<double> &vertices, std::vector<int64_t> &corners, std::vector<int64_t> &sizes);

    // Whether no word is left.
    bool done();

  private:
    bool next_row();
    void leave_row();
    void leave_word();
    void leave_blanks();
    bool whole(int64_t &out, bool slashes = false);
    bool indices(std::vector<int64_t> &corners, int64_t &size);
    bool number(Hard hard, double &out);
};

}  // namespace shapetool
