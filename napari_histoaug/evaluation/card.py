"""The measured part of a model card, written from the figures of a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_histoaug.evaluation.errors import EvaluationError

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def write_card(path: Path, figures: Mapping[str, Any]) -> None:
    """Replace what stands between the two marks of a model card by tables of `figures`.

    Parameters
    ----------
    path : Path
        A Markdown file with the lines :data:`BEGIN` and :data:`END`.
    figures : mapping
        As ``results.json`` holds them, see ``training/model_card.py``.

    Raises
    ------
    EvaluationError
        When the card lacks a mark.
    """
    text = path.read_text("utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise EvaluationError(f"{path.name} lacks the lines {BEGIN} and {END}; add them.")
    path.write_text(f"{before}{BEGIN}\n{measured(figures)}\n{END}{after}", "utf-8")


def measured(figures: Mapping[str, Any]) -> str:
    """The tables, as Markdown."""
    parts = [_protocol(figures), _fill_table(figures["fills"])]
    if "paired" in figures:
        parts.append(_paired(figures["paired"]))
    if "reconstruction" in figures:
        parts.append(_reconstruction(figures["reconstruction"]))
    if "synthesis" in figures:
        parts.append(_synthesis(figures["synthesis"]))
    parts.append(_copying(figures))
    return "\n\n".join(parts)


def _protocol(figures: Mapping[str, Any]) -> str:
    cases = " and ".join(figures["cases"])
    lpips = f" LPIPS, to the real vessel: {figures['lpips']}." if figures.get("lpips") else ""
    return (
        f"{figures['holes']} real vessels of {cases}, which no network has seen, were made "
        "holes of and filled again. Compared are the holes' bounding squares, resized to 128 px. "
        f"Features: {figures['extractor']}. Generator {figures['generator_sha256'][:12]}. "
        "KID with its 95 % interval; the others are medians with quartiles: sharpness of the "
        "hole relative to its ring and the share of holes in which it is natural; the step at the "
        "border relative to steps within tissue (1 = nothing to be seen); the colour step in "
        f"optical density.{lpips}"
    )


def _fill_table(fills: Mapping[str, Mapping[str, Any]]) -> str:
    lines = [
        (
            "| filled by | holes | evaluations | KID | LPIPS | sharpness | 0.7 to 1.4 | border "
            "| colour |"
        ),
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, score in fills.items():
        kid = _range(score["kid"], 4)
        lpips = _range(score["lpips"], 2) if score.get("lpips") else ""
        lines.append(
            f"| {name} | {score['holes']} | {score.get('evaluations', '')} | {kid} | {lpips} "
            f"| {_range(score['sharpness'], 2)} | {100 * score['naturally_sharp']:.0f} % "
            f"| {_range(score['edge'], 2)} | {_range(score['colour'], 3)} |"
        )
    return "\n".join(lines)


def _paired(paired: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """A row for each other way: by how much the KID of ours is larger."""
    names = list(paired)
    lines = [
        (
            "KID of two ways on the same holes, ours less theirs, with the 95 % interval of paired "
            "resamples (below zero: ours is nearer to real vessels):"
        ),
        "",
        f"| theirs | holes | {' | '.join(names)} |",
        "| --- | --- |" + " --- |" * len(names),
    ]
    for theirs in dict.fromkeys(way for found in paired.values() for way in found):
        rows = [paired[ours][theirs] for ours in names]
        cells = " | ".join(_range(row, 3) for row in rows)
        lines.append(f"| {theirs} | {rows[0]['holes']} | {cells} |")
    return "\n".join(lines)


def _reconstruction(figures: Mapping[str, Any]) -> str:
    return (
        f"**Autoencoder alone** ({figures['patches']} patches of 256 px of the same fields, "
        f"encoded and decoded): PSNR {figures['psnr']:.1f} dB, SSIM {figures['ssim']:.3f}, KID "
        f"{figures['kid']:.4f}, Fréchet distance {figures['frechet']:.1f} (real against real, "
        f"halves: {figures['frechet_real']:.1f})."
    )


def _synthesis(figures: Mapping[str, Any]) -> str:
    lpips = ""
    if figures.get("lpips"):
        lpips = f", LPIPS to the window of the same labels {_range(figures['lpips'], 2)}"
    return (
        f"**Whole patches** ({figures['patches']} of 256 px, from the label maps of held-out "
        f"fields): KID {_range(figures['kid'], 4)}, Fréchet distance {figures['frechet']:.1f} "
        f"(real against real, halves: {figures['frechet_real']:.1f}){lpips}."
    )


def _copying(figures: Mapping[str, Any]) -> str:
    copy = figures["copying"]
    generated, real = _range(copy["generated"], 2), _range(copy["real"], 2)
    near = f"**Copies.** Distance to the nearest training vessel: generated {generated}, real "
    lines = [near + f"{real}; smallest of both, as a ratio: {copy['nearest_ratio']:.2f}."]
    if "diversity" in figures:
        lines.append(
            f"**Diversity.** Two fillings of one hole differ {figures['diversity']:.2f} times as "
            "much as two real vessels do."
        )
    if "class_fidelity" in figures:
        found = [f"{name} {_range(dice, 2)}" for name, dice in figures["class_fidelity"].items()]
        lines.append(
            "**Class fidelity.** Dice with which a separately taught segmenter finds the vessel: "
            f"{', '.join(found)}."
        )
    return "\n\n".join(lines)


def _range(value: Mapping[str, Any], digits: int) -> str:
    if value["low"] is None:
        return f"{value['value']:.{digits}f}"
    return f"{value['value']:.{digits}f} ({value['low']:.{digits}f} to {value['high']:.{digits}f})"
