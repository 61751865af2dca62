// The kernel of regdrop.losses.kernels in C++: every row is read once for the values and once, from cache, for the
// gradient. Vectors are the compilers' own extension (g++, clang++), so the code is the same for every processor.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

namespace {

constexpr int MOST_PASSES = 16;
constexpr int64_t BLOCK = 512;  // classes worked on at a time, in the first-level cache

struct bfloat16 {
    uint16_t bits;
};

template <class A> struct Vector;  // 64 bytes of the accumulation type, and the numbers that depend on it
template <> struct Vector<float> {
    typedef float V __attribute__((vector_size(64)));
    typedef int32_t I __attribute__((vector_size(64)));
    static constexpr int MANTISSA = 23, TERMS = 6;
    static constexpr float ROUND = 0x1.8p23f + 127, LOWEST = -87.3f, MASKED = -1e30f, UNBOUNDED = 1e19f;
    static constexpr float SERIES[] = {  // of e^r where |r| <= ln(2) / 2, to 2e-9
        1, 1, 0x1.fffffap-2f, 0x1.55540ap-3f, 0x1.55589ap-5f, 0x1.126d1ep-7f, 0x1.6ab96ep-10f};
};
template <> struct Vector<double> {
    typedef double V __attribute__((vector_size(64)));
    typedef int64_t I __attribute__((vector_size(64)));
    static constexpr int MANTISSA = 52, TERMS = 13;
    static constexpr double ROUND = 0x1.8p52 + 1023, LOWEST = -708.3, MASKED = -1e300, UNBOUNDED = 1e154;
    static constexpr double SERIES[] = {
        1, 1, 1 / 2., 1 / 6., 1 / 24., 1 / 120., 1 / 720., 1 / 5040., 1 / 40320., 1 / 362880., 1 / 3628800.,
        1 / 39916800., 1 / 479001600., 1 / 6227020800.};
};

// e^x = 2^n e^r for x <= 0; below LOWEST it is 0.
template <class A> inline typename Vector<A>::V exponential(typename Vector<A>::V x) {
    using C = Vector<A>;
    const typename C::V rounded = x * A(1.4426950408889634) + C::ROUND, n = rounded - C::ROUND;
    const typename C::V r = x - n * A(0.6931471805599453);
    typename C::V sum = r * C::SERIES[C::TERMS] + C::SERIES[C::TERMS - 1];
#pragma GCC unroll 16
    for (int term = C::TERMS - 2; term >= 0; --term) sum = sum * r + C::SERIES[term];
    const typename C::V power = (typename C::V)((typename C::I)rounded << C::MANTISSA);
    return x < C::LOWEST ? typename C::V{} : sum * power;
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
inline float one(float x) { return x; }
inline double one(double x) { return x; }
inline float one(bfloat16 x) {
    const uint32_t bits = uint32_t(x.bits) << 16;
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}
template <class T> inline void narrow(typename Vector<T>::V vector, T *to) { std::memcpy(to, &vector, sizeof vector); }
inline void narrow(Vector<float>::V vector, bfloat16 *to) {  // to the nearest, ties to even
    const Word bits = (Word)vector, rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    const Half half = __builtin_convertvector(vector == vector ? rounded : Word{} + 0x7fc0, Half);
    std::memcpy(to, &half, sizeof half);
}

}  // namespace

extern "C" struct Rows {  // mirrored by native.py
    const void *logits, *weight, *class_weight, *soft_target;
    const int64_t *target;
    void *grad, *task, *kl;
    int64_t passes, items, classes, logits_pass, logits_item, grad_pass, grad_item;
    double alpha, label_smoothing;
    int64_t threads;
};

namespace {

// One thread's work: T is stored, A is accumulated; PASSES is known to the compiler, or 0.
template <class T, class A, int PASSES> class Worker {
    using C = Vector<A>;
    using V = typename C::V;
    static constexpr int64_t LANES = sizeof(V) / sizeof(A);
    static constexpr A INFINITE = std::numeric_limits<A>::infinity();
    static constexpr int ROOM = PASSES ? PASSES : MOST_PASSES;

    const Rows &rows;
    // One block of classes: where its logits are read and its gradient goes, for every pass; a last block that is not
    // full lives in `padded` meanwhile. The target's mass on it, where that is spread over the classes.
    const T *source[ROOM];
    T *sink[ROOM];
    alignas(64) T padded[ROOM][BLOCK];
    V mass[BLOCK / LANES];
    // Of one row, for every pass: the largest logit so far, and the sums of e^(z - peak), of the same times s, and of
    // the target's mass times z - peak, where s is z - peak less its mean over the passes.
    A peak[ROOM], total[ROOM], moment[ROOM], picked[ROOM];
    // The target: its class, that class's mass, and the mass of all classes.
    int64_t index;
    A index_mass, total_mass;

public:
    explicit Worker(const Rows &rows) : rows(rows) {}

    void row(int64_t item) {
        const A weight = static_cast<const A *>(rows.weight)[item];
        if (weight == 0) return skip(item);
        sums(item);
        A task = 0;
        for (int k = 0; k < passes() && total_mass != 0; ++k) task += total_mass * std::log(total[k]) - picked[k];
        const A kl = divergence(item, weight);
        static_cast<A *>(rows.task)[item] = task > C::UNBOUNDED ? INFINITE : task;
        static_cast<A *>(rows.kl)[item] = kl > C::UNBOUNDED ? INFINITE : kl;
    }

private:
    int passes() const { return PASSES ? PASSES : int(rows.passes); }
    const T *row(int pass, int64_t item) const {
        return static_cast<const T *>(rows.logits) + pass * rows.logits_pass + item * rows.logits_item;
    }
    T *grad(int pass, int64_t item) const {
        return static_cast<T *>(rows.grad) + pass * rows.grad_pass + item * rows.grad_item;
    }

    void skip(int64_t item) {
        static_cast<A *>(rows.task)[item] = static_cast<A *>(rows.kl)[item] = 0;
        for (int k = 0; k < passes() && rows.grad; ++k) std::memset(grad(k, item), 0, rows.classes * sizeof(T));
    }

    // Begin a block; returns its number of vectors.
    int64_t open(int64_t item, int64_t start) {
        const int64_t count = std::min(BLOCK, rows.classes - start), vectors = (count + LANES - 1) / LANES;
        for (int k = 0; k < passes(); ++k) {
            source[k] = row(k, item) + start;
            sink[k] = rows.grad ? grad(k, item) + start : nullptr;
            if (count == BLOCK) continue;
            narrow(V{} - INFINITE, padded[k] + (vectors - 1) * LANES);
            std::copy_n(source[k], count, padded[k]);
            source[k] = sink[k] = padded[k];
        }
        return vectors;
    }

    void close(int64_t item, int64_t start) {
        const int64_t count = std::min(BLOCK, rows.classes - start);
        for (int k = 0; k < passes() && rows.grad && count < BLOCK; ++k) std::copy_n(padded[k], count, grad(k, item) + start);
    }

    V logits(int k, int64_t vector) const { return widened(source[k] + vector * LANES); }

    V centred(int k, int64_t vector) const {  // NaN stays NaN
        const V c = logits(k, vector) - peak[k];
        return c < C::MASKED ? V{} + C::MASKED : c;
    }

    // x_k less its mean, from differences: where the passes nearly agree the mean itself would round them away.
    V from_mean(const V *x, int k) const {
        V sum{};
        for (int other = 0; other < passes(); ++other)
            if (other != k) sum += x[k] - x[other];
        return sum * (A(1) / passes());
    }

    static A sum(V vector) {
        A sum = 0;
        for (int lane = 0; lane < LANES; ++lane) sum += vector[lane];
        return sum;
    }

    // First visit: all sums.
    void sums(int64_t item) {
        total_mass = 0;
        for (int k = 0; k < passes(); ++k) {
            peak[k] = std::numeric_limits<A>::lowest();
            total[k] = moment[k] = picked[k] = 0;
        }
        for (int64_t start = 0; start < rows.classes; start += BLOCK) {
            const int64_t vectors = open(item, start);
            raise_peaks(vectors);
            add_block(vectors);
            if (spreads()) add_mass(item, start, vectors);
        }
        if (rows.target) add_index(item);
    }

    // When a larger logit appears, all sums move to it.
    void raise_peaks(int64_t vectors) {
        A rise[ROOM], mean = 0;
        for (int k = 0; k < passes(); ++k) {
            V most = V{} + peak[k];
            for (int64_t v = 0; v < vectors; ++v) {
                const V z = logits(k, v);
                most = z > most ? z : most;
            }
            A top = peak[k];
            for (int lane = 0; lane < LANES; ++lane) top = std::max(top, A(most[lane]));
            rise[k] = top - peak[k];
            peak[k] = top;
            mean += rise[k] / passes();
        }
        for (int k = 0; k < passes(); ++k) {
            if (total[k] == 0) continue;
            total[k] *= std::exp(-rise[k]);
            moment[k] = moment[k] * std::exp(-rise[k]) - total[k] * (rise[k] - mean);
            picked[k] -= total_mass * rise[k];
        }
    }

    void add_block(int64_t vectors) {
        V totals[ROOM], moments[ROOM];
        for (int k = 0; k < passes(); ++k) totals[k] = moments[k] = V{};
        for (int64_t v = 0; v < vectors; ++v) {
            V c[ROOM];
            for (int k = 0; k < passes(); ++k) c[k] = centred(k, v);
            for (int k = 0; k < passes(); ++k) {
                const V e = exponential<A>(c[k]);
                totals[k] += e;
                moments[k] += e * from_mean(c, k);
            }
        }
        for (int k = 0; k < passes(); ++k) {
            total[k] += sum(totals[k]);
            moment[k] += sum(moments[k]);
        }
    }

    // The target's mass: on one class, and where the target is soft or smoothed also spread over all of them.
    bool spreads() const { return rows.soft_target || (rows.target && rows.label_smoothing); }

    void add_index(int64_t item) {
        index = rows.target[item];
        index_mass = (1 - rows.label_smoothing) * (rows.class_weight ? static_cast<const A *>(rows.class_weight)[index] : 1);
        total_mass += index_mass;
        for (int k = 0; k < passes(); ++k) {
            A z = one(row(k, item)[index]) - peak[k];
            if (index_mass != 0) picked[k] += index_mass * z;
        }
    }

    void load_mass(int64_t item, int64_t start, int64_t vectors) {
        const int64_t count = std::min(BLOCK, rows.classes - start);
        const A smooth = rows.label_smoothing / rows.classes, keep = 1 - rows.label_smoothing;
        for (int64_t v = 0; v < vectors; ++v) {
            V most = logits(0, v);  // a class that is masked in every pass gets nothing
            for (int k = 1; k < passes(); ++k) most = logits(k, v) > most ? logits(k, v) : most;
            mass[v] = most > -INFINITE ? V{} + smooth : V{};
        }
        A *values = reinterpret_cast<A *>(mass);
        if (const A *soft = static_cast<const A *>(rows.soft_target))
            for (int64_t j = 0; j < count; ++j) values[j] += keep * soft[item * rows.classes + start + j];
        if (const A *weight = static_cast<const A *>(rows.class_weight))
            for (int64_t j = 0; j < count; ++j) values[j] *= weight[start + j];
    }

    void add_mass(int64_t item, int64_t start, int64_t vectors) {
        load_mass(item, start, vectors);
        V masses{};
        for (int64_t v = 0; v < vectors; ++v) masses += mass[v];
        total_mass += sum(masses);
        for (int k = 0; k < passes(); ++k) {
            V product{};
            for (int64_t v = 0; v < vectors; ++v) product += mass[v] * centred(k, v);
            picked[k] += sum(product);
        }
    }

    // Second visit: (K - 1) kl = sum_k sum_j (p_k - mean p) (s_k - E_p s_k), and its gradient with the task's,
    // weight [p (mass + strength (1 + s - E_p s)) - strength mean p - target], strength = alpha / (K - 1).
    A divergence(int64_t item, A weight) {
        const A strength = weight * rows.alpha / (passes() - 1), level = weight * total_mass + strength;
        A scale[ROOM], middle[ROOM];
        for (int k = 0; k < passes(); ++k) scale[k] = 1 / total[k], middle[k] = moment[k] / total[k];
        V distance;
        const auto span = [&](int64_t first, int64_t last, V target) {
            for (int64_t v = first; v < last; ++v) {
                V c[ROOM], p[ROOM], rest = target;
                for (int k = 0; k < passes(); ++k) {
                    c[k] = centred(k, v);
                    p[k] = exponential<A>(c[k]) * scale[k];
                    rest += p[k] * (strength / passes());
                }
                if (spreads()) rest += weight * mass[v];
                for (int k = 0; k < passes(); ++k) {
                    const V s = from_mean(c, k) - middle[k];
                    distance += from_mean(p, k) * s;
                    if (rows.grad) narrow(p[k] * (level + strength * s) - rest, sink[k] + v * LANES);
                }
            }
        };
        A kl = 0;
        for (int64_t start = 0; start < rows.classes; start += BLOCK) {
            const int64_t vectors = open(item, start);
            if (spreads()) load_mass(item, start, vectors);
            distance = V{};
            int64_t hit = 0;
            if (rows.target && index >= start && index < start + BLOCK) {
                V target{};
                target[index % LANES] = weight * index_mass;
                hit = (index - start) / LANES;
                span(0, hit, V{});
                span(hit, hit + 1, target);
                ++hit;
            }
            span(hit, vectors, V{});
            kl += sum(distance);
            close(item, start);
        }
        return kl / (passes() - 1);
    }
};

template <class T, class A, int PASSES> void all_rows(const Rows &rows) {
    const int64_t elements = rows.passes * rows.classes, share = elements < 16384 ? 16384 / elements : 1;
#pragma omp parallel num_threads(rows.threads) if (rows.items > share)
    {
        Worker<T, A, PASSES> worker(rows);
#pragma omp for schedule(dynamic, share)
        for (int64_t item = 0; item < rows.items; ++item) worker.row(item);
    }
}

template <class T, class A> void any_passes(const Rows &rows) {
    rows.passes == 2 ? all_rows<T, A, 2>(rows) : all_rows<T, A, 0>(rows);
}

}  // namespace

extern "C" void regdrop_float32(const Rows *rows) { any_passes<float, float>(*rows); }
extern "C" void regdrop_float64(const Rows *rows) { any_passes<double, double>(*rows); }
extern "C" void regdrop_bfloat16(const Rows *rows) { any_passes<bfloat16, float>(*rows); }
