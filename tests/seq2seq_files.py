"""Tiny data sets of text pairs in their official formats."""

import json

NAMES = ("train", "validation", "test")
ANIMALS = ("dog", "cat", "horse", "bird", "cow", "fish", "frog", "goat")
GERMAN = dict(zip(ANIMALS, ("Hund", "Katze", "Pferd", "Vogel", "Kuh", "Fisch", "Frosch", "Ziege"), strict=True))


def english(i):
    return f"The {ANIMALS[i % 8]} sees {i} {ANIMALS[i // 8 % 8]}s" + " again" * (i % 3) + "."


def german(i):
    return f"{GERMAN[ANIMALS[i % 8]]} sieht {i} {GERMAN[ANIMALS[i // 8 % 8]]}" + " wieder" * (i % 3) + "."


def translation_row(i):
    """As WMT and IWSLT have them."""
    return {"translation": {"de": german(i), "en": english(i), "fr": english(i)[::-1]}}


def summary_row(i):
    """As CNN/DailyMail has them."""
    return {"id": f"{i}", "article": " ".join(english(i + k) for k in range(4)), "highlights": f"{english(i)}\nMore."}


def write_parts(folder, row, counts=(40, 6, 6), names=NAMES):
    """Files of rows that no two parts share."""
    folder.mkdir(parents=True, exist_ok=True)
    start = 0
    for name, count in zip(names, counts, strict=True):
        rows = [json.dumps(row(i), ensure_ascii=False) for i in range(start, start + count)]
        (folder / f"{name}.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
        start += count
    return folder
