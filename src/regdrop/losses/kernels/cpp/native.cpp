// The kernel of regdrop.losses.kernels in C++. Every row is read once from memory for its sums and, where it does not fit
// into registers (many.h), once from cache for the divergence and the gradient.

#include <memory>
#include <numeric>

#include "few.h"
#include "many.h"

namespace {

// Neighbouring rows that one thread visits at a time; so few elements are not worth starting another thread.
constexpr int64_t SHARE = 16384;

template <class A> A sum(const A *values, int64_t count) { return A(std::accumulate(values, values + count, 0.0)); }

template <class Visitor, class A> void visit_all(const Rows &rows, const Shares<A> &shares) {
    const int64_t share = std::max<int64_t>(1, SHARE / (rows.passes * rows.classes));
    const int64_t parts = (rows.items + share - 1) / share;
    const auto visit = [&](Visitor &visitor, int64_t part) {
        visitor.visit(part * share, std::min(rows.items, (part + 1) * share));
    };
    if (parts <= 1 || rows.threads == 1) {
        Visitor visitor(rows, shares);
        for (int64_t part = 0; part < parts; ++part) visit(visitor, part);
        return;
    }
#pragma omp parallel num_threads(rows.threads)
    {
        Visitor visitor(rows, shares);
#pragma omp for schedule(dynamic)
        for (int64_t part = 0; part < parts; ++part) visit(visitor, part);
    }
}

template <class T, class A, int PASSES> void visit_rows(const Rows &rows, const Shares<A> &shares) {
    Few<T, A, PASSES>::takes(rows) ? visit_all<Few<T, A, PASSES>>(rows, shares)
                                   : visit_all<Many<T, A, PASSES>>(rows, shares);
}

template <class T, class A, int PASSES> void all_rows(const Rows &rows) {
    A *const loss = static_cast<A *>(rows.loss), *const task = static_cast<A *>(rows.task);
    A *const kl = static_cast<A *>(rows.kl);
    if (rows.summed) {
        const std::unique_ptr<A[]> each(new A[2 * rows.items]);
        visit_rows<T, A, PASSES>(rows, {each.get(), each.get() + rows.items});
        *task = sum(each.get(), rows.items), *kl = sum(each.get() + rows.items, rows.items);
    } else {
        visit_rows<T, A, PASSES>(rows, {task, kl});
    }
    for (int64_t item = 0; item < (rows.summed ? 1 : rows.items); ++item)
        loss[item] = task[item] + (rows.alpha == 0 ? 0 : A(rows.alpha) * kl[item]);
}

template <class T, class A> void any_passes(const Rows &rows) {
    rows.passes == 2 ? all_rows<T, A, 2>(rows) : all_rows<T, A, 0>(rows);
}

}  // namespace

extern "C" void regdrop_float32(const Rows *rows) { any_passes<float, float>(*rows); }
extern "C" void regdrop_float64(const Rows *rows) { any_passes<double, double>(*rows); }
extern "C" void regdrop_bfloat16(const Rows *rows) { any_passes<bfloat16, float>(*rows); }
