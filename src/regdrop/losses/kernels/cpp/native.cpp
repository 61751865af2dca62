// The kernel of regdrop.losses.kernels in C++. Every row is read once from memory for its sums and once from cache for
// the divergence and the gradient.

#include <memory>
#include <numeric>

#include "worker.h"

namespace {

// Neighbouring rows that one thread visits at a time; so few elements are not worth starting another thread.
constexpr int64_t SHARE = 16384;

template <class T, class A, int PASSES> void visit_all(const Rows &rows, A *shares) {
    const int64_t share = std::max<int64_t>(1, SHARE / (rows.passes * rows.classes));
    const int64_t parts = (rows.items + share - 1) / share;
    const auto visit = [&](Worker<T, A, PASSES> &worker, int64_t part) {
        const int64_t last = std::min(rows.items, (part + 1) * share);
        for (int64_t item = part * share; item < last; ++item) worker.visit(item);
    };
    if (parts <= 1 || rows.threads == 1) {
        Worker<T, A, PASSES> worker(rows, shares);
        for (int64_t part = 0; part < parts; ++part) visit(worker, part);
        return;
    }
#pragma omp parallel num_threads(rows.threads)
    {
        Worker<T, A, PASSES> worker(rows, shares);
#pragma omp for schedule(dynamic)
        for (int64_t part = 0; part < parts; ++part) visit(worker, part);
    }
}

template <class T, class A, int PASSES> void all_rows(const Rows &rows) {
    A *const out = static_cast<A *>(rows.shares);
    if (!rows.summed) return visit_all<T, A, PASSES>(rows, out);
    const std::unique_ptr<A[]> shares(new A[2 * rows.items]);
    visit_all<T, A, PASSES>(rows, shares.get());
    for (int part : {0, 1}) {
        const A *first = shares.get() + part * rows.items;
        out[part] = A(std::accumulate(first, first + rows.items, 0.0));
    }
}

template <class T, class A> void any_passes(const Rows &rows) {
    rows.passes == 2 ? all_rows<T, A, 2>(rows) : all_rows<T, A, 0>(rows);
}

}  // namespace

extern "C" void regdrop_float32(const Rows *rows) { any_passes<float, float>(*rows); }
extern "C" void regdrop_float64(const Rows *rows) { any_passes<double, double>(*rows); }
extern "C" void regdrop_bfloat16(const Rows *rows) { any_passes<bfloat16, float>(*rows); }
