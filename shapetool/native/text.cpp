#include "text.hpp"

#include <algorithm>
#include <array>
#include <cfloat>
#include <cstring>
#include <iterator>
#include <string_view>

namespace shapetool {
namespace {

constexpr int kDigits = 19;       // as many always fit 64 bits
constexpr int kWholeDigits = 18;  // as many fit with a sign
constexpr int kPowers = 27;       // 5^27 is the last below 2^64
constexpr int kExact = 22;        // 10^22 is the last power of ten that a double holds
constexpr int64_t kFar = 100000;  // an exponent from here on is for the hard way, whatever the digits are

constexpr std::array<uint64_t, kPowers + 1> powers_of_five() {
    std::array<uint64_t, kPowers + 1> p{};
    p[0] = 1;
    for (int i = 1; i <= kPowers; ++i) p[i] = 5 * p[i - 1];
    return p;
}

constexpr std::array<uint64_t, kPowers + 1> kFive = powers_of_five();
constexpr double kTen[kExact + 1] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                     1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

// What says nothing about where the surface of an OBJ is.
constexpr std::string_view kPassed[] = {"vn", "vt", "g", "o", "s", "usemtl", "mtllib"};

bool is_digit(char c) { return unsigned(c) - unsigned('0') < 10; }
bool ends_row(char c) { return c == '\n' || c == '\r' || c == '#'; }
bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\v' || c == '\f'; }

// One digit in base 2^32 of (high * 2^32 + low) / divisor, where the divisor has its top bit and is above high; high becomes the
// rest. The guess from the upper half of the divisor is at most two too large: Knuth, "The Art of Computer Programming", 4.3.1.
uint64_t divide_step(uint64_t &high, uint64_t low, uint64_t divisor) {
    uint64_t upper = divisor >> 32, lower = divisor & 0xffffffff;
    uint64_t digit = high / upper, rest = high % upper;
    while (digit >> 32 || digit * lower > (rest << 32 | low)) {
        --digit;
        rest += upper;
        if (rest >> 32) break;
    }
    high = (high << 32 | low) - digit * divisor;  // what leaves the 64 bits cancels
    return digit;
}

// digits / 10^power, rounded once, half to even. The quotient has 63 or 64 bits and is exact but for its rest.
double divided(uint64_t digits, int power) {
    int up = __builtin_clzll(digits), over = __builtin_clzll(kFive[power]);
    uint64_t divisor = kFive[power] << over, rest = (digits << up) >> 1;
    uint64_t low = (digits << up) << 63;
    uint64_t quotient = divide_step(rest, low >> 32, divisor) << 32;
    quotient |= divide_step(rest, low & 0xffffffff, divisor);
    int spare = quotient >> 63 ? 11 : 10;
    uint64_t half = uint64_t(1) << (spare - 1), cut = quotient & (2 * half - 1), kept = quotient >> spare;
    if (cut > half || (cut == half && (rest || (kept & 1)))) ++kept;
    // The quotient was scaled by 2^63, the digits by 2^up, the divisor by 2^over; here no result leaves the normal range.
    uint64_t exponent = uint64_t(1023 + spare - 63 - up + over - power) << 52;
    double scale;
    std::memcpy(&scale, &exponent, sizeof scale);
    return double(kept) * scale;
}

// digits * 10^power when that can be rounded here; false leaves it to the hard way.
bool rounded(uint64_t digits, int64_t power, double &out) {
    if (digits == 0 || power == 0) {
        out = double(digits);
    } else if (FLT_EVAL_METHOD == 0 && digits >> 53 == 0 && -kExact <= power && power <= kExact) {
        out = power < 0 ? double(digits) / kTen[-power] : double(digits) * kTen[power];
    } else if (-kPowers <= power && power < 0) {
        out = divided(digits, int(-power));
    } else {
        return false;
    }
    return true;
}

}  // namespace

void Reader::leave_blanks() {
    while (at != end && is_blank(*at)) ++at;
}

void Reader::leave_row() {
    while (at != end && *at != '\n' && *at != '\r') ++at;
}

void Reader::leave_word() {
    while (at != end && !is_blank(*at) && !ends_row(*at)) ++at;
}

// Goes to the first word of the next row that has one; false at the end.
bool Reader::next_row() {
    for (; at != end; ++at) {
        leave_blanks();
        if (at != end && *at == '#') leave_row();
        if (at == end) return false;
        if (*at != '\n' && *at != '\r') return true;
    }
    return false;
}

bool Reader::done() { return !next_row(); }

bool Reader::whole(int64_t &out, bool slashes) {
    leave_blanks();
    const char *begin = at;
    for (out = 0; at != end && is_digit(*at) && at - begin < kWholeDigits; ++at) out = 10 * out + (*at - '0');
    if (slashes && at != begin && at != end && *at == '/') leave_word();
    return at != begin && (at == end || is_blank(*at) || ends_row(*at));
}

bool Reader::number(Hard hard, double &out) {
    leave_blanks();
    const char *begin = at;
    bool negative = at != end && *at == '-';
    if (at != end && (*at == '-' || *at == '+')) ++at;
    uint64_t digits = 0;
    const char *first = nullptr;  // the first digit that is no leading zero
    const char *point = nullptr;
    size_t seen = 0;
    for (; at != end; ++at) {
        if (is_digit(*at)) {
            digits = 10 * digits + uint64_t(*at - '0');  // wraps when there are too many, and is not used then
            if (!first && *at != '0') first = at;
            ++seen;
        } else if (*at == '.' && !point) {
            point = at;
        } else {
            break;
        }
    }
    if (!seen) return false;
    int64_t power = point ? point + 1 - at : 0;
    bool few = !first || at - first - (point && point > first) <= kDigits;
    if (at != end && (*at == 'e' || *at == 'E')) {
        ++at;
        bool down = at != end && *at == '-';
        if (at != end && (*at == '-' || *at == '+')) ++at;
        const char *start = at;
        int64_t exponent = 0;
        for (; at != end && is_digit(*at); ++at)
            if (exponent < kFar) exponent = 10 * exponent + (*at - '0');
        if (at == start) return false;
        power += down ? -exponent : exponent;
    }
    if (at != end && !is_blank(*at) && !ends_row(*at)) return false;
    if (few && rounded(digits, power, out)) {
        if (negative) out = -out;
    } else {
        out = hard(std::string(begin, at));
    }
    return true;
}

bool Reader::coordinates(size_t rows, Hard hard, double *out) {
    for (size_t row = 0; row < rows; ++row, out += 3) {
        if (!next_row()) return false;
        for (int i = 0; i < 3; ++i)
            if (!number(hard, out[i])) return false;
        leave_row();
    }
    return true;
}

bool Reader::polygons(size_t rows, std::vector<int64_t> &corners, int64_t *sizes) {
    for (size_t row = 0; row < rows; ++row) {
        int64_t corner;
        if (!next_row() || !whole(sizes[row])) return false;
        for (int64_t i = 0; i < sizes[row]; ++i) {
            if (!whole(corner)) return false;
            corners.push_back(corner);
        }
        leave_row();
    }
    return true;
}

bool Reader::indices(std::vector<int64_t> &corners, int64_t &size) {
    for (size = 0;; ++size) {
        int64_t corner;
        leave_blanks();
        if (at == end || ends_row(*at)) return true;
        if (!whole(corner, true)) return false;
        corners.push_back(corner);
    }
}

bool Reader::statements(Hard hard, std::vector<double> &vertices, std::vector<int64_t> &corners, std::vector<int64_t> &sizes) {
    while (next_row()) {
        const char *begin = at;
        leave_word();
        std::string_view word(begin, size_t(at - begin));
        if (word == "v") {
            for (int i = 0; i < 3; ++i) {
                vertices.push_back(0);
                if (!number(hard, vertices.back())) return false;
            }
        } else if (word == "f") {
            sizes.push_back(0);
            if (!indices(corners, sizes.back())) return false;
        } else if (std::find(std::begin(kPassed), std::end(kPassed), word) == std::end(kPassed)) {
            return false;
        }
        leave_row();
    }
    return true;
}

}  // namespace shapetool
