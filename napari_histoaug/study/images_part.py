"""The part of the report about pictures, pairs and costs."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

from napari_histoaug.evaluation.page import Table, table_html
from napari_histoaug.study.cells import REAL, RECIPES, in_order
from napari_histoaug.study.results import VARIANTS, Results
from napari_histoaug.study.scores_part import NOTHING

TITLES = {
    "pixel": "whole patches, pixel diffusion",
    "latent-4": "whole patches, latent diffusion, 4 channels",
    "latent-8": "whole patches, latent diffusion, 8 channels",
    "inpainted": "inpainted",
    "inpainted-donor": "inpainted, from real vessels",
    "latent-12": "whole patches, latent diffusion, 12 channels",
    "reconstruction-4": "autoencoder alone, 4 channels",
    "reconstruction-8": "autoencoder alone, 8 channels",
    "reconstruction-12": "autoencoder alone, 12 channels",
}
IMAGE_NOTE = (
    "KID is unbiased and the one to go by; FID of few pictures is biased upwards. Most pixels of "
    "an inpainted picture are real, which flatters it: hole KID looks at the hole alone. What the "
    "autoencoder alone loses, no diffusion in its latents can win back."
)
FIGURES = (("kid", "KID", 4), ("fid", "FID", 1), ("lpips", "LPIPS", 3), ("hole_kid", "hole KID", 4))


def image_table(results: Results) -> str:
    """Distances of generated pictures from real ones, and the thesis's, marked as theirs."""
    images = {image["variant"]: image for image in results.content.get("images", [])}
    shown = [name for name in TITLES if name in VARIANTS or name in images]
    names = [*shown, *(name for name in images if name not in TITLES)]
    titles = [title for _, title, _ in FIGURES]
    head = ("pictures", "taught", "thesis, FID (theirs)", *titles, "N", "real", "beside")
    rows = [
        [
            TITLES.get(name, name),
            _taught(images.get(name, {}).get("taught")),
            _theirs(results, name),
            *(_range(images.get(name, {}).get(key), digits) for key, _, digits in FIGURES),
            *(str(images.get(name, {}).get(key, NOTHING)) for key in ("n", "n_real", "against")),
        ]
        for name in names
    ]
    return table_html(Table("", head, rows)) + _image_notes(results, images)


def _taught(told: Mapping[str, float] | None) -> str:
    """How long a network of the study's own was taught; nothing is said of finished ones."""
    if not told:
        return NOTHING
    return f"{told['steps']} steps, {told['processor_minutes']} min"


def _theirs(results: Results, variant: str) -> str:
    """Only where it is known which of their variants a figure belongs to."""
    known = {"inpainted": "inpainted"}.get(variant)
    told = results.content.get("thesis", {}).get("fid", [])
    return ", ".join(f"{e['value']} {e['data']}" for e in told if known and e["variant"] == known)


def _image_notes(results: Results, images: Mapping[str, Mapping[str, Any]]) -> str:
    thesis = results.content.get("thesis", {})
    told = thesis.get("fid", [])
    rest = [
        f"{e['value']} ({e['data']}, {e['variant'] or 'variant not known here'})"
        for e in told
        if e["variant"] != "inpainted"
    ]
    made_by = sorted({f"{i.get('extractor')}; {i.get('lpips_network')}" for i in images.values()})
    notes = [
        IMAGE_NOTE,
        f"Features: {'; '.join(made_by)}." if made_by else "",
        f"Theirs: {thesis.get('note', '')} Other FIDs of the thesis: {', '.join(rest)}."
        if rest
        else "",
    ]
    return "".join(f'<p class="note">{html.escape(note)}</p>' for note in notes if note)


def share_table(results: Results) -> str:
    """Share of vessel pixels in each pool, and in what the segmenters were taught on."""
    shares = results.content.get("class_share", {})
    pairs = results.content.get("pairs", {})
    if not shares:
        return '<p class="note">Class shares are not there.</p>'
    real, patches = shares.get(REAL), pairs.get(REAL)
    ratios = sorted({cell.ratio for cell in results.cells if cell.ratio})
    head = ("recipe", "pairs", "in the pairs", *(f"taught on, {ratio} %" for ratio in ratios))
    rows = []
    for name in in_order(shares):
        mixed = [_mixed(real, shares[name], ratio) for ratio in ratios]
        rows.append(
            [
                RECIPES.get(name, name),
                str(pairs.get(name, NOTHING)),
                f"{shares[name]:.2%}",
                *([NOTHING] * len(ratios) if name == REAL else mixed),
            ]
        )
    note = "" if patches is None else f'<p class="note">Of {patches} real training patches.</p>'
    return table_html(Table("", head, rows)) + note


def _mixed(real: float | None, made: float, ratio: int) -> str:
    """Share in real patches together with `ratio` percent of synthetic ones."""
    if real is None:
        return NOTHING
    return f"{(real + made * ratio / 100) / (1 + ratio / 100):.2%}"


def dropped_table(results: Results) -> str:
    """How many pairs were dropped before training, and why."""
    dropped = results.content.get("dropped", {})
    reasons = sorted({reason for counts in dropped.values() for reason in counts})
    if not reasons:
        return '<p class="note">No pair was dropped before training.</p>'
    rows = [
        [RECIPES.get(name, name), *(str(dropped[name].get(reason, 0)) for reason in reasons)]
        for name in in_order(dropped)
    ]
    return table_html(Table("", ("recipe", *reasons), rows))


def cost_table(results: Results) -> str:
    """Wall and processor time of each stage."""
    costs = results.content.get("costs", {})
    if not costs:
        return '<p class="note">No stage said what it cost.</p>'
    rows = [_cost_row(name, cost) for name, cost in costs.items()]
    whole = [_time(sum(c[key] for c in costs.values())) for key in ("seconds", "processor_seconds")]
    rows.append(["all", "", "", *whole, ""])
    head = ("stage", "runs", "items", "wall time", "processor time", "device")
    return table_html(Table("", head, rows))


def _cost_row(name: str, cost: Mapping[str, Any]) -> Sequence[str]:
    return (
        name,
        str(cost["runs"]),
        str(cost["count"]),
        _time(cost["seconds"]),
        _time(cost["processor_seconds"]),
        str(cost["device"]),
    )


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def data_part(results: Results) -> str:
    """Fields of each split, attribution, versions."""
    data = results.content.get("data", {})
    rows = [[f"{name} fields", str(count)] for name, count in data.get("splits", {}).items()]
    for name, title in (("patches", "real training patches"), ("mpp", "µm a pixel")):
        if data.get(name) is not None:
            rows.append([title, str(data[name])])
    rows.append(["attribution", str(data.get("attribution") or "not stated")])
    made_by = ", ".join(f"{k} {v}" for k, v in results.content.get("versions", {}).items())
    rows.append(["made by", made_by])
    return table_html(Table("", ("", ""), rows))


def _range(value: Mapping[str, Any] | float | None, digits: int) -> str:
    if value is None:
        return NOTHING
    if not isinstance(value, Mapping):
        return f"{value:.{digits}f}"
    if value.get("low") is None or value.get("high") is None:
        return f"{value['value']:.{digits}f}"
    return f"{value['value']:.{digits}f} [{value['low']:.{digits}f}, {value['high']:.{digits}f}]"
