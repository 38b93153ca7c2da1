// Transport by the network simplex. Rows and columns hang in a tree whose arcs carry all that moves and cost exactly what their two
// ends pay; an arc that costs less comes in, and the flow around the circle that it closes pushes another one out.
//
// Only arcs to the cheapest columns are looked at. When none of these is too cheap, all pairs are priced at once and those that are
// too cheap join. The first prices come from the same problem with a quarter of the points, and so on down.
#include "simplex.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "offers.hpp"
#include "parallel.hpp"

namespace shapetool {
namespace {

constexpr size_t kCandidates = 20;  // columns of a row to begin with
constexpr size_t kJoining = 12;     // columns that join a row at a time
constexpr size_t kCoarse = 4;       // points that become one
constexpr size_t kSmall = 64;       // points of both sides that need no coarser start
constexpr double kCoarseTolerance = 1e-2;
// Costs become multiples of 2^-46, so that sums along the tree are exact while they are below 64 and no circle turns for ever.
// The clouds have a size of about 1.
constexpr double kRounder = 96;
constexpr double kQuantum = 1.0 / (int64_t(1) << 46);
constexpr double kFar = 16;
constexpr size_t kPatience = 400;  // pivots a node, beyond which sums were not exact and smaller gains are let go
constexpr int kTurns = 4;

struct Side {
    std::vector<double> points;
    std::vector<int64_t> amounts;
    size_t count() const { return amounts.size(); }
};

Side along(const std::vector<uint32_t> &order, const double *points, const int64_t *amounts) {
    Side side;
    for (uint32_t k : order) {
        side.points.insert(side.points.end(), points + 3 * size_t(k), points + 3 * size_t(k) + 3);
        side.amounts.push_back(amounts[k]);
    }
    return side;
}

// Neighbours along the curve as one point in their middle with all that they have.
Side coarser(const Side &side) {
    Side few;
    for (size_t begin = 0; begin < side.count(); begin += kCoarse) {
        size_t end = std::min(side.count(), begin + kCoarse);
        double middle[3] = {0, 0, 0};
        int64_t amount = 0;
        for (size_t k = begin; k < end; ++k) {
            for (size_t a = 0; a < 3; ++a) middle[a] += side.points[3 * k + a] / double(end - begin);
            amount += side.amounts[k];
        }
        few.points.insert(few.points.end(), middle, middle + 3);
        few.amounts.push_back(amount);
    }
    return few;
}

class Simplex {
  public:
    Simplex(const double *a, const int64_t *supply, size_t N, const double *b, const int64_t *demand, size_t M, bool squared,
            const Effort &effort)
        : N_(int32_t(N)), root_(int32_t(N + M)), squared_(squared), effort_(effort), order_(in_order(a, N)), offers_(b, M, squared),
          rows_(along(order_, a, supply)), columns_(along(offers_.order, b, demand)), nodes_(N + M + 1), price_(N + M + 1) {}

    void solve() {
        guess();
        list_candidates();
        plant(greedy());
        do
            improve(kPatience);
        while (join());
        // Where all that moves moves by little, what the costs were rounded by is worth another look.
        rounded_ = false, least_ = kQuantum / 4;
        for (Arc &arc : arcs_) arc.cost = cost(arc.row, arc.column);
        for (int turn = 0; turn < kTurns && !good_enough_; ++turn) {
            improve(1);
            if (!join()) break;
        }
        price_tree();
        hand_over();
    }

    Plan plan() {
        Plan plan;
        plan.u.resize(rows_.count()), plan.v.resize(columns_.count());
        parallel_for(effort_.threads, rows_.count(), 64, [&](size_t begin, size_t end, int thread) {
            for (size_t i = begin; i < end && !effort_.pulse.stopped(thread); ++i)
                plan.u[order_[i]] = offers_.least(&rows_.points[3 * i]);
        });
        effort_.pulse.finish();
        for (size_t j = 0; j < columns_.count(); ++j) plan.v[offers_.order[j]] = offers_.v[j];
        std::vector<std::pair<std::pair<int64_t, int64_t>, int64_t>> moves;
        for (int32_t x = 0; x < root_; ++x) {
            const Node &node = nodes_[size_t(x)];
            if (node.flow == 0) continue;
            auto [row, column] = ends(x);
            moves.push_back({{order_[size_t(row)], offers_.order[size_t(column)]}, node.flow});
        }
        std::sort(moves.begin(), moves.end());
        for (const auto &[pair, amount] : moves)
            plan.rows.push_back(pair.first), plan.columns.push_back(pair.second), plan.amounts.push_back(amount);
        return plan;
    }

  private:
    // Rows are the nodes from 0, columns those from N. Arcs lead from rows to columns; what hangs on the root moves nothing.
    struct Node {
        int32_t parent = -1, child = -1, before = -1, after = -1;
        int32_t size = 1;
        int64_t flow = 0;  // on the arc to the parent
    };
    struct Arc {
        int32_t row, column;
        double cost;
    };

    double cost(int32_t row, int32_t column) const {
        double plain = offers_.cost(&rows_.points[3 * size_t(row)], column);
        return rounded_ ? (plain + kRounder) - kRounder : plain;
    }

    std::pair<int32_t, int32_t> ends(int32_t x) const {
        int32_t parent = nodes_[size_t(x)].parent;
        return x < N_ ? std::make_pair(x, parent - N_) : std::make_pair(parent, x - N_);
    }

    // Prices of the columns from a problem with fewer points.
    void guess() {
        if (rows_.count() + columns_.count() <= kSmall) return;
        Side few_rows = coarser(rows_), few_columns = coarser(columns_);
        Effort effort{std::max(kCoarseTolerance, effort_.rtol), effort_.threads, effort_.pulse};
        Simplex small(few_rows.points.data(), few_rows.amounts.data(), few_rows.count(), few_columns.points.data(),
                      few_columns.amounts.data(), few_columns.count(), squared_, effort);
        small.solve();
        Offers takers(small.rows_.points.data(), small.rows_.count(), squared_);
        for (size_t i = 0; i < small.rows_.count(); ++i) takers.v[i] = small.price_[takers.order[i]];
        takers.refresh();
        parallel_for(effort_.threads, columns_.count(), 64, [&](size_t begin, size_t end, int) {
            for (size_t j = begin; j < end; ++j) offers_.v[j] = takers.least(&columns_.points[3 * j]);
        });
        offers_.refresh();
    }

    void list_candidates() {
        size_t each = std::min(kCandidates, columns_.count());
        std::vector<Offers::Entry> listed(each * rows_.count());
        parallel_for(effort_.threads, rows_.count(), 64, [&](size_t begin, size_t end, int thread) {
            std::vector<Offers::Entry> found;
            for (size_t i = begin; i < end && !effort_.pulse.stopped(thread); ++i) {
                offers_.cheapest(&rows_.points[3 * i], each, kInfinity, found);
                std::sort(found.begin(), found.end());
                std::copy(found.begin(), found.end(), listed.begin() + std::ptrdiff_t(i * each));
            }
        });
        effort_.pulse.finish();
        for (int32_t i = 0; i < N_; ++i) {
            price_[size_t(i)] = listed[size_t(i) * each].first;
            for (size_t k = 0; k < each; ++k) {
                int32_t j = listed[size_t(i) * each + k].second;
                arcs_.push_back({i, j, cost(i, j)});
            }
        }
        for (size_t j = 0; j < columns_.count(); ++j) price_[size_t(N_) + j] = offers_.v[j];
    }

    // Serves the cheapest arcs first. Each uses up one of its ends, so no circle is closed.
    std::vector<std::pair<Arc, int64_t>> greedy() {
        std::vector<std::pair<double, size_t>> order;
        for (size_t k = 0; k < arcs_.size(); ++k) order.push_back({over(arcs_[k]), k});
        std::sort(order.begin(), order.end());
        std::vector<int64_t> left = rows_.amounts, room = columns_.amounts;
        std::vector<std::pair<Arc, int64_t>> served;
        auto serve = [&](int32_t i, int32_t j) {
            int64_t amount = std::min(left[size_t(i)], room[size_t(j)]);
            left[size_t(i)] -= amount, room[size_t(j)] -= amount;
            if (amount > 0) served.push_back({{i, j, 0}, amount});
        };
        for (const auto &[value, k] : order) serve(arcs_[k].row, arcs_[k].column);
        std::vector<int32_t> open;
        for (size_t j = 0; j < room.size(); ++j)
            if (room[j] > 0) open.push_back(int32_t(j));
        for (int32_t i = 0; i < N_; ++i)
            while (left[size_t(i)] > 0) {
                effort_.pulse();
                size_t best = 0;
                double least = kInfinity;
                for (size_t k = 0; k < open.size(); ++k) {
                    double value = over({i, open[k], cost(i, open[k])});
                    if (value < least) least = value, best = k;
                }
                serve(i, open[best]);
                if (room[size_t(open[best])] == 0) open[best] = open.back(), open.pop_back();
            }
        return served;
    }

    // What an arc costs above what its ends pay.
    double over(const Arc &arc) const { return arc.cost - price_[size_t(arc.row)] - price_[size_t(N_ + arc.column)]; }

    void plant(const std::vector<std::pair<Arc, int64_t>> &served) {
        std::vector<std::vector<std::pair<int32_t, int64_t>>> next(static_cast<size_t>(root_));
        for (const auto &[arc, amount] : served) {
            next[size_t(arc.row)].push_back({N_ + arc.column, amount});
            next[size_t(N_ + arc.column)].push_back({arc.row, amount});
        }
        std::vector<int32_t> seen;
        for (int32_t top = 0; top < root_; ++top) {
            if (nodes_[size_t(top)].parent >= 0) continue;
            hang(top, root_, 0);
            seen.push_back(top);
            for (size_t at = seen.size() - 1; at < seen.size(); ++at)
                for (const auto &[other, amount] : next[size_t(seen[at])])
                    if (nodes_[size_t(other)].parent < 0) hang(other, seen[at], amount), seen.push_back(other);
        }
        for (size_t at = seen.size(); at-- > 0;)
            nodes_[size_t(nodes_[size_t(seen[at])].parent)].size += nodes_[size_t(seen[at])].size;
    }

    void hang(int32_t x, int32_t parent, int64_t flow) {
        Node &node = nodes_[size_t(x)], &above = nodes_[size_t(parent)];
        node.parent = parent, node.flow = flow, node.before = -1, node.after = above.child;
        if (above.child >= 0) nodes_[size_t(above.child)].before = x;
        above.child = x;
    }

    void cut(int32_t x) {
        Node &node = nodes_[size_t(x)];
        if (node.before >= 0)
            nodes_[size_t(node.before)].after = node.after;
        else
            nodes_[size_t(node.parent)].child = node.after;
        if (node.after >= 0) nodes_[size_t(node.after)].before = node.before;
    }

    // Calls visit(x) for all below `top`, itself too, parents first, but nothing below `without`.
    template <class Visit>
    void walk(int32_t top, int32_t without, const Visit &visit) const {
        int32_t x = top;
        for (;;) {
            bool in = x != without;
            if (in) visit(x);
            if (in && nodes_[size_t(x)].child >= 0) {
                x = nodes_[size_t(x)].child;
                continue;
            }
            while (x != top && nodes_[size_t(x)].after < 0) x = nodes_[size_t(x)].parent;
            if (x == top) return;
            x = nodes_[size_t(x)].after;
        }
    }

    // Prices from the arcs of the tree; those of nodes on the root stand, but that the first is 0: all may move together.
    void price_tree() {
        int32_t first = nodes_[size_t(root_)].child;
        double shift = first < N_ ? price_[size_t(first)] : -price_[size_t(first)];
        drift_ = 0;
        walk(root_, -1, [&](int32_t x) {
            double &price = price_[size_t(x)];
            if (x == root_) return;
            if (nodes_[size_t(x)].parent == root_) {
                price += x < N_ ? -shift : shift;
                if (rounded_) price = (price + kRounder) - kRounder;
                return;
            }
            auto [row, column] = ends(x);
            price = cost(row, column) - price_[size_t(nodes_[size_t(x)].parent)];
        });
    }

    void improve(size_t patience) {
        price_tree();
        pivot_all(patience * nodes_.size());
        price_tree();
    }

    void pivot_all(size_t patience) {
        size_t block = std::max<size_t>(32, size_t(2 * std::sqrt(double(arcs_.size())))), at = 0;
        size_t waited = 0;
        for (;;) {
            double least = -least_;
            size_t best = arcs_.size(), left = block;
            for (size_t seen = 0; seen < arcs_.size(); ++seen) {
                double value = over(arcs_[at]);
                if (value < least) least = value, best = at;
                if (++at == arcs_.size()) at = 0;
                if (--left == 0) {
                    if (best < arcs_.size()) break;
                    left = block;
                }
            }
            if (best == arcs_.size()) return;
            effort_.pulse();
            if (++waited % patience == 0) least_ = std::max(2 * least_, kQuantum);
            pivot(arcs_[best], least);
        }
    }

    // What leaves is the last arc of the circle, followed from its top, that lets nothing more through: so empty arcs always point up
    // the tree, and no circle of pivots without gain closes (Cunningham).
    void pivot(const Arc &arc, double gain) {
        int32_t i = arc.row, j = N_ + arc.column, top = i, other = j;
        while (top != other) {
            int32_t &lower = nodes_[size_t(top)].size < nodes_[size_t(other)].size ? top : other;
            lower = nodes_[size_t(lower)].parent;
        }
        int64_t flow = INT64_MAX;
        int32_t out = -1;
        bool from_row = true;
        for (int32_t x = i; x != top; x = nodes_[size_t(x)].parent) {
            const Node &node = nodes_[size_t(x)];
            if ((x < N_ || node.parent == root_) && node.flow < flow) flow = node.flow, out = x;
        }
        for (int32_t x = j; x != top; x = nodes_[size_t(x)].parent) {
            const Node &node = nodes_[size_t(x)];
            if (x >= N_ && node.parent != root_ && node.flow <= flow) flow = node.flow, out = x, from_row = false;
        }
        if (flow > 0) {
            for (int32_t x = i; x != top; x = nodes_[size_t(x)].parent) nodes_[size_t(x)].flow += x < N_ ? -flow : flow;
            for (int32_t x = j; x != top; x = nodes_[size_t(x)].parent) nodes_[size_t(x)].flow += x < N_ ? flow : -flow;
        }
        rehang(from_row ? i : j, from_row ? j : i, out, top, flow);
        int32_t moved = from_row ? i : j;
        // The pieces only have to move against each other: the smaller one does.
        double rise = from_row ? gain : -gain;  // of its rows; its columns fall as much
        if (2 * size_t(nodes_[size_t(moved)].size) <= nodes_.size())
            walk(moved, -1, [&](int32_t x) { price_[size_t(x)] += x < N_ ? rise : -rise; });
        else
            walk(root_, moved, [&](int32_t x) { price_[size_t(x)] -= x < N_ ? rise : -rise; });
        drift_ += std::abs(rise);
        if (drift_ > kFar) price_tree();
    }

    // Cuts the piece below `out` off and hangs it on `onto` by its node `by`.
    void rehang(int32_t by, int32_t onto, int32_t out, int32_t top, int64_t flow) {
        int32_t whole = nodes_[size_t(out)].size;
        for (int32_t x = nodes_[size_t(out)].parent; x != top; x = nodes_[size_t(x)].parent) nodes_[size_t(x)].size -= whole;
        int32_t x = by, parent = onto, below = 0;
        for (;;) {
            int32_t above = nodes_[size_t(x)].parent, size = nodes_[size_t(x)].size;
            int64_t carried = nodes_[size_t(x)].flow;
            cut(x);
            hang(x, parent, flow);
            nodes_[size_t(x)].size = whole - below;
            if (x == out) break;
            below = size, flow = carried, parent = x, x = above;
        }
        for (int32_t y = onto; y != top; y = nodes_[size_t(y)].parent) nodes_[size_t(y)].size += whole;
    }

    void hand_over() {
        std::copy_n(price_.begin() + N_, columns_.count(), offers_.v.begin());
        offers_.refresh();
    }

    // Whether pairs that cost less than their ends pay have joined; of each row a few of the cheapest.
    bool join() {
        hand_over();
        std::vector<std::vector<Offers::Entry>> joining(rows_.count());
        parallel_for(effort_.threads, rows_.count(), 64, [&](size_t begin, size_t end, int thread) {
            std::vector<Offers::Entry> found;
            for (size_t i = begin; i < end && !effort_.pulse.stopped(thread); ++i) {
                offers_.cheapest(&rows_.points[3 * i], kJoining, price_[i] - least_, found);
                std::sort(found.begin(), found.end());
                joining[i] = found;
            }
        });
        effort_.pulse.finish();
        if (effort_.rtol > 0 && proved(joining)) {
            good_enough_ = true;
            return false;
        }
        size_t before = arcs_.size();
        for (int32_t i = 0; i < N_; ++i)
            for (const Offers::Entry &entry : joining[size_t(i)]) {
                Arc arc{i, entry.second, cost(i, entry.second)};
                if (over(arc) < -least_) arcs_.push_back(arc);
            }
        return arcs_.size() > before;
    }

    // Whether the plan costs no more above what the prices prove than it may.
    bool proved(const std::vector<std::vector<Offers::Entry>> &joining) const {
        double upper = 0, lower = 0;
        for (size_t i = 0; i < rows_.count(); ++i)
            lower += double(rows_.amounts[i]) * std::min(price_[i], joining[i].empty() ? kInfinity : joining[i][0].first);
        for (size_t j = 0; j < columns_.count(); ++j) lower += double(columns_.amounts[j]) * offers_.v[j];
        for (int32_t x = 0; x < root_; ++x)
            if (nodes_[size_t(x)].flow > 0) {
                auto [row, column] = ends(x);
                upper += double(nodes_[size_t(x)].flow) * cost(row, column);
            }
        return upper - lower <= effort_.rtol * upper;
    }

    int32_t N_, root_;
    bool squared_, rounded_ = true, good_enough_ = false;
    double least_ = 0;
    double drift_ = 0;  // at least how far prices have moved since they were last taken from the tree
    Effort effort_;
    std::vector<uint32_t> order_;
    Offers offers_;
    Side rows_, columns_;
    std::vector<Node> nodes_;
    std::vector<double> price_;
    std::vector<Arc> arcs_;
};

}  // namespace

Plan simplex(const double *a, const int64_t *supply, size_t N, const double *b, const int64_t *demand, size_t M, bool squared,
             const Effort &effort) {
    Simplex solver(a, supply, N, b, demand, M, squared, effort);
    solver.solve();
    return solver.plan();
}

}  // namespace shapetool
