// What the kernel is asked to compute: `Rows` of regdrop.losses.kernels as addresses, sizes and strides.

#pragma once

#include <cstdint>

extern "C" struct Rows {  // mirrored by native.py
    const void *logits, *weights, *class_weight, *soft_target;
    const int64_t *target;
    void *grad, *loss, *task, *kl;  // the last three: one number an item, or one where they are summed
    int64_t passes, items, classes, logits_pass, logits_item, grad_pass, grad_item;
    double weight, alpha, label_smoothing;  // weight: of every item, where there are no weights
    int64_t summed, threads;
};
