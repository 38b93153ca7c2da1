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

    // Whether no word is left.
    bool done();

  private:
    bool next_row();
    void leave_row();
    void leave_blanks();
    bool whole(int64_t &out);
    bool number(Hard hard, double &out);
};

}  // namespace shapetool
