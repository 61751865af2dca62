// The sums of one row: what its probabilities, its divergence and its target's cost are made of.

#pragma once

#include <cmath>
#include <memory>

#include "block.h"

namespace {

template <class T, class A, int PASSES> class Sums : protected Block<T, A, PASSES> {
protected:
    using B = Block<T, A, PASSES>;
    using typename B::Span, typename B::V;
    using B::at, B::begin, B::block, B::count, B::larger, B::largest, B::LANES, B::load, B::load_mass;
    using B::logits, B::mass, B::next, B::passes, B::rest, B::ROOM, B::rows, B::spread, B::spreads, B::sum, B::vectors;
    using B::whole;

    struct Power {  // what the second visit of a block takes from the first: e^c, and the peak at that time
        V values[ROOM][BLOCK / LANES];
        A peak[ROOM];
    };

    const std::unique_ptr<Power[]> powers;
    // For every pass: the largest logit so far, and the sums of e^c, of e^c K (c - mean c) and of the target's mass
    // times c, where c = z - peak and the mean is over the passes.
    A peak[ROOM], total[ROOM], moment[ROOM], picked[ROOM];
    V totals[ROOM], moments[ROOM];  // two of them by lane
    // The target's class (-1 without), the mass on it, and the mass of all classes.
    int64_t index;
    A index_mass, total_mass;

    explicit Sums(const Rows &rows) : B(rows), powers(new Power[(rows.classes + BLOCK - 1) / BLOCK]) {}

    // The sums of a row; not SAFE, false where a logit of -inf (or NaN) makes them useless.
    template <bool SAFE> bool first_visit(int64_t item) {
        total_mass = 0, index = -1;
        for (int k = 0; k < passes(); ++k) {
            peak[k] = std::numeric_limits<A>::lowest();
            picked[k] = 0, totals[k] = moments[k] = V{};
        }
        for (begin(); next(item);) {
            raise_peaks();
            if (whole.last) add<SAFE>(whole);
            if (rest.first < rest.last) add<true>(rest);
            if (spreads()) add_mass(item);
        }
        if (rows.target) add_index(item);
        bool finite = true;
        for (int k = 0; k < passes(); ++k) {
            total[k] = sum(totals[k]), moment[k] = sum(moments[k]);
            finite &= std::isfinite(moment[k]);
        }
        return finite;
    }

private:
    // When a larger logit appears, all sums move to it.
    void raise_peaks() {
        A rise[ROOM];
        V most[ROOM];
        for (int k = 0; k < passes(); ++k) most[k] = V{} + peak[k];
        for (const Span *span : {&whole, &rest})
            for (int64_t v = span->first; v < span->last; ++v)
                for (int k = 0; k < passes(); ++k) most[k] = larger(most[k], load(*span, k, v));
        for (int k = 0; k < passes(); ++k) {
            const A top = largest(most[k]);
            rise[k] = top - peak[k];
            powers[block].peak[k] = peak[k] = top;
        }
        for (int k = 0; k < passes() && block; ++k) {
            if (sum(totals[k]) == 0) continue;
            const A factor = std::exp(-rise[k]);
            totals[k] *= factor;
            moments[k] = moments[k] * factor - totals[k] * spread(rise, k);
            picked[k] -= total_mass * rise[k];
        }
    }

    // Add some vectors to the sums; a block's are added up on their own first, for the digits of long rows.
    template <bool SAFE> void add(const Span &span) {
        V *power[ROOM], sums[ROOM], products[ROOM], tops[ROOM];
        for (int k = 0; k < passes(); ++k) {
            sums[k] = products[k] = V{}, tops[k] = V{} + peak[k];
            power[k] = powers[block].values[k];
        }
        const int64_t ahead = count;
        for (int64_t v = span.first; v < span.last; ++v) {
            V c[ROOM];
            for (int k = 0; k < passes(); ++k) {
                __builtin_prefetch(span.source[k] + ahead + v * LANES);  // the next block, or the next row
                c[k] = B::template centred<SAFE>(load(span, k, v), tops[k]);
            }
            for (int k = 0; k < passes(); ++k) {
                const V e = power[k][v] = exponential<A>(c[k]);
                sums[k] += e;
                products[k] += e * spread(c, k);
            }
        }
        for (int k = 0; k < passes(); ++k) totals[k] += sums[k], moments[k] += products[k];
    }

    // The target's mass: on one class, and where the target is soft or smoothed also spread over all of them.
    void add_index(int64_t item) {
        index = rows.target[item];
        index_mass = (1 - rows.label_smoothing) * (rows.class_weight ? at(rows.class_weight, index) : 1);
        total_mass += index_mass;
        for (int k = 0; k < passes() && index_mass != 0; ++k) {
            const T one[LANES] = {logits(k, item)[index]};
            picked[k] += index_mass * (widened(one)[0] - peak[k]);
        }
    }

    void add_mass(int64_t item) {
        load_mass(item);
        V masses{};
        for (int64_t v = 0; v < vectors(); ++v) masses += mass[v];
        total_mass += sum(masses);
        for (int k = 0; k < passes(); ++k) {
            V product{};
            const V top = V{} + peak[k];
            for (const Span *span : {&whole, &rest})
                for (int64_t v = span->first; v < span->last; ++v)
                    product += mass[v] * B::template centred<true>(load(*span, k, v), top);
            picked[k] += sum(product);
        }
    }
};

}  // namespace
