// The kernel of regdrop.losses.kernels in C++. Every row is read once from memory for its sums and once from cache for
// the divergence and the gradient.

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "vectors.h"

extern "C" struct Rows {  // mirrored by native.py
    const void *logits, *weight, *class_weight, *soft_target;
    const int64_t *target;
    void *grad, *task, *kl;
    int64_t passes, items, classes, logits_pass, logits_item, grad_pass, grad_item;
    double alpha, label_smoothing;
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

    const Rows &rows;
    const std::unique_ptr<Power[]> powers;
    // The open block, for every pass: where its logits are read and its gradient goes (a last one, smaller than a
    // vector, lives in `padded` meanwhile), and the target's mass on it where that is spread over the classes.
    int64_t block, start, count, vectors;
    const T *source[ROOM];
    T *sink[ROOM], padded[ROOM][LANES];
    V mass[BLOCK / LANES];
    // Of one row, for every pass: the largest logit so far, and the sums of e^c, of e^c K (c - mean c) and of the
    // target's mass times c, where c = z - peak and the mean is over the passes; whether a logit of -inf was met.
    A peak[ROOM], total[ROOM], moment[ROOM], picked[ROOM];
    bool masked;
    // The target's class (-1 without), the mass on it, and the mass of all classes.
    int64_t index;
    A index_mass, total_mass;

public:
    explicit Worker(const Rows &rows) : rows(rows), powers(new Power[rows.classes / BLOCK + 2]) {}

    void visit(int64_t item) {
        A &task = static_cast<A *>(rows.task)[item], &kl = static_cast<A *>(rows.kl)[item];
        const A weight = at(rows.weight, item);
        task = kl = 0;
        if (weight == 0) {
            for (int k = 0; k < passes() && rows.grad; ++k) std::memset(grad(k, item), 0, rows.classes * sizeof(T));
            return;
        }
        first_visit(item);
        for (int k = 0; k < passes() && total_mass != 0; ++k) task += total_mass * std::log(total[k]) - picked[k];
        kl = second_visit(item, weight);
        if (task > C::UNBOUNDED) task = INFINITE;
        if (kl > C::UNBOUNDED) kl = INFINITE;
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
        if (count >= LANES) count -= count % LANES;
        vectors = (count + LANES - 1) / LANES;
        for (int k = 0; k < passes() && count; ++k) {
            source[k] = logits(k, item) + start;
            sink[k] = rows.grad ? grad(k, item) + start : nullptr;
            if (count >= LANES) continue;
            narrow(V{} - INFINITE, padded[k]);
            std::copy_n(source[k], count, padded[k]);
            source[k] = sink[k] = padded[k];
        }
        return count;
    }

    V load(int k, int64_t v) const { return widened(source[k] + v * LANES); }
    V larger(V most, int k, int64_t v) const { const V z = load(k, v); return z > most ? z : most; }

    // z - peak. Where -inf can occur (SAFE) it is made finite, since -inf - -inf would be NaN; NaN stays NaN.
    template <bool SAFE> V centred(int k, int64_t v) const {
        const V c = load(k, v) - peak[k];
        return SAFE ? (c < C::MASKED ? V{} + C::MASKED : c) : c;
    }
    bool safe() const { return masked || count < LANES; }

    // K (x_k - mean x), from differences: where the passes nearly agree the mean itself would round them away.
    template <class X> X spread(const X *x, int k) const {
        X sum{};
        for (int other = 0; other < passes(); ++other)
            if (other != k) sum += x[k] - x[other];
        return sum;
    }

    template <class Combine> static A reduced(V vector, Combine combine) {
        for (int64_t width = LANES / 2; width; width /= 2)
            for (int64_t lane = 0; lane < width; ++lane) vector[lane] = combine(vector[lane], vector[lane + width]);
        return vector[0];
    }
    static A sum(V vector) { return reduced(vector, [](A a, A b) { return a + b; }); }

    void first_visit(int64_t item) {
        total_mass = 0, masked = false, index = -1;
        for (int k = 0; k < passes(); ++k) {
            peak[k] = std::numeric_limits<A>::lowest();
            total[k] = moment[k] = picked[k] = 0;
        }
        for (begin(); next(item);) {
            raise_peaks();
            if (safe() || !add_block<false>()) add_block<true>();
            if (spreads()) add_mass(item);
        }
        if (rows.target) add_index(item);
    }

    // When a larger logit appears, all sums move to it.
    void raise_peaks() {
        A rise[ROOM];
        for (int k = 0; k < passes(); ++k) {
            V most = V{} + peak[k];
            for (int64_t v = 0; v < vectors; ++v) most = larger(most, k, v);
            const A top = reduced(most, [](A a, A b) { return a > b ? a : b; });
            rise[k] = top - peak[k];
            peak[k] = top;
        }
        for (int k = 0; k < passes(); ++k) {
            if (total[k] == 0) continue;
            total[k] *= std::exp(-rise[k]);
            moment[k] = moment[k] * std::exp(-rise[k]) - total[k] * spread(rise, k);
            picked[k] -= total_mass * rise[k];
        }
    }

    // Add the block to the sums; not SAFE, a logit of -inf is only found out, and nothing added.
    template <bool SAFE> bool add_block() {
        Power &power = powers[block];
        V totals[ROOM], moments[ROOM];
        for (int k = 0; k < passes(); ++k) totals[k] = moments[k] = V{};
        for (int64_t v = 0; v < vectors; ++v) {
            V c[ROOM];
            for (int k = 0; k < passes(); ++k) {
                __builtin_prefetch(source[k] + count + v * LANES);  // the next block, or the next row
                c[k] = centred<SAFE>(k, v);
            }
            for (int k = 0; k < passes(); ++k) {
                const V e = power.values[k][v] = exponential<A>(c[k]);
                totals[k] += e;
                moments[k] += e * spread(c, k);
            }
        }
        for (int k = 0; k < passes() && !SAFE; ++k) masked |= !std::isfinite(sum(moments[k]));
        for (int k = 0; k < passes() && (SAFE || !masked); ++k) {
            power.peak[k] = peak[k];
            total[k] += sum(totals[k]);
            moment[k] += sum(moments[k]);
        }
        return !masked;
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
        for (int64_t v = 0; v < vectors; ++v) {
            V most = load(0, v);  // a class that is masked in every pass gets nothing
            for (int k = 1; k < passes(); ++k) most = larger(most, k, v);
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
        for (int k = 0; k < passes(); ++k) {
            V product{};
            for (int64_t v = 0; v < vectors; ++v) product += mass[v] * centred<true>(k, v);
            picked[k] += sum(product);
        }
        V masses{};
        for (int64_t v = 0; v < vectors; ++v) masses += mass[v];
        total_mass += sum(masses);
    }

    // (K - 1) kl = sum_k sum_j (p_k - mean p) (s_k - E_p s_k), s = c - mean c, and its gradient with the task's:
    // weight [p (mass + strength (1 + s - E_p s)) - strength mean p - target], strength = alpha / (K - 1).
    A second_visit(int64_t item, A weight) {
        A kl = 0;
        for (begin(); next(item);) {
            if (spreads()) load_mass(item);
            const int64_t place = index - start, hit = place >= 0 && place < count ? place / LANES : vectors;
            V target{};
            kl += part(0, hit, weight, target);
            if (hit < vectors) {
                target[place % LANES] = weight * index_mass;
                kl += part(hit, hit + 1, weight, target) + part(hit + 1, vectors, weight, V{});
            }
            for (int k = 0; k < passes() && rows.grad && count < LANES; ++k)
                std::copy_n(padded[k], count, grad(k, item) + start);
        }
        return kl / (passes() * passes() * (passes() - 1));
    }

    A part(int64_t first, int64_t last, A weight, V target) {
        if (first == last) return 0;
        return safe() ? part<true>(first, last, weight, target) : part<false>(first, last, weight, target);
    }

    // Some vectors of the block: K^2 their share of the sum above, and their gradient.
    template <bool SAFE> A part(int64_t first, int64_t last, A weight, V target) {
        const Power &power = powers[block];
        const A strength = weight * rows.alpha / (passes() - 1) / passes();
        const A level = weight * total_mass + strength * passes();
        A scale[ROOM], middle[ROOM];
        for (int k = 0; k < passes(); ++k) {
            scale[k] = (power.peak[k] == peak[k] ? 1 : std::exp(power.peak[k] - peak[k])) / total[k];
            middle[k] = moment[k] / total[k];
        }
        V distance{};
        for (int64_t v = first; v < last; ++v) {
            V c[ROOM], p[ROOM], rest = target;
            for (int k = 0; k < passes(); ++k) {
                if (rows.grad) __builtin_prefetch(sink[k] + AHEAD + v * LANES, 1);
                c[k] = centred<SAFE>(k, v);
                p[k] = power.values[k][v] * scale[k];
                rest += p[k] * strength;
            }
            if (spreads()) rest += weight * mass[v];
            for (int k = 0; k < passes(); ++k) {
                const V s = spread(c, k) - middle[k];
                distance += spread(p, k) * s;
                if (rows.grad) narrow(p[k] * (level + strength * s) - rest, sink[k] + v * LANES);
            }
        }
        return sum(distance);
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
