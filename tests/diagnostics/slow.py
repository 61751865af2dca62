"""Every quantity of a diagnosis in slow float64 loops over items, passes and pairs."""

from itertools import combinations

import torch
from torch.nn.functional import log_softmax

from reference import kl, mean_over_pairs


def mean(values):
    values = [float(value) for value in values]
    return sum(values) / len(values)


def nll(logits, label):
    return float(-log_softmax(logits, 0)[label])


def average_logits(sub):
    """Logits of the average of the sub-models' distributions."""
    return sum(log_softmax(z, 0).exp() for z in sub).div(len(sub)).log()


def total_variation(a, b):
    p, q = log_softmax(a, 0).exp(), log_softmax(b, 0).exp()
    return sum(abs(float(p[j] - q[j])) for j in range(len(p))) / 2


def item(sub, full, label):
    """One item: logits of the sub-models `(passes, classes)` and of the full model `(classes,)`."""
    average = average_logits(sub)
    pairs = list(combinations(sub, 2))
    return {
        "pairwise_kl": mean_over_pairs(sub, lambda a, b: 0.5 * (kl(a, b) + kl(b, a))),
        "total_variation": mean(total_variation(a, b) for a, b in pairs),
        "pairwise_disagreement": mean(int(a.argmax()) != int(b.argmax()) for a, b in pairs),
        "sub_to_full_kl": mean(kl(z, full) for z in sub),
        "sub_to_full_disagreement": mean(int(z.argmax()) != int(full.argmax()) for z in sub),
        "average_to_full_kl": kl(average, full),
        "full_nll": nll(full, label),
        "sub_nll": mean(nll(z, label) for z in sub),
        "average_nll": nll(average, label),
        "full_accuracy": int(full.argmax()) == label,
        "sub_accuracy": mean(int(z.argmax()) == label for z in sub),
        "average_accuracy": int(average.argmax()) == label,
    }


def consistency(sub, full, target):
    """All fields of `Consistency` for logits `(passes, items, classes)`, `(items, classes)` and classes `(items,)`."""
    sub, full = sub.double(), full.double()
    rows = [item(sub[:, i], full[i], int(target[i])) for i in range(len(target))]
    found = {name: mean(row[name] for row in rows) for name in rows[0]}
    found["loss_gap"] = abs(found["full_nll"] - found["sub_nll"])
    found["loss_gap_constant"] = found["loss_gap"] / found["pairwise_kl"] ** 0.5
    found["jensen_gap"] = found["sub_nll"] - found["average_nll"]
    found["accuracy_gain"] = found["average_accuracy"] - found["full_accuracy"]
    return found


def reliability(logits, target, bins):
    """(ece, [(items, mean confidence, accuracy) of each bin]), an item at a time."""
    members = [[] for _ in range(bins)]
    for z, label in zip(logits.double(), target.tolist(), strict=True):
        confidence, choice = z.softmax(0).max(0)
        place = next(b for b in range(bins) if float(confidence) < (b + 1) / bins or b == bins - 1)
        members[place].append((float(confidence), int(choice) == label))
    table = [
        (len(rows), mean(c for c, _ in rows), mean(right for _, right in rows)) if rows else (0, None, None)
        for rows in members
    ]
    ece = sum(n * abs(accuracy - confidence) for n, confidence, accuracy in table if n) / len(target)
    return ece, table


def normal(*shape, seed=0, scale=2.0):
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def classes(items, count, seed=0):
    return torch.randint(count, (items,), generator=torch.Generator().manual_seed(seed))
