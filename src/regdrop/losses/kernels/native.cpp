// The kernel of regdrop.losses.kernels in C++. Every row is read once from memory for its sums and once from cache for
// the divergence and the gradient. Vectors are the compilers' own extension (g++, clang++): any processor will do.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

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
constexpr int64_t BLOCK = 1024;  // classes worked on at a time, in the first-level cache

struct bfloat16 {
    uint16_t bits;
};

template <class A> struct Vector;  // 64 bytes of the accumulation type, and the numbers that depend on it
template <> struct Vector<float> {
    typedef float V __attribute__((vector_size(64)));
    typedef int32_t I __attribute__((vector_size(64)));
    static constexpr int MANTISSA = 23, TERMS = 6;
    static constexpr float ROUND = 0x1.8p23f, LOWEST = -86, MASKED = -1e30f, UNBOUNDED = 1e19f;
    static constexpr float SERIES[] = {  // of e^r where |r| <= ln(2) / 2, to 2e-9
        1, 1, 0x1.fffffap-2f, 0x1.55540ap-3f, 0x1.55589ap-5f, 0x1.126d1ep-7f, 0x1.6ab96ep-10f};
};
template <> struct Vector<double> {
    typedef double V __attribute__((vector_size(64)));
    typedef int64_t I __attribute__((vector_size(64)));
    static constexpr int MANTISSA = 52, TERMS = 13;
    static constexpr double ROUND = 0x1.8p52, LOWEST = -707, MASKED = -1e300, UNBOUNDED = 1e154;
    static constexpr double SERIES[] = {
        1, 1, 1 / 2., 1 / 6., 1 / 24., 1 / 120., 1 / 720., 1 / 5040., 1 / 40320., 1 / 362880., 1 / 3628800.,
        1 / 39916800., 1 / 479001600., 1 / 6227020800.};
};

// e^x = 2^n e^r for x <= 0, where n is added to the exponent's bits; below LOWEST it is 0.
template <class A> inline typename Vector<A>::V exponential(typename Vector<A>::V x) {
    using C = Vector<A>;
    const typename C::V rounded = x * A(1.4426950408889634) + C::ROUND, n = rounded - C::ROUND;
    const typename C::V r = x - n * A(0.6931471805599453);
    typename C::V sum = r * C::SERIES[C::TERMS] + C::SERIES[C::TERMS - 1];
#pragma GCC unroll 16
    for (int term = C::TERMS - 2; term >= 0; --term) sum = sum * r + C::SERIES[term];
    const typename C::I bits = (typename C::I)sum + ((typename C::I)rounded << C::MANTISSA);
    return x < C::LOWEST ? typename C::V{} : (typename C::V)bits;
}

// Vectors from memory to the accumulation type and back.
typedef uint16_t Half __attribute__((vector_size(32)));
typedef uint32_t Word __attribute__((vector_size(64)));
template <class T> inline typename Vector<T>::V widened(const T *from) {
    typename Vector<T>::V vector;
    std::memcpy(&vector, from, sizeof vector);
    return vector;
}
inline Vector<float>::V widened(const bfloat16 *from) {
    Half half;
    std::memcpy(&half, from, sizeof half);
    return (Vector<float>::V)(__builtin_convertvector(half, Word) << 16);
}
template <class T> inline void narrow(typename Vector<T>::V vector, T *to) { std::memcpy(to, &vector, sizeof vector); }
inline void narrow(Vector<float>::V vector, bfloat16 *to) {  // to the nearest, ties to even
    const Word bits = (Word)vector, rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    const Half half = __builtin_convertvector(vector == vector ? rounded : Word{} + 0x7fc0, Half);
    std::memcpy(to, &half, sizeof half);
}

// One thread's work: T is stored, A is accumulated; PASSES is known to the compiler, or 0.
template <class T, class A, int PASSES> class Worker {
    using C = Vector<A>;
    using V = typename C::V;
    static constexpr int64_t LANES = sizeof(V) / sizeof(A);
    static constexpr A INFINITE = std::numeric_limits<A>::infinity();
    static constexpr int ROOM = PASSES ? PASSES : MOST_PASSES;

    const Rows &rows;
    // The open block, for every pass: where its logits are read and its gradient goes; a last block that is not full
    // lives in `padded` meanwhile. And the target's mass on it, where that is spread over the classes.
    int64_t start, count, vectors;
    const T *source[ROOM];
    T *sink[ROOM], padded[ROOM][BLOCK];
    V mass[BLOCK / LANES];
    // Of one row, for every pass: the largest logit so far, the sums of e^c, of e^c K (c - mean c) and of the target's
    // mass times c, where c = z - peak and the mean is over the passes.
    A peak[ROOM], total[ROOM], moment[ROOM], picked[ROOM];
    bool masked;  // a logit of -inf has been met
    // The target: its class, that class's mass, and the mass of all classes.
    int64_t index;
    A index_mass, total_mass;
    // What the second visit takes from the first, for every block and pass: e^c, and the peak at that time.
    struct Power {
        V values[ROOM][BLOCK / LANES];
        A peak[ROOM];
    };
    std::vector<Power> powers;

public:
    explicit Worker(const Rows &rows) : rows(rows), powers((rows.classes + BLOCK - 1) / BLOCK) {}

    void visit(int64_t item) {
        const A weight = at<A>(rows.weight, item);
        if (weight == 0) return skip(item);
        first_visit(item);
        A task = 0;
        for (int k = 0; k < passes() && total_mass != 0; ++k) task += total_mass * std::log(total[k]) - picked[k];
        const A kl = second_visit(item, weight);
        static_cast<A *>(rows.task)[item] = task > C::UNBOUNDED ? INFINITE : task;
        static_cast<A *>(rows.kl)[item] = kl > C::UNBOUNDED ? INFINITE : kl;
    }

private:
    int passes() const { return PASSES ? PASSES : int(rows.passes); }
    template <class E> static E at(const void *array, int64_t place) { return static_cast<const E *>(array)[place]; }
    const T *logits(int k, int64_t item) const {
        return static_cast<const T *>(rows.logits) + k * rows.logits_pass + item * rows.logits_item;
    }
    T *grad(int k, int64_t item) const {
        return static_cast<T *>(rows.grad) + k * rows.grad_pass + item * rows.grad_item;
    }

    void skip(int64_t item) {
        static_cast<A *>(rows.task)[item] = static_cast<A *>(rows.kl)[item] = 0;
        for (int k = 0; k < passes() && rows.grad; ++k) std::memset(grad(k, item), 0, rows.classes * sizeof(T));
    }

    bool open(int64_t item, int64_t begin) {
        if (begin >= rows.classes) return false;
        start = begin, count = std::min(BLOCK, rows.classes - start), vectors = (count + LANES - 1) / LANES;
        for (int k = 0; k < passes(); ++k) {
            source[k] = logits(k, item) + start;
            sink[k] = rows.grad ? grad(k, item) + start : nullptr;
            if (count == BLOCK) continue;
            narrow(V{} - INFINITE, padded[k] + (vectors - 1) * LANES);
            std::copy_n(source[k], count, padded[k]);
            source[k] = sink[k] = padded[k];
        }
        return true;
    }

    void close(int64_t item) {
        for (int k = 0; k < passes() && rows.grad && count < BLOCK; ++k) std::copy_n(padded[k], count, grad(k, item) + start);
    }

    V load(int k, int64_t v) const { return widened(source[k] + v * LANES); }

    // z - peak. Where -inf can occur (SAFE) it is made finite, since -inf - -inf would be NaN; NaN stays NaN.
    template <bool SAFE> V centred(int k, int64_t v) const {
        const V c = load(k, v) - peak[k];
        return SAFE ? (c < C::MASKED ? V{} + C::MASKED : c) : c;
    }
    bool safe() const { return masked || count < BLOCK; }

    // K (x_k - mean x), from differences: where the passes nearly agree the mean itself would round them away.
    template <class X> X spread(const X *x, int k) const {
        X sum{};
        for (int other = 0; other < passes(); ++other)
            if (other != k) sum += x[k] - x[other];
        return sum;
    }

    static A sum(V vector) {
        A sum = 0;
        for (int lane = 0; lane < LANES; ++lane) sum += vector[lane];
        return sum;
    }

    void first_visit(int64_t item) {
        total_mass = 0, masked = false;
        for (int k = 0; k < passes(); ++k) {
            peak[k] = std::numeric_limits<A>::lowest();
            total[k] = moment[k] = picked[k] = 0;
        }
        for (int64_t begin = 0; open(item, begin); begin += BLOCK) {
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
            for (int64_t v = 0; v < vectors; ++v) most = load(k, v) > most ? load(k, v) : most;
            A top = peak[k];
            for (int lane = 0; lane < LANES; ++lane) top = std::max(top, A(most[lane]));
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
        Power &power = powers[start / BLOCK];
        V totals[ROOM], moments[ROOM];
        for (int k = 0; k < passes(); ++k) totals[k] = moments[k] = V{};
        for (int64_t v = 0; v < vectors; ++v) {
            V c[ROOM];
            for (int k = 0; k < passes(); ++k) c[k] = centred<SAFE>(k, v);
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
    bool spreads() const { return rows.soft_target || (rows.target && rows.label_smoothing); }

    void add_index(int64_t item) {
        index = rows.target[item];
        index_mass = (1 - rows.label_smoothing) * (rows.class_weight ? at<A>(rows.class_weight, index) : 1);
        if (index_mass == 0) return;
        total_mass += index_mass;
        for (int k = 0; k < passes(); ++k) {
            T one[LANES] = {logits(k, item)[index]};
            picked[k] += index_mass * (widened(one)[0] - peak[k]);
        }
    }

    void load_mass(int64_t item) {
        const A smooth = rows.label_smoothing / rows.classes, keep = 1 - rows.label_smoothing;
        for (int64_t v = 0; v < vectors; ++v) {
            V most = load(0, v);  // a class that is masked in every pass gets nothing
            for (int k = 1; k < passes(); ++k) most = load(k, v) > most ? load(k, v) : most;
            mass[v] = most > -INFINITE ? V{} + smooth : V{};
        }
        A *values = reinterpret_cast<A *>(mass);
        for (int64_t j = 0; j < count && rows.soft_target; ++j)
            values[j] += keep * at<A>(rows.soft_target, item * rows.classes + start + j);
        for (int64_t j = 0; j < count && rows.class_weight; ++j) values[j] *= at<A>(rows.class_weight, start + j);
    }

    void add_mass(int64_t item) {
        load_mass(item);
        V masses{};
        for (int64_t v = 0; v < vectors; ++v) masses += mass[v];
        total_mass += sum(masses);
        for (int k = 0; k < passes(); ++k) {
            V product{};
            for (int64_t v = 0; v < vectors; ++v) product += mass[v] * centred<true>(k, v);
            picked[k] += sum(product);
        }
    }

    // (K - 1) kl = sum_k sum_j (p_k - mean p) (s_k - E_p s_k), s = c - mean c, and its gradient with the task's:
    // weight [p (mass + strength (1 + s - E_p s)) - strength mean p - target], strength = alpha / (K - 1).
    A second_visit(int64_t item, A weight) {
        A kl = 0;
        for (int64_t begin = 0; open(item, begin); begin += BLOCK) {
            if (spreads()) load_mass(item);
            const int64_t hit = rows.target && index >= start && index < start + count ? (index - start) / LANES : vectors;
            V target{};
            kl += safe() ? span<true>(0, hit, weight, target) : span<false>(0, hit, weight, target);
            if (hit < vectors) {
                target[(index - start) % LANES] = weight * index_mass;
                kl += span<true>(hit, hit + 1, weight, target);
                kl += safe() ? span<true>(hit + 1, vectors, weight, V{}) : span<false>(hit + 1, vectors, weight, V{});
            }
            close(item);
        }
        return kl / (passes() * passes() * (passes() - 1));
    }

    // Some vectors of the block: K^2 their part of the sum above, and their gradient.
    template <bool SAFE> A span(int64_t first, int64_t last, A weight, V target) {
        const Power &power = powers[start / BLOCK];
        const A strength = weight * rows.alpha / (passes() - 1) / passes();
        const A level = weight * total_mass + strength * passes();
        A scale[ROOM], middle[ROOM];
        for (int k = 0; k < passes(); ++k) {
            scale[k] = std::exp(power.peak[k] - peak[k]) / total[k];
            middle[k] = moment[k] / total[k];
        }
        V distance{};
        for (int64_t v = first; v < last; ++v) {
            V c[ROOM], p[ROOM], rest = target;
            for (int k = 0; k < passes(); ++k) {
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
