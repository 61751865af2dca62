"""The page stands alone, is safe to open whoever wrote the records, and can be read by everybody."""

import re
from dataclasses import replace
from importlib.resources import files

import pytest

from comparisons import BASELINE, R_DROP, comparison_of
from regdrop.reports.pictures.palette import BACKGROUNDS, COLOURS, DARK, DARK_COLOURS
from regdrop.reports.report import report
from reports.folders import write_study
from reports.page_text import read

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7 * 7 }}'


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    out = tmp_path_factory.mktemp("page")
    study = comparison_of([*BASELINE[:3], "RuntimeError: out of memory"], R_DROP)
    write_study(out, study, diagnosed=True)
    return report(out).read_text()


@pytest.fixture(scope="module")
def tags(page):
    return read(page)[1]


def named(tags, name):
    return [attributes for tag, attributes in tags if tag == name]


def test_nothing_is_loaded_or_run(page, tags):
    assert not named(tags, "script")
    assert all(picture["src"].startswith("data:image/svg+xml;base64,") for picture in named(tags, "img"))
    assert [link["href"] for link in named(tags, "link")] == ["data:,"]
    assert "http://" not in page
    assert "https://" not in page
    assert "url(" not in page
    policy = next(each["content"] for each in named(tags, "meta") if "http-equiv" in each)
    assert policy.startswith("default-src 'none'")


def test_what_records_say_stays_text(tmp_path, undrawn):
    plain = comparison_of([*BASELINE[:3], HOSTILE], R_DROP)
    arms = tuple(replace(arm, label=f"{arm.label}{HOSTILE}") for arm in plain.arms)
    study = replace(
        plain, recipe=HOSTILE, about=HOSTILE, command=HOSTILE, machine=HOSTILE, arms=arms, versions={HOSTILE: HOSTILE}
    )
    write_study(tmp_path, study)
    page = report(tmp_path)
    text, tags = read(page.read_text())
    assert {tag for tag, _ in tags} <= {
        *("html", "head", "meta", "link", "title", "style", "body", "a", "header", "h1", "p", "dl", "div", "dt", "dd"),
        *("nav", "ul", "li", "main", "section", "h2", "table", "caption", "thead", "tbody", "tr", "th", "td", "figure"),
        *("figcaption", "img", "pre", "code", "footer", "span"),
    }
    assert not any(key.startswith("on") for _, attributes in tags for key in attributes)
    assert "{{ 7 * 7 }}" in text
    outside_code = re.sub(r"```.*?```", "", page.with_suffix(".md").read_text(), flags=re.DOTALL)
    assert "<script" not in outside_code


def test_those_who_do_not_see_the_pictures_are_told_the_numbers(tags):
    pictures = named(tags, "img")
    assert len(pictures) > 10
    for picture in pictures:
        assert len(re.findall(r"\d", picture["alt"])) >= 2, picture["alt"]


def test_the_page_has_a_language_and_an_outline(tags):
    assert named(tags, "html") == [{"lang": "en"}]
    assert len(named(tags, "h1")) == 1
    assert len(named(tags, "main")) == 1
    assert {attributes["aria-labelledby"] for attributes in named(tags, "section")} == {
        attributes["id"] for attributes in named(tags, "h2")
    }
    assert all(head.get("scope") in ("col", "row") for head in named(tags, "th"))
    assert len(named(tags, "caption")) == len(named(tags, "table")) > 2
    regions = [each for each in named(tags, "div") if each.get("role") == "region"]
    assert all(each["tabindex"] == "0" and each["aria-label"] for each in regions)


def luminance(colour):
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    bright, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def test_text_stands_out_from_its_background():
    css = files("regdrop.reports").joinpath("templates/page.html.j2").read_text()
    for scheme in re.findall(r":root \{(.*?)\}", css):
        colours = dict(re.findall(r"--(\w+): (#\w{6})", scheme))
        for ink in ("ink", "quiet", "accent"):
            for paper in ("paper", "card"):
                assert contrast(colours[ink], colours[paper]) >= 4.5


def test_lines_and_their_labels_stand_out_in_light_and_dark():
    for colours, background in zip((COLOURS, DARK_COLOURS), BACKGROUNDS, strict=True):
        assert min(contrast(each, background) for each in colours) >= 3
    for light, dark in list(DARK.items())[:2]:
        assert contrast(light, BACKGROUNDS[0]) >= 4.5
        assert contrast(dark, BACKGROUNDS[1]) >= 4.5
