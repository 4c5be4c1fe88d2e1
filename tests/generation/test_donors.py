"""Donors: cut, kept, fitted into a hole, stain-matched, and started from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from napari_histoaug.generation import (
    Donor,
    GenerationError,
    Generator,
    cut_donors,
    inpaint,
    inpaint_many,
    load_generator,
    read_donor,
    read_donors,
    save_donor,
)
from napari_histoaug.generation.composite import density, from_density
from napari_histoaug.generation.donor_fit import ALIKE, choose, fit, match_stain, place, source_of
from napari_histoaug.generation.donors import BUNDLED
from napari_histoaug.generation.methods import Way

PINK, RED = (200, 120, 160), (180, 30, 40)


def ellipse(
    shape: tuple[int, int],
    centre: tuple[float, float],
    radii: tuple[float, float],
    angle: float = 0.0,
) -> np.ndarray:
    """An ellipse whose first radius lies at `angle` from the x axis towards y."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    y, x = y - centre[0], x - centre[1]
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    return (along / radii[0]) ** 2 + (across / radii[1]) ** 2 < 1


def donor(angle: float = 0.0, mpp: tuple[float, float] | None = None) -> Donor:
    mask = ellipse((100, 100), (50, 48), (36, 14), angle)
    image = np.full((100, 100, 3), PINK, np.uint8)
    image[mask] = RED
    return Donor(image, mask, mpp)


def test_vessels_are_cut_with_their_surroundings_but_not_at_the_border() -> None:
    mask = np.zeros((200, 200), bool)
    mask[50:70, 60:90] = True
    mask[0:30, 150:190] = True  # cut by the border
    mask[120, 120] = True  # too small
    image = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    (found,) = cut_donors(image, mask, (0.5, 0.5), margin=10)
    assert (found.image == image[40:80, 50:100]).all()
    assert found.mask.sum() == 600
    assert found.mpp == (0.5, 0.5)


def test_a_donor_is_kept_as_a_picture_with_its_id(tmp_path: Path) -> None:
    kept = donor(mpp=(0.25, 0.5))
    path = save_donor(kept, tmp_path)
    assert path.name == f"{kept.id}.png"
    again = read_donor(path)
    assert (again.image == kept.image).all()
    assert (again.mask == kept.mask).all()
    assert (again.mpp, again.id) == (kept.mpp, kept.id)
    save_donor(donor(0.3), tmp_path)
    bank = read_donors(tmp_path)
    assert len({d.id for d in bank}) == 2
    assert choose(bank, 4) is choose(bank, 4)
    assert {choose(bank, seed).id for seed in range(20)} == {d.id for d in bank}


def test_bad_donors_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(GenerationError, match="no donors in"):
        read_donors(tmp_path)
    Image.new("RGB", (8, 8)).save(tmp_path / "plain.png")
    with pytest.raises(GenerationError, match="no vessel in an alpha channel"):
        read_donors(tmp_path)
    (tmp_path / "plain.png").write_bytes(b"nothing")
    with pytest.raises(GenerationError, match=r"plain\.png cannot be read"):
        read_donors(tmp_path)


@pytest.mark.parametrize("angle", [0.0, 0.7, 1.9])
@pytest.mark.parametrize("turned", [0.0, 1.2])
@pytest.mark.parametrize("mpp", [None, (0.25, 0.5)])
def test_a_donor_of_the_hole_s_form_fills_it_exactly(
    angle: float, turned: float, mpp: tuple[float, float] | None
) -> None:
    mask = ellipse((120, 120), (60, 57), (36, 14), turned)
    zoom = (0.5, 1.0) if mpp else (1.0, 1.0)
    if mpp:  # the same vessel, its rows twice as fine
        mask = mask.repeat(2, axis=0)
    given = Donor(np.zeros((*mask.shape, 3), np.uint8), mask, mpp)
    hole = ellipse((160, 180), (80, 90), (1.25 * 36, 1.25 * 14), angle)
    for seed in range(4):
        matrix, offset = fit(given, hole, (0.5, 0.5), seed)
        moved = ndimage.affine_transform(
            mask.astype(np.float32), matrix, offset, output_shape=hole.shape, order=1
        )
        wrong = ((moved > 0.5) != hole).sum()
        assert wrong < 0.05 * hole.sum()
        # An exact likeness: no shear, areas by the square of the size.
        assert abs(np.linalg.det(matrix)) * np.prod(zoom) == pytest.approx(1.25**-2, rel=0.03)


def test_a_donor_s_outline_comes_to_lie_on_the_hole_s() -> None:
    y, x = np.mgrid[:160, :180]
    angle, away = np.arctan2(y - 80, x - 90), np.hypot(y - 80, x - 90)
    hole = away < 30 * (1 + 0.2 * np.cos(3 * angle + 0.4))  # a rounded triangle
    given = Donor(np.zeros((100, 100, 3), np.uint8), ellipse((100, 100), (50, 48), (34, 26)), None)
    for seed in range(4):
        at = source_of(given, hole, (0.5, 0.5), seed)
        followed = ndimage.map_coordinates(given.mask.astype(np.float32), at, order=1) > 0.5
        matrix, offset = fit(given, hole, (0.5, 0.5), seed)
        likeness = ndimage.affine_transform(
            given.mask.astype(np.float32), matrix, offset, output_shape=hole.shape, order=1
        )
        wrong, without = (followed != hole).sum(), ((likeness > 0.5) != hole).sum()
        assert wrong < 0.12 * hole.sum()
        assert wrong < 0.5 * without


def test_an_outline_that_fits_is_not_bent() -> None:
    given = donor(0.4)
    hole = np.pad(given.mask, 30)
    at = source_of(given, hole, (0.5, 0.5), seed=0)
    matrix, offset = fit(given, hole, (0.5, 0.5), seed=0)
    straight = (
        np.einsum("ij,jyx->iyx", matrix, np.indices(hole.shape)) + np.array(offset)[:, None, None]
    )
    near = ndimage.binary_dilation(hole, iterations=4)
    assert np.abs(at - straight)[:, near].max() < 2  # pixels of raster outlines


def test_stains_are_matched_in_closed_form() -> None:
    rng = np.random.default_rng(0)
    tissue = ndimage.gaussian_filter(rng.normal(size=(200, 200, 3)), (2, 2, 0))
    od = (0.6 + 0.4 * tissue).clip(0.3, 2).astype(np.float32)
    vessel = np.zeros((200, 200), bool)
    vessel[60:140, 60:140] = True
    od[90:110, 90:110] = 0  # an empty lumen
    image = from_density(od)
    # Another stain of the very same tissue: stronger, and of another hue.
    strong = from_density(od * np.float32([1.5, 1.2, 0.9]) + np.float32(0.05))
    found = match_stain(Donor(strong, vessel), image, ~vessel)
    assert np.abs(density(found) - density(image)).mean() < 0.01
    assert np.abs(density(strong) - density(image)).mean() > 0.1
    assert (found[95:105, 95:105] >= 254).all()  # that scanner's glass is this one's
    nothing = np.zeros_like(vessel)
    assert (match_stain(Donor(strong, vessel), image, nothing) == strong).all()


def test_the_vessel_lands_in_the_hole_and_nowhere_else() -> None:
    image = np.full((160, 180, 3), PINK, np.uint8)
    hole = ellipse((160, 180), (80, 90), (40, 16), 0.9)
    made = ndimage.binary_dilation(hole, iterations=6)
    placed, reached = place(donor(), image, hole, made, (0.5, 0.5))
    assert (reached == made).all()
    assert (placed == image)[~made].all()
    core = ndimage.binary_erosion(hole, iterations=3)
    # Cubic interpolation rings by a few grey levels beside an edge of no width.
    assert np.abs(placed[core].astype(int) - RED).max() <= 4
    assert (
        np.abs(placed[made & ~ndimage.binary_dilation(hole, iterations=3)].astype(int) - PINK).max()
        <= 4
    )


def test_inpainting_from_a_donor_is_recorded_and_repeatable(
    generator: Generator, image: np.ndarray, hole: np.ndarray
) -> None:
    given = donor()
    first = inpaint(generator, image, hole, donor=given, strength=0.5, seed=2)
    again = inpaint(generator, image, hole, donor=given, strength=0.5, seed=2)
    other = inpaint(generator, image, hole, donor=donor(0.5), strength=0.5, seed=2)
    plain = inpaint(generator, image, hole, seed=2)
    assert (first.donor, first.strength) == (given.id, 0.5)
    assert (plain.donor, plain.strength) == (None, None)
    assert first.evaluations == 2  # half of the levels
    assert (first.image == again.image).all()
    assert (first.image != other.image).any()
    assert (first.image == image)[~first.changed].all()


@pytest.mark.parametrize("method", ["langevin", "repaint"])
def test_every_method_starts_from_a_donor(
    generator: Generator, image: np.ndarray, hole: np.ndarray, method: str
) -> None:
    steps = 12 if method == "repaint" else 4
    result = inpaint(
        generator, image, hole, method=method, steps=steps, donor=donor(), strength=0.5
    )
    assert result.evaluations == Way.of(generator, method, steps).evaluations(generator, 0.5)
    assert (result.image == image)[~result.changed].all()


@pytest.mark.parametrize("strength", [0.0, 1.5])
def test_a_strength_out_of_range_is_a_sentence(
    generator: Generator, image: np.ndarray, hole: np.ndarray, strength: float
) -> None:
    with pytest.raises(GenerationError, match="strength must be above 0"):
        inpaint(generator, image, hole, donor=donor(), strength=strength)


def test_a_hole_is_given_a_donor_of_its_size() -> None:
    sizes = [8 * (n + 1) for n in range(4 * ALIKE)]
    bank = []
    for side in sizes:
        mask = np.pad(np.ones((side, side), bool), 1)
        bank.append(Donor(np.full((*mask.shape, 3), side % 256, np.uint8), mask, (0.25, 0.25)))
    hole = np.pad(np.ones((60, 60), bool), 4)
    # 60 px of 0.5 um are 120 px of the donors' pixel size.
    found = {choose(bank, seed, hole, 0.5).mask.shape[0] - 2 for seed in range(200)}
    assert len(found) == ALIKE
    assert found == set(sorted(sizes, key=lambda side: abs(np.log(side / 120)))[:ALIKE])
    assert choose(bank, 7, hole, 0.5) is choose(bank, 7, hole, 0.5)


def test_a_hole_is_given_a_donor_of_its_form_and_stain() -> None:
    forms = [donor(angle) for angle in (0.0, 0.5, 1.0)]  # all long, in any direction
    round_ = ellipse((100, 100), (50, 48), (22, 22))
    forms += [Donor(np.full((100, 100, 3), n, np.uint8), round_) for n in (100, 110, 120)]
    for hole, wanted in ((ellipse((160, 160), (80, 80), (36, 14), 2.0), forms[:3]),
                         (ellipse((160, 160), (80, 80), (22, 22)), forms[3:])):  # fmt: skip
        assert {choose(forms, seed, hole).id for seed in range(40)} == {d.id for d in wanted}
    hole = ellipse((160, 160), (80, 80), (22, 22))
    stains = [Donor(np.full((100, 100, 3), n, np.uint8), round_) for n in range(100, 220, 20)]
    like = np.full((160, 160, 3), 200, np.uint8)
    assert {choose(stains, seed, hole, None, like).id for seed in range(40)} == {
        d.id for d in stains[3:]
    }


def test_the_packaged_donors_are_vessels_of_known_fields() -> None:
    bank = read_donors(BUNDLED)
    rows = (BUNDLED / "sources.csv").read_text().splitlines()[1:]
    named = {row.split(",")[0]: row.split(",") for row in rows}
    assert {donor.id for donor in bank} == set(named)
    assert all(int(named[donor.id][3]) == donor.mask.sum() for donor in bank)
    assert not {row[1] for row in named.values()} & {
        "ischemic-colitis",
        "breast-lobular-carcinoma",
        "fat-necrosis",
        "cholesterolpolyp",
    }


def test_several_holes_start_from_donors_of_their_own(pixel_folder: Path) -> None:
    generator = load_generator(pixel_folder, device="cpu")
    image = np.full((64, 64, 3), PINK, np.uint8)
    hole = ellipse((64, 64), (32, 32), (14, 8))
    bank = [donor(), donor(0.7)]
    options = {"steps": 4, "strength": 0.5, "method": "pixel-time"}
    many = inpaint_many(
        generator, [image] * 2, [hole] * 2, seeds=[3, 4], donors=bank, batch=2, **options
    )
    for result, seed, own in zip(many, (3, 4), bank, strict=True):
        one = inpaint(generator, image, hole, seed=seed, donor=own, **options)
        assert result.donor == own.id
        assert np.abs(result.image.astype(int) - one.image).max() <= 2
    with pytest.raises(GenerationError, match="2 images and 1 donors"):
        inpaint_many(generator, [image] * 2, [hole] * 2, donors=bank[:1])
