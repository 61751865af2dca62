// Some neighbouring classes of one row, in all passes, as vectors; and the target's mass on them.

#pragma once

#include <algorithm>
#include <limits>

#include "rows.h"
#include "vectors.h"

namespace {

constexpr int MOST_PASSES = 16;
constexpr int64_t BLOCK = 1024;  // classes worked on at a time, in the first-level cache

// What every item adds to the task loss and to the divergence.
template <class A> struct Shares {
    A *task, *kl;

    // Sums over classes of one item; a class masked in one pass and not in another makes the true value infinite.
    void set(int64_t item, A item_task, A item_kl, A weight) const {
        constexpr A LARGEST = Vector<A>::UNBOUNDED, INFINITE = std::numeric_limits<A>::infinity();
        task[item] = weight == 0 ? 0 : weight * (item_task > LARGEST ? INFINITE : item_task);
        kl[item] = weight == 0 ? 0 : weight * (item_kl > LARGEST ? INFINITE : item_kl);
    }
};

// T is stored, A is accumulated; PASSES is known to the compiler, or 0.
template <class T, class A, int PASSES> class Block {
protected:
    using C = Vector<A>;
    using V = typename C::V;
    static constexpr int64_t LANES = sizeof(V) / sizeof(A);
    static constexpr A INFINITE = std::numeric_limits<A>::infinity();
    static constexpr int ROOM = PASSES ? PASSES : MOST_PASSES;

    struct Span {  // neighbouring vectors of a block: where their logits are read and their gradient goes
        int64_t first, last;
        const T *source[ROOM];
        T *sink[ROOM];
    };

    const Rows &rows;
    // The open block: its classes, its whole vectors and what is left of them, which lives in `padded` meanwhile; and
    // the target's mass on it where that is spread over the classes.
    int64_t block, start, count;
    Span whole, rest;
    T padded[ROOM][LANES], nothing[LANES];  // nothing: a vector of -inf
    V mass[BLOCK / LANES];

    explicit Block(const Rows &rows) : rows(rows) { narrow(V{} - INFINITE, nothing); }

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
            pad(left, logits(k, rows.items - 1) + rows.classes, padded[k]);
            rest.source[k] = rest.sink[k] = padded[k] - rest.first * LANES;
        }
        return count;
    }
    // What is left of the vectors, and -inf behind it. A vector put together of numbers would have to wait for them: where
    // another row follows before `end`, a whole one is read.
    void pad(const T *left, const T *end, T *vector) const {
        const int filled = count % LANES;
        if (left + LANES <= end) return narrow(lanes<A>() < filled ? widened(left) : V{} - INFINITE, vector);
        std::memcpy(vector, nothing, sizeof nothing);
        std::memcpy(vector, left, filled * sizeof(T));
    }
    int64_t vectors() const { return (count + LANES - 1) / LANES; }

    // Bring the gradient of what is left of the vectors from `padded` to its place.
    void write_rest(int64_t item) {
        for (int k = 0; k < passes() && rows.grad; ++k) {
            T *left = grad(k, item) + start + rest.first * LANES;
            std::memcpy(left, padded[k], count % LANES * sizeof(T));
        }
    }

    static V load(const Span &span, int k, int64_t v) { return widened(span.source[k] + v * LANES); }
    static A sum(V vector) { return folded<A, LANES>(vector, [](auto a, auto b) { return a + b; }); }
    static A largest(V vector) { return folded<A, LANES>(vector, [](auto a, auto b) { return a > b ? a : b; }); }
    static V larger(V most, V z) { return z > most ? z : most; }

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

    // z - peak. Where -inf can occur (SAFE) it is made finite, since -inf - -inf would be NaN; NaN stays NaN.
    template <bool SAFE> static V centred(V z, V top) {
        const V c = z - top;
        return SAFE ? (c < C::MASKED ? V{} + C::MASKED : c) : c;
    }

    // K (x_k - mean x), from differences: where the passes nearly agree the mean itself would round them away.
    template <class X> X spread(const X *x, int k) const {
        if (PASSES == 2) return x[k] - x[1 - k];
        X sum{};
        for (int other = 0; other < passes(); ++other)
            if (other != k) sum += x[k] - x[other];
        return sum;
    }
};

}  // namespace
