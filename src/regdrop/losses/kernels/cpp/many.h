// One thread's work where the classes are many: row by row the sums, then divergence and gradient.

#pragma once

#include <cstring>

#include "sums.h"

namespace {

constexpr int64_t AHEAD = 512;  // how far the gradient's memory is asked for before it is written

template <class T, class A, int PASSES> class Many : Sums<T, A, PASSES> {
    using B = Sums<T, A, PASSES>;
    using typename B::C, typename B::Span, typename B::V;
    using B::at, B::begin, B::block, B::grad, B::index, B::index_mass, B::LANES;
    using B::load, B::load_mass, B::mass, B::moment, B::next, B::passes, B::peak, B::picked, B::powers, B::rest, B::ROOM;
    using B::rows, B::spread, B::spreads, B::start, B::sum, B::total, B::total_mass, B::whole, B::write_rest;

    const Shares<A> shares;
    const A unit;  // alpha / ((K - 1) K)
    bool masked = false;  // whether a logit of -inf was met, in this row or one before
    // For every pass: what turns e^c into p in the open block, and E_p K (c - mean c). Of all passes: the divergence.
    A scale[ROOM], middle[ROOM];
    V distance;

public:
    Many(const Rows &rows, const Shares<A> &shares)
        : B(rows), shares(shares), unit(rows.alpha / (rows.passes * (rows.passes - 1))) {}

    void visit(int64_t first, int64_t last) {
        for (; first < last; ++first) visit_row(first);
    }

private:
    void visit_row(int64_t item) {
        const A weight = rows.weights ? at(rows.weights, item) : rows.weight;
        if (weight == 0) {
            shares.set(item, 0, 0, 0);
            for (int k = 0; k < passes() && rows.grad; ++k) std::memset(grad(k, item), 0, rows.classes * sizeof(T));
            return;
        }
        masked = masked || !B::template first_visit<false>(item);
        if (masked) B::template first_visit<true>(item);
        masked ? second_visit<true>(item, weight) : second_visit<false>(item, weight);
        A task = 0;
        for (int k = 0; k < passes() && total_mass != 0; ++k) task += total_mass * std::log(total[k]) - picked[k];
        shares.set(item, task, sum(distance) / (passes() * passes() * (passes() - 1)), weight);
    }

    // (K - 1) kl = sum_k sum_j (p_k - mean p) (s_k - E_p s_k), s = c - mean c, and its gradient with the task's:
    // weight [p (mass + strength (1 + s - E_p s)) - strength mean p - target], strength = alpha / (K - 1).
    template <bool SAFE> void second_visit(int64_t item, A weight) {
        A share[ROOM];
        distance = V{};
        for (int k = 0; k < passes(); ++k) share[k] = 1 / total[k], middle[k] = moment[k] * share[k];
        for (begin(); next(item);) {
            for (int k = 0; k < passes(); ++k) {
                const A rise = peak[k] - powers[block].peak[k];
                scale[k] = rise == 0 ? share[k] : share[k] * std::exp(-rise);
            }
            if (spreads()) load_mass(item);
            if (whole.last) write<SAFE>(whole, weight);
            if (rest.first == rest.last) continue;
            write<true>(rest, weight);
            write_rest(item);
        }
    }

    // Write the gradient of some vectors; one of them may hold the target's class.
    template <bool SAFE> void write(const Span &span, A weight) {
        const int64_t place = index - start, hit = place < 0 ? -1 : place / LANES;
        const V target = lanes<A>() == int(place % LANES) ? V{} + weight * index_mass : V{};
        const bool writes = rows.grad, dense = spreads();
        V *power[ROOM], tops[ROOM], scales[ROOM], middles[ROOM];
        for (int k = 0; k < passes(); ++k) {
            power[k] = powers[block].values[k];
            tops[k] = V{} + peak[k], scales[k] = V{} + scale[k], middles[k] = V{} + middle[k];
        }
        const A strength = weight * unit;
        const A level = weight * total_mass + strength * passes();
        V far = distance;
        for (int64_t v = span.first; v < span.last; ++v) {
            V c[ROOM], p[ROOM], rest = v == hit ? target : V{};
            for (int k = 0; k < passes(); ++k) {
                if (writes) __builtin_prefetch(span.sink[k] + AHEAD + v * LANES, 1);
                c[k] = B::template centred<SAFE>(load(span, k, v), tops[k]);
                p[k] = power[k][v] * scales[k];
                rest += p[k] * strength;
            }
            if (dense) rest += weight * mass[v];
            for (int k = 0; k < passes(); ++k) {
                const V s = spread(c, k) - middles[k];
                far += spread(p, k) * s;
                if (writes) narrow(p[k] * (level + strength * s) - rest, span.sink[k] + v * LANES);
            }
        }
        distance = far;
    }
};

}  // namespace
