// One thread's work where the classes are few: a row in every lane, so that no vector is filled up or added across.

#pragma once

#include <algorithm>
#include <cmath>

#include "block.h"

namespace {

template <class T, class A, int PASSES> class Few : Block<T, A, PASSES> {
    using B = Block<T, A, PASSES>;
    using typename B::C, typename B::V;
    using I = typename C::I;
    using B::at, B::grad, B::INFINITE, B::larger, B::LANES, B::logits, B::passes, B::ROOM, B::rows, B::spread, B::spreads;

    const Shares<A> shares;
    const A unit;  // alpha / ((K - 1) K)
    // Of the rows in the lanes: for every class the target's mass, and for every pass c = z - peak and e^c, which then
    // become the probabilities; what `Sums` calls so; and what one unit of a row's loss adds.
    V masses[B::LANES], c[B::LANES][ROOM], power[B::LANES][ROOM];
    V total[ROOM], moment[ROOM], total_mass, picked, weight;

public:
    static bool takes(const Rows &rows) { return rows.classes <= LANES; }

    Few(const Rows &rows, const Shares<A> &shares)
        : B(rows), shares(shares), unit(rows.alpha / (rows.passes * (rows.passes - 1))) {}

    void visit(int64_t first, int64_t last) {
        for (; first < last; first += LANES) visit_lanes(first, std::min(B::LANES, last - first));
    }

private:
    void visit_lanes(int64_t first, int count) {
        load_rows(first, count);
        load_masses(first, count);
        add();
        const V kl = divergence() / A(passes() * passes() * (passes() - 1));
        write_shares(first, count, kl);
        for (int j = 0; rows.grad && j < rows.classes; ++j) write_grad(first, count, j);
    }

    // The logits into `c`, 0 in lanes without a row, and the weights.
    void load_rows(int64_t first, int count) {
        A lane[LANES] = {};
        for (int i = 0; i < count; ++i) lane[i] = rows.weights ? at(rows.weights, first + i) : rows.weight;
        weight = widened(lane);
        for (int k = 0; k < passes(); ++k)
            for (int64_t j = 0; j < rows.classes; ++j) {
                T column[LANES] = {};
                for (int i = 0; i < count; ++i) column[i] = logits(k, first + i)[j];
                c[j][k] = widened(column);
            }
    }

    // The target's mass: on one class, and where the target is soft or smoothed also spread over all of them.
    void load_masses(int64_t first, int count) {
        const A keep = 1 - rows.label_smoothing, smooth = rows.label_smoothing / rows.classes;
        I index = I{} - 1;
        for (int i = 0; i < count && rows.target; ++i) index[i] = rows.target[first + i];
        total_mass = V{};
        for (int j = 0; j < rows.classes; ++j) {
            V one = index == j ? V{} + keep : V{};
            if (spreads()) {
                V most = c[j][0];  // a class that is masked in every pass gets nothing
                for (int k = 1; k < passes(); ++k) most = larger(most, c[j][k]);
                one += most > -INFINITE ? V{} + smooth : V{};
            }
            for (int i = 0; i < count && rows.soft_target; ++i)
                one[i] += keep * at(rows.soft_target, (first + i) * rows.classes + j);
            masses[j] = rows.class_weight ? one * at(rows.class_weight, j) : one;
            total_mass += masses[j];
        }
    }

    void add() {
        V top[ROOM];
        picked = V{};
        for (int k = 0; k < passes(); ++k) {
            total[k] = moment[k] = V{}, top[k] = V{} + std::numeric_limits<A>::lowest();
            for (int j = 0; j < rows.classes; ++j) top[k] = larger(top[k], c[j][k]);
        }
        for (int j = 0; j < rows.classes; ++j) {
            for (int k = 0; k < passes(); ++k) {
                c[j][k] = B::template centred<true>(c[j][k], top[k]);
                total[k] += power[j][k] = exponential<A>(c[j][k]);
                picked += masses[j] * c[j][k];
            }
            for (int k = 0; k < passes(); ++k) moment[k] += power[j][k] * spread(c[j], k);
        }
    }

    V divergence() {
        V sum{}, share[ROOM];
        for (int k = 0; k < passes(); ++k) share[k] = 1 / total[k], moment[k] *= share[k];
        for (int j = 0; j < rows.classes; ++j) {
            for (int k = 0; k < passes(); ++k) power[j][k] *= share[k];
            for (int k = 0; k < passes(); ++k) sum += spread(power[j], k) * (spread(c[j], k) - moment[k]);
        }
        return sum;
    }

    void write_shares(int64_t first, int count, V kl) {
        V product = total[0];  // at most LANES^K
        for (int k = 1; k < passes(); ++k) product *= total[k];
        for (int i = 0; i < count; ++i) {
            // Where all classes are masked nothing is known.
            const A log = product[i] > 0 ? std::log(product[i]) : std::numeric_limits<A>::quiet_NaN();
            const A cost = total_mass[i] == 0 ? 0 : total_mass[i] * log - picked[i];
            shares.set(first + i, cost, kl[i], weight[i]);
        }
    }

    void write_grad(int64_t first, int count, int j) {
        const V strength = weight * unit, level = weight * total_mass + strength * A(passes());
        V rest = weight * masses[j];
        for (int k = 0; k < passes(); ++k) rest += power[j][k] * strength;
        for (int k = 0; k < passes(); ++k) {
            const V s = spread(c[j], k) - moment[k], full = power[j][k] * (level + strength * s) - rest;
            T column[LANES];
            narrow(weight == 0 ? V{} : full, column);
            for (int i = 0; i < count; ++i) grad(k, first + i)[j] = column[i];
        }
    }
};

}  // namespace
