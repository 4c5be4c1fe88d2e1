"""What a record says is enough to make the same pixels again."""

from __future__ import annotations

import numpy as np
import pytest

from napari_histoaug.edits import EditRecord
from napari_histoaug.generation import Donor, Generator, InpaintResult, inpaint


def record_of(result: InpaintResult, generator: Generator) -> EditRecord:
    return EditRecord(
        slide_sha256="0" * 64,
        box=(0, 0, *result.changed.shape),
        mpp=(0.5, 0.5),
        model=generator.name,
        model_sha256=generator.sha256,
        **{name: getattr(result, name) for name in
           ("label", "method", "steps", "seed", "evaluations", "donor", "strength")},
    )  # fmt: skip


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"seed": 9, "steps": 3},
        {"method": "turbo", "seed": 1},
        {"method": "langevin", "steps": 3},
        {"donor": True, "strength": 0.75, "seed": 4},
    ],
)
def test_the_same_record_makes_the_same_pixels(
    generator: Generator, image: np.ndarray, hole: np.ndarray, request_: dict
) -> None:
    rng = np.random.default_rng(0)
    vessel = np.pad(np.ones((20, 20), bool), 20)
    donor = Donor(rng.integers(0, 256, (60, 60, 3), dtype=np.uint8), vessel)
    bank = {donor.id: donor}
    if "donor" in request_:
        request_ = {**request_, "donor": donor}
    first = inpaint(generator, image, hole, mpp=0.5, **request_)
    told = EditRecord.model_validate_json(record_of(first, generator).model_dump_json())
    again = inpaint(
        generator,
        image,
        hole,
        label=told.label,
        mpp=told.mpp,
        method=told.method,
        steps=told.steps,
        seed=told.seed or 0,
        donor=bank[told.donor] if told.donor else None,
        strength=told.strength or 0.5,
    )
    assert (again.image == first.image).all()
    assert again.evaluations == told.evaluations
