// The assignment problem by prices. Each row keeps the few columns that were cheapest for it when it last looked at all of them, and
// the cost below which no other column was. Prices only make columns dearer (v falls), so that bound holds until the row's
// best known column is worse; only then are all columns read again. So a sparse search decides as a dense one would.
//
// Three stages share the prices: an auction with shrinking steps (Bertsekas), which leaves nearly right prices; bids without a step
// and shortest augmenting paths (Jonker and Volgenant), which leave exact ones. Amounts are whole numbers: nothing is lost. Columns
// that take several units are for the network simplex: a bid would chase all who hold one away.
#include "emd.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <queue>
#include <utility>

#include "offers.hpp"
#include "parallel.hpp"
#include "simplex.hpp"

namespace shapetool {
namespace {

constexpr size_t kListed = 32;       // columns that a row remembers at first
constexpr double kShrink = 5;        // of the auction's step from phase to phase
constexpr double kLastStep = 3e-3;  // of how far apart what a row knows is, on the average
constexpr size_t kBids = 100;        // bids a row and phase; who is not served then is served by paths
constexpr size_t kPlainBids = 20;
constexpr int64_t kMany = 256;       // units of a row, beyond which it would bid for ever more columns

struct Arc {
    int32_t column;
    double cost;  // without the price
};
struct Held {
    int32_t row;
    int64_t amount;
};
struct Known {
    std::vector<Arc> arcs;
    double beyond = -kInfinity;  // no column that is not in `arcs` costs less
};
struct Best {
    int32_t column = -1;
    double first = kInfinity, second = kInfinity;
};

class Solver {
  public:
    Solver(const double *a, const int64_t *supply, size_t N, const double *b, const int64_t *demand, size_t M, bool squared, const Effort &effort)
        : N_(N), effort_(effort), columns_(b, M, squared), order_(in_order(a, N)), points_(3 * N), left_(N), room_(M), known_(N), u_(N), held_(M) {
        supply_.resize(N), demand_.resize(M);
        for (size_t i = 0; i < N; ++i) {
            std::copy_n(a + 3 * size_t(order_[i]), 3, &points_[3 * i]);
            left_[i] = supply_[i] = supply[order_[i]];
        }
        for (size_t j = 0; j < M; ++j) room_[j] = demand_[j] = demand[columns_.order[j]];
        parallel_for(effort_.threads, N, 64, [&](size_t begin, size_t end, int thread) {
            std::vector<Entry> found;
            for (size_t i = begin; i < end && !effort_.pulse.stopped(thread); ++i) look(int32_t(i), std::min(kListed, M), found, nullptr);
        });
        effort_.pulse.finish();
    }

    void solve() {
        double step = 0, spread = 0;
        for (const Known &known : known_) {
            auto cheaper = [](const Arc &x, const Arc &y) { return x.cost < y.cost; };
            auto [near, far] = std::minmax_element(known.arcs.begin(), known.arcs.end(), cheaper);
            step += far->cost / double(N_), spread += (far->cost - near->cost) / double(N_);
        }
        if (spread > 0)
            for (double last = kLastStep * spread; step > last; step /= kShrink) {
                auction(step);
                if (effort_.rtol > 0 && waiting().empty() && proved()) return;
            }
        tighten();
        plain_bids();
        for (size_t i = 0; i < N_; ++i)
            while (left_[i] > 0) augment(int32_t(i));
    }

    Plan plan() {
        Plan plan;
        plan.u.resize(N_), plan.v.resize(columns_.count);
        std::vector<double> least = row_prices();
        for (size_t i = 0; i < N_; ++i) plan.u[order_[i]] = least[i];
        std::vector<std::pair<std::pair<int64_t, int64_t>, int64_t>> moves;
        for (size_t j = 0; j < columns_.count; ++j) {
            plan.v[columns_.order[j]] = columns_.v[j];
            for (const Held &h : held_[j]) moves.push_back({{order_[size_t(h.row)], columns_.order[j]}, h.amount});
        }
        std::sort(moves.begin(), moves.end());
        for (const auto &[pair, amount] : moves)
            plan.rows.push_back(pair.first), plan.columns.push_back(pair.second), plan.amounts.push_back(amount);
        return plan;
    }

  private:
    // What the prices of the columns leave each row to pay, all pairs looked at.
    std::vector<double> row_prices() {
        columns_.refresh();
        std::vector<double> least(N_);
        parallel_for(effort_.threads, N_, 64, [&](size_t begin, size_t end, int thread) {
            for (size_t i = begin; i < end && !effort_.pulse.stopped(thread); ++i) least[i] = columns_.least(&points_[3 * i]);
        });
        effort_.pulse.finish();
        return least;
    }

    // Whether the plan costs no more above what the prices prove than it may.
    bool proved() {
        std::vector<double> least = row_prices();
        double upper = 0, lower = 0;
        for (size_t i = 0; i < N_; ++i) lower += least[i] * double(supply_[i]);
        for (size_t j = 0; j < columns_.count; ++j) {
            lower += columns_.v[j] * double(demand_[j]);
            for (const Held &h : held_[j]) upper += double(h.amount) * columns_.cost(&points_[3 * size_t(h.row)], int32_t(j));
        }
        return upper - lower <= effort_.rtol * upper;
    }

    using Entry = Offers::Entry;

    // Reads all columns and remembers the `wanted` cheapest. With `refresh`, the highest prices met are written down.
    void look(int32_t i, size_t wanted, std::vector<Entry> &found, double *refresh) {
        const double *point = &points_[3 * size_t(i)];
        Known &known = known_[size_t(i)];
        double limit = kInfinity;
        if (known.arcs.size() >= wanted) {  // what the row knows already says how cheap the others must be
            limit = -kInfinity;
            for (const Arc &arc : known.arcs) limit = std::max(limit, arc.cost - columns_.v[size_t(arc.column)]);
        }
        columns_.cheapest(point, wanted, limit, found, refresh);
        known.beyond = found.size() < columns_.count ? std::max_element(found.begin(), found.end())->first : kInfinity;
        known.arcs.clear();
        for (const Entry &entry : found) known.arcs.push_back({entry.second, columns_.cost(point, entry.second)});
    }

    void look_again(int32_t i, size_t wanted) { look(i, std::min(wanted, columns_.count), found_, columns_.highest.data()); }

    Best best_of(const Known &known) const {
        Best best;
        for (const Arc &arc : known.arcs) {
            double value = arc.cost - columns_.v[size_t(arc.column)];
            if (value < best.first)
                best.second = best.first, best.first = value, best.column = arc.column;
            else if (value < best.second)
                best.second = value;
        }
        return best;
    }

    // The cheapest column of a row, and a cost that no other is below.
    Best best_for(int32_t i) {
        const Known &known = known_[size_t(i)];
        Best best = best_of(known);
        if (best.second > known.beyond) {
            look_again(i, kListed);
            best = best_of(known);
        }
        best.second = std::min(best.second, known.beyond);
        return best;
    }

    double value(int32_t i, int32_t j) const { return columns_.cost(&points_[3 * size_t(i)], j) - columns_.v[size_t(j)]; }

    void hold(int32_t i, int32_t j) {
        int64_t amount = std::min(left_[size_t(i)], room_[size_t(j)]);
        left_[size_t(i)] -= amount, room_[size_t(j)] -= amount;
        for (Held &h : held_[size_t(j)])
            if (h.row == i) {
                h.amount += amount;
                return;
            }
        held_[size_t(j)].push_back({i, amount});
    }

    // Takes the column from all that hold it but `i`; who had nothing left to place before goes into the queue.
    void evict(int32_t i, int32_t j, std::vector<int32_t> &queue) {
        auto &held = held_[size_t(j)];
        size_t kept = 0;
        for (const Held &h : held) {
            if (h.row == i) {
                held[kept++] = h;
                continue;
            }
            if (left_[size_t(h.row)] == 0) queue.push_back(h.row);
            left_[size_t(h.row)] += h.amount, room_[size_t(j)] += h.amount;
        }
        held.resize(kept);
    }

    // Lets go of what costs a row more than `slack` above its cheapest.
    void release(double slack) {
        for (size_t j = 0; j < columns_.count; ++j) {
            auto &held = held_[j];
            size_t kept = 0;
            for (const Held &h : held) {
                if (value(h.row, int32_t(j)) <= u_[size_t(h.row)] + slack)
                    held[kept++] = h;
                else
                    left_[size_t(h.row)] += h.amount, room_[j] += h.amount;
            }
            held.resize(kept);
        }
    }

    void price_rows() {
        for (size_t i = 0; i < N_; ++i) {
            effort_.pulse();
            u_[i] = best_for(int32_t(i)).first;
        }
    }

    std::vector<int32_t> waiting() const {
        std::vector<int32_t> queue;
        for (size_t i = 0; i < N_; ++i)
            if (left_[i] > 0) queue.push_back(int32_t(i));
        return queue;
    }

    void auction(double step) {
        price_rows();
        release(step);
        std::vector<int32_t> queue = waiting();
        size_t bids = kBids * (N_ + columns_.count);
        for (size_t at = 0; at < queue.size() && bids > 0; ++at) {
            if (at > 4 * N_ && 2 * at > queue.size()) queue.erase(queue.begin(), queue.begin() + std::ptrdiff_t(at)), at = 0;
            int32_t i = queue[at];
            for (; left_[size_t(i)] > 0 && bids > 0; --bids) {
                effort_.pulse();
                Best best = best_for(i);
                if (room_[size_t(best.column)] == 0) {
                    double rise = std::isfinite(best.second) ? best.second - best.first : 0;
                    columns_.v[size_t(best.column)] -= rise + step;
                    evict(i, best.column, queue);
                }
                if (room_[size_t(best.column)] > 0) hold(i, best.column);
            }
        }
    }

    // Keeps only what is cheapest for its row, to the bit.
    void tighten() {
        price_rows();
        release(0);
    }

    // Bids up to the second best and no further, so that all that is held stays cheapest for its row.
    void plain_bids() {
        std::vector<int32_t> queue = waiting();
        size_t bids = kPlainBids * N_;
        for (size_t at = 0; at < queue.size() && bids > 0; ++at) {
            int32_t i = queue[at];
            while (left_[size_t(i)] > 0 && bids-- > 0) {
                effort_.pulse();
                Best best = best_for(i);
                u_[size_t(i)] = best.first;
                size_t j = size_t(best.column);
                if (room_[j] == 0) {
                    double price = columns_.v[j] - (best.second - best.first);
                    // Once u is the second best, what the row holds elsewhere would be dearer: only rows that hold nothing bid.
                    if (!std::isfinite(price) || !(price < columns_.v[j]) || left_[size_t(i)] != supply_[size_t(i)]) break;
                    columns_.v[j] = price;
                    u_[size_t(i)] = std::min(value(i, best.column), best.second);
                    evict(i, best.column, queue);
                }
                hold(i, best.column);
            }
        }
    }

    // One shortest path, by what arcs cost above their row's price, from a row with something left to a column with room.
    void augment(int32_t source);

    size_t N_;
    Effort effort_;
    Offers columns_;
    std::vector<uint32_t> order_;
    std::vector<double> points_;
    std::vector<int64_t> left_, room_, supply_, demand_;
    std::vector<Known> known_;
    std::vector<double> u_;
    std::vector<std::vector<Held>> held_;
    std::vector<Entry> found_;
    // of one search
    std::vector<double> reach_;
    std::vector<int32_t> from_row_, from_column_, seen_rows_, seen_columns_, done_;
    std::vector<double> row_reach_;
};

void Solver::augment(int32_t source) {
    if (reach_.empty()) {
        reach_.assign(columns_.count, kInfinity), row_reach_.assign(N_, kInfinity);
        from_row_.assign(columns_.count, -1), from_column_.assign(N_, -1);
    }
    using Item = std::pair<double, int32_t>;  // a column, or the complement of a row that has to look again
    std::priority_queue<Item, std::vector<Item>, std::greater<Item>> open;
    auto relax = [&](int32_t i) {
        double base = row_reach_[size_t(i)], u = u_[size_t(i)];
        for (const Arc &arc : known_[size_t(i)].arcs) {
            size_t j = size_t(arc.column);
            double reach = base + std::max(0.0, (arc.cost - columns_.v[j]) - u);
            if (reach < reach_[j]) {
                if (reach_[j] == kInfinity) seen_columns_.push_back(arc.column);
                reach_[j] = reach, from_row_[j] = i;
                open.push({reach, arc.column});
            }
        }
        double beyond = known_[size_t(i)].beyond;
        if (beyond < kInfinity) open.push({base + std::max(0.0, beyond - u), ~i});
    };
    row_reach_[size_t(source)] = 0;
    seen_rows_.push_back(source);
    relax(source);
    int32_t target = -1;
    double length = 0;
    while (target < 0) {
        effort_.pulse();
        Item item = open.top();
        open.pop();
        if (item.second < 0) {
            look_again(~item.second, 2 * known_[size_t(~item.second)].arcs.size());
            relax(~item.second);
            continue;
        }
        size_t j = size_t(item.second);
        if (item.first > reach_[j]) continue;
        if (room_[j] > 0) {
            target = item.second, length = item.first;
            break;
        }
        done_.push_back(item.second);
        for (const Held &h : held_[j])
            if (row_reach_[size_t(h.row)] == kInfinity) {
                row_reach_[size_t(h.row)] = item.first, from_column_[size_t(h.row)] = item.second;
                seen_rows_.push_back(h.row);
                relax(h.row);
            }
    }
    for (int32_t j : done_) columns_.v[size_t(j)] -= length - reach_[size_t(j)];
    for (int32_t i : seen_rows_) u_[size_t(i)] += length - row_reach_[size_t(i)];
    auto share = [&](int32_t j, int32_t i) -> Held & {
        auto &held = held_[size_t(j)];
        auto found = std::find_if(held.begin(), held.end(), [&](const Held &h) { return h.row == i; });
        return found == held.end() ? (held.push_back({i, 0}), held.back()) : *found;
    };
    int64_t amount = std::min(left_[size_t(source)], room_[size_t(target)]);
    for (int32_t i = from_row_[size_t(target)]; i != source; i = from_row_[size_t(from_column_[size_t(i)])])
        amount = std::min(amount, share(from_column_[size_t(i)], i).amount);
    room_[size_t(target)] -= amount, left_[size_t(source)] -= amount;
    for (int32_t j = target;;) {
        int32_t i = from_row_[size_t(j)];
        share(j, i).amount += amount;
        if (i == source) break;
        j = from_column_[size_t(i)];
        Held &less = share(j, i);
        less.amount -= amount;
        if (less.amount == 0) held_[size_t(j)].erase(held_[size_t(j)].begin() + (&less - held_[size_t(j)].data()));
    }
    for (int32_t j : seen_columns_) reach_[size_t(j)] = kInfinity;
    for (int32_t i : seen_rows_) row_reach_[size_t(i)] = kInfinity;
    seen_columns_.clear(), seen_rows_.clear(), done_.clear();
}

}  // namespace

Plan transport(const double *a, const int64_t *supply, size_t N, const double *b, const int64_t *demand, size_t M, bool squared,
               const Effort &effort) {
    if (*std::max_element(demand, demand + M) > 1 || *std::max_element(supply, supply + N) > kMany) return simplex(a, supply, N, b, demand, M, squared, effort);
    Solver solver(a, supply, N, b, demand, M, squared, effort);
    solver.solve();
    return solver.plan();
}

}  // namespace shapetool
