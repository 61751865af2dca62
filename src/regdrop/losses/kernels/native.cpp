// The kernel of regdrop.losses.kernels in C++. Every row is read once from memory for its sums and once from cache for
// the divergence and the gradient.

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "vectors.h"

extern "C" struct Rows {  // mirrored by native.py
    const void *logits, *weights, *class_weight, *soft_target;
    const int64_t *target;
    void *grad, *shares;  // shares: (2, items)
    int64_t passes, items, classes, logits_pass, logits_item, grad_pass, grad_item;
    double weight, alpha, label_smoothing;  // weight: of every item, where there are no weights
    int64_t threads;
};

namespace {

constexpr int MOST_PASSES = 16;
constexpr int64_t AHEAD = 512;   // how far the gradient's memory is asked for before it is written
constexpr int64_t BLOCK = 1024;  // classes worked on at a time, in the first-level cache

// One thread's work: T is stored, A is accumulated; PASSES is known to the compiler, or 0.
template <class T, class A, int PASSES> class Worker {
    using C = Vector<A>;
    using V = typename C::V;
    static constexpr int64_t LANES = sizeof(V) / sizeof(A);
    static constexpr A INFINITE = std::numeric_limits<A>::infinity();
    static constexpr int ROOM = PASSES ? PASSES : MOST_PASSES;

    struct Power {  // what the second visit of a block takes from the first: e^c, and the peak at that time
        V values[ROOM][BLOCK / LANES];
        A peak[ROOM];
    };
    struct Span {  // neighbouring vectors of a block: where their logits are read and their gradient goes
        int64_t first, last;
        const T *source[ROOM];
        T *sink[ROOM];
    };

    const Rows &rows;
    const std::unique_ptr<Power[]> powers;
    // The open block: its classes, its whole vectors and what is left of them, which lives in `padded` meanwhile; and
    // the target's mass on it where that is spread over the classes.
    int64_t block, start, count;
    Span whole, rest;
    T padded[ROOM][LANES], nothing[LANES];  // nothing: a vector of -inf
    V mass[BLOCK / LANES];
    // Of one row, for every pass: the largest logit so far, and the sums of e^c, of e^c K (c - mean c) and of the
    // target's mass times c, where c = z - peak and the mean is over the passes.
    A peak[ROOM], picked[ROOM];
    V totals[ROOM], moments[ROOM];  // by lane
    A total[ROOM], moment[ROOM];
    bool masked = false;  // whether a logit of -inf was met, in this row or one before
    // The target's class (-1 without), the mass on it, and the mass of all classes.
    int64_t index;
    A index_mass, total_mass;
    // For every pass: what turns e^c into p in the open block, and E_p K (c - mean c). Of all passes: the divergence.
    A scale[ROOM], middle[ROOM];
    V distance;

public:
    explicit Worker(const Rows &rows) : rows(rows), powers(new Power[(rows.classes + BLOCK - 1) / BLOCK]) {
        narrow(V{} - INFINITE, nothing);
    }

    void visit(int64_t item) {
        A &task = static_cast<A *>(rows.shares)[item], &kl = static_cast<A *>(rows.shares)[rows.items + item];
        const A weight = rows.weights ? at(rows.weights, item) : rows.weight;
        task = kl = 0;
        if (weight == 0) {
            for (int k = 0; k < passes() && rows.grad; ++k) std::memset(grad(k, item), 0, rows.classes * sizeof(T));
            return;
        }
        masked = masked || !first_visit<false>(item);
        if (masked) first_visit<true>(item);
        masked ? second_visit<true>(item, weight) : second_visit<false>(item, weight);
        for (int k = 0; k < passes() && total_mass != 0; ++k) task += total_mass * std::log(total[k]) - picked[k];
        kl = sum(distance) / (passes() * passes() * (passes() - 1));
        task = weight * (task > C::UNBOUNDED ? INFINITE : task);
        kl = weight * (kl > C::UNBOUNDED ? INFINITE : kl);
    }

private:
    int passes() const { return PASSES ? PASSES : int(rows.passes); }
    static A at(const void *array, int64_t place) { return static_cast<const A *>(array)[place]; }
    const T *logits(int k, int64_t item) const {
        return static_cast<const T *>(rows.logits) + k * rows.logits_pass + item * rows.logits_item;
    }
    T *grad(int k, int64_t item) const {
        return static_cast<T *>(rows.grad) + k * rows.grad_pass + item * rows.grad_item;
    }

    // Go on to the next block of a row, after `begin()`; false where there is none.
    void begin() { block = -1, start = count = 0; }
    bool next(int64_t item) {
        ++block, start += count, count = std::min(BLOCK, rows.classes - start);
        whole.first = 0, whole.last = rest.first = count / LANES, rest.last = vectors();
        for (int k = 0; k < passes() && count; ++k) {
            whole.source[k] = logits(k, item) + start;
            whole.sink[k] = rows.grad ? grad(k, item) + start : nullptr;
            if (rest.first == rest.last) continue;
            const T *left = whole.source[k] + rest.first * LANES;
            for (int64_t lane = 0; lane < LANES; ++lane) padded[k][lane] = lane < count % LANES ? left[lane] : nothing[0];
            rest.source[k] = rest.sink[k] = padded[k] - rest.first * LANES;
        }
        return count;
    }
    int64_t vectors() const { return (count + LANES - 1) / LANES; }

    static V load(const Span &span, int k, int64_t v) { return widened(span.source[k] + v * LANES); }
    static A sum(V vector) { return folded<A, LANES>(vector, [](auto a, auto b) { return a + b; }); }
    static A largest(V vector) { return folded<A, LANES>(vector, [](auto a, auto b) { return a > b ? a : b; }); }

    // z - peak. Where -inf can occur (SAFE) it is made finite, since -inf - -inf would be NaN; NaN stays NaN.
    template <bool SAFE> V centred(const Span &span, int k, int64_t v) const {
        const V c = load(span, k, v) - peak[k];
        return SAFE ? (c < C::MASKED ? V{} + C::MASKED : c) : c;
    }

    // K (x_k - mean x), from differences: where the passes nearly agree the mean itself would round them away.
    template <class X> X spread(const X *x, int k) const {
        X sum{};
        for (int other = 0; other < passes(); ++other)
            if (other != k) sum += x[k] - x[other];
        return sum;
    }

    // The sums of a row; not SAFE, false where a logit of -inf (or NaN) makes them useless.
    template <bool SAFE> bool first_visit(int64_t item) {
        total_mass = 0, index = -1;
        for (int k = 0; k < passes(); ++k) {
            peak[k] = std::numeric_limits<A>::lowest();
            picked[k] = 0, totals[k] = moments[k] = V{};
        }
        for (begin(); next(item);) {
            raise_peaks();
            add<SAFE>(whole);
            add<true>(rest);
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

    // When a larger logit appears, all sums move to it.
    void raise_peaks() {
        A rise[ROOM];
        for (int k = 0; k < passes(); ++k) {
            V most = V{} + peak[k];
            for (const Span *span : {&whole, &rest})
                for (int64_t v = span->first; v < span->last; ++v) most = larger(most, load(*span, k, v));
            rise[k] = largest(most) - peak[k];
            powers[block].peak[k] = peak[k] = largest(most);
        }
        for (int k = 0; k < passes() && block; ++k) {
            if (sum(totals[k]) == 0) continue;
            const A factor = std::exp(-rise[k]);
            totals[k] *= factor;
            moments[k] = moments[k] * factor - totals[k] * spread(rise, k);
            picked[k] -= total_mass * rise[k];
        }
    }
    static V larger(V most, V z) { return z > most ? z : most; }

    // Add some vectors to the sums; a block's are added up on their own first, for the digits of long rows.
    template <bool SAFE> void add(const Span &span) {
        Power &power = powers[block];
        V sums[ROOM], products[ROOM];
        for (int k = 0; k < passes(); ++k) sums[k] = products[k] = V{};
        for (int64_t v = span.first; v < span.last; ++v) {
            V c[ROOM];
            for (int k = 0; k < passes(); ++k) {
                __builtin_prefetch(span.source[k] + count + v * LANES);  // the next block, or the next row
                c[k] = centred<SAFE>(span, k, v);
            }
            for (int k = 0; k < passes(); ++k) {
                const V e = power.values[k][v] = exponential<A>(c[k]);
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

    bool spreads() const { return rows.soft_target || (rows.target && rows.label_smoothing); }

    void load_mass(int64_t item) {
        const A smooth = rows.label_smoothing / rows.classes, keep = 1 - rows.label_smoothing;
        for (const Span *span : {&whole, &rest})
            for (int64_t v = span->first; v < span->last; ++v) {
                V most = load(*span, 0, v);  // a class that is masked in every pass gets nothing
                for (int k = 1; k < passes(); ++k) most = larger(most, load(*span, k, v));
                mass[v] = most > -INFINITE ? V{} + smooth : V{};
            }
        for (int64_t j = 0; j < count; ++j) {
            A one = mass[j / LANES][j % LANES];
            if (rows.soft_target) one += keep * at(rows.soft_target, item * rows.classes + start + j);
            mass[j / LANES][j % LANES] = rows.class_weight ? one * at(rows.class_weight, start + j) : one;
        }
    }

    void add_mass(int64_t item) {
        load_mass(item);
        V masses{};
        for (int64_t v = 0; v < vectors(); ++v) masses += mass[v];
        total_mass += sum(masses);
        for (int k = 0; k < passes(); ++k) {
            V product{};
            for (const Span *span : {&whole, &rest})
                for (int64_t v = span->first; v < span->last; ++v) product += mass[v] * centred<true>(*span, k, v);
            picked[k] += sum(product);
        }
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
            write<SAFE>(whole, weight);
            write<true>(rest, weight);
            for (int k = 0; k < passes() && rows.grad && rest.first < rest.last; ++k) {
                T *left = grad(k, item) + start + rest.first * LANES;
                for (int64_t lane = 0; lane < LANES; ++lane)
                    if (lane < count % LANES) left[lane] = padded[k][lane];
            }
        }
    }

    // Write the gradient of some vectors: those before the target's class, that one, and those after it.
    template <bool SAFE> void write(const Span &span, A weight) {
        const int64_t place = index - start, hit = place < 0 ? span.last : std::min(place / LANES, span.last);
        if (hit < span.first) return write<SAFE>(span, span.first, span.last, weight, V{});
        write<SAFE>(span, span.first, hit, weight, V{});
        if (hit == span.last) return;
        V target{};
        target[place % LANES] = weight * index_mass;
        write<SAFE>(span, hit, hit + 1, weight, target);
        write<SAFE>(span, hit + 1, span.last, weight, V{});
    }

    template <bool SAFE> void write(const Span &span, int64_t first, int64_t last, A weight, V target) {
        const Power &power = powers[block];
        const A strength = weight * rows.alpha / (passes() - 1) / passes();
        const A level = weight * total_mass + strength * passes();
        V far = distance;
        for (int64_t v = first; v < last; ++v) {
            V c[ROOM], p[ROOM], rest = target;
            for (int k = 0; k < passes(); ++k) {
                if (rows.grad) __builtin_prefetch(span.sink[k] + AHEAD + v * LANES, 1);
                c[k] = centred<SAFE>(span, k, v);
                p[k] = power.values[k][v] * scale[k];
                rest += p[k] * strength;
            }
            if (spreads()) rest += weight * mass[v];
            for (int k = 0; k < passes(); ++k) {
                const V s = spread(c, k) - middle[k];
                far += spread(p, k) * s;
                if (rows.grad) narrow(p[k] * (level + strength * s) - rest, span.sink[k] + v * LANES);
            }
        }
        distance = far;
    }
};

template <class T, class A, int PASSES> void all_rows(const Rows &rows) {
    const int64_t elements = rows.passes * rows.classes, share = elements < 16384 ? 16384 / elements : 1;
#pragma omp parallel num_threads(rows.threads) if (rows.items > share)
    {
        Worker<T, A, PASSES> worker(rows);
#pragma omp for schedule(dynamic, share)
        for (int64_t item = 0; item < rows.items; ++item) worker.visit(item);
    }
}

template <class T, class A> void any_passes(const Rows &rows) {
    rows.passes == 2 ? all_rows<T, A, 2>(rows) : all_rows<T, A, 0>(rows);
}

}  // namespace

extern "C" void regdrop_float32(const Rows *rows) { any_passes<float, float>(*rows); }
extern "C" void regdrop_float64(const Rows *rows) { any_passes<double, double>(*rows); }
extern "C" void regdrop_bfloat16(const Rows *rows) { any_passes<bfloat16, float>(*rows); }
