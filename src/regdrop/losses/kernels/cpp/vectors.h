// Numbers by the vector: loading, storing and the exponential, in the compilers' own extension (g++, clang++), which is
// the same for every processor.

#pragma once

#include <cstdint>
#include <cstring>

namespace {

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

// 0, 1, 2, ...
template <class A> inline typename Vector<A>::I lanes() {
    typename Vector<A>::I numbers{};
    for (int lane = 0; lane < int(sizeof numbers / sizeof(A)); ++lane) numbers[lane] = lane;
    return numbers;
}

// All lanes combined, half with half.
template <class A, int LANES> struct Lanes {
    typedef A V __attribute__((vector_size(LANES * sizeof(A))));
};
template <class A, int LANES, class Combine> inline A folded(typename Lanes<A, LANES>::V vector, Combine combine) {
    if constexpr (LANES == 2) {
        return combine(vector[0], vector[1]);
    } else {
        typename Lanes<A, LANES / 2>::V halves[2];
        std::memcpy(halves, &vector, sizeof vector);
        return folded<A, LANES / 2>(combine(halves[0], halves[1]), combine);
    }
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

}  // namespace
