"""Annotations against their slide: frames, polygons outside, other slides."""

import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import shapely

from napari_histoaug.annotations import (
    AnnotationError,
    AnnotationIndex,
    ClassTable,
    Document,
    Feature,
    FrameError,
    WrongSlideError,
    connected_areas,
    export_for_qupath,
    place_on,
    rasterize,
    read_geojson,
    write_geojson,
)
from napari_histoaug.slides import open_slide

_spec = importlib.util.spec_from_file_location("pieces", Path(__file__).with_name("helpers.py"))
pieces = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(pieces)
VESSEL = ClassTable.from_names(["blood_vessel"])


def slide_like(shape: tuple[int, int], bounds: tuple[int, int, int, int] | None = None) -> Any:
    """What placing looks at of a slide; formats that state bounds cannot be made here."""
    return SimpleNamespace(
        levels=[SimpleNamespace(shape=shape)],
        bounds=bounds,
        path=Path("case.mrxs"),
        known_sha256=lambda: None,
    )


def document(*boxes: tuple[float, float, float, float]) -> Document:
    features = [Feature.new(shapely.box(*box), "blood_vessel") for box in boxes]
    return Document.from_features(features)


BOUNDS = (3000, 2000, 4000, 5000)


@pytest.mark.parametrize(
    ("box", "frame"),
    [
        # left of the tissue when counted from the slide: QuPath cropped
        ((100, 200, 600, 700), "bounds"),
        # beyond the size of the cropped image
        ((5500, 3100, 6900, 6900), "slide"),
        # on the glass beside the tissue either way
        ((7100, 100, 7200, 200), "slide"),
    ],
)
def test_the_frame_is_found_from_the_vertices(box: tuple, frame: str) -> None:
    slide = slide_like((9000, 9000), BOUNDS)
    for made in (document(box), AnnotationIndex.from_document(document(box))):
        assert place_on(made, slide).frame.name == frame
        assert made.frame.name == frame
        assert (made.frame.dy, made.frame.dx) == ((3000, 2000) if frame == "bounds" else (0, 0))


def test_a_frame_that_could_be_either_is_asked_for() -> None:
    slide = slide_like((9000, 9000), BOUNDS)
    unclear = document((2500, 3500, 2600, 3600))
    with pytest.raises(FrameError, match=r"frame.*slide or bounds") as caught:
        place_on(unclear, slide, source="a.geojson")
    assert caught.value.choices == ("slide", "bounds")
    assert str(caught.value).startswith("a.geojson ")
    assert place_on(unclear, slide, "bounds").frame.dx == 2000
    assert place_on(unclear, slide, "slide").frame.dx == 0
    with pytest.raises(AnnotationError, match="no frame 'tissue'"):
        place_on(unclear, slide, "tissue")


def test_the_chosen_frame_is_kept_in_the_file(tmp_path: Path) -> None:
    slide = slide_like((9000, 9000), BOUNDS)
    chosen = document((2500, 3500, 2600, 3600))
    place_on(chosen, slide, "bounds")
    write_geojson(chosen, tmp_path / "a.geojson")
    again = read_geojson(tmp_path / "a.geojson")
    assert place_on(again, slide).frame.name == "bounds"
    assert again.features == chosen.features


def test_everything_is_painted_where_the_frame_says() -> None:
    slide = slide_like((9000, 9000), BOUNDS)
    made = document((100, 200, 110, 220))
    place_on(made, slide)
    mask = rasterize(made, VESSEL, (3195, 2095, 40, 40))
    assert mask[5:25, 5:15].all()
    assert mask.sum() == 200
    (area,) = connected_areas(made, "blood_vessel", (9000, 9000), "a.geojson")
    assert area.bounds == (2100, 3200, 2110, 3220)
    assert AnnotationIndex.from_document(made).at(y=3210, x=2105) == [0]


def test_slides_without_bounds_have_one_frame() -> None:
    for slide in (slide_like((500, 500)), slide_like((500, 500), (0, 0, 500, 500))):
        assert place_on(document((1, 1, 9, 9)), slide).frame.name == "slide"
        with pytest.raises(AnnotationError, match="choose slide"):
            place_on(document((1, 1, 9, 9)), slide, "bounds")


def test_polygons_outside_are_counted_and_listed() -> None:
    inside = [(i, i, i + 5, i + 5) for i in range(500)]
    made = document(*inside, (900, 10, 1100, 20), (2000, 10, 2100, 20))
    placement = place_on(made, slide_like((1000, 1000)))
    assert (placement.partly, placement.wholly) == ((500,), (501,))
    assert placement.share == pytest.approx(8 / (502 * 5))
    assert "1 polygons lie outside" in placement.sentence
    assert "features 500, 501" in placement.sentence
    assert place_on(document((1, 1, 9, 9)), slide_like((1000, 1000))).sentence == ""


def test_many_vertices_outside_mean_another_slide() -> None:
    made = document(*[(i, i, i + 5, i + 5) for i in range(30)], (1900, 10, 2100, 20))
    with pytest.raises(WrongSlideError, match=r"1 of the 31 polygons of a\.geojson, 3%.*another"):
        place_on(made, slide_like((1000, 1000)), source="a.geojson")
    assert place_on(made, slide_like((1000, 1000)), strict=False).wholly == (30,)
    cropped = slide_like((1000, 2000), (0, 500, 900, 900))
    with pytest.raises(WrongSlideError, match="count in the frame 'bounds', or they belong"):
        place_on(document((1990, 5, 2300, 20), (2100, 5, 2200, 9)), cropped, source="a.geojson")


def test_one_outline_over_the_edge_is_no_sign_of_another_slide() -> None:
    placement = place_on(document((950, 10, 1500, 20)), slide_like((1000, 1000)))
    assert placement.partly == (0,)
    assert placement.share > 0.5


def test_exports_know_their_slide(make_pyramid_tiff, tmp_path: Path) -> None:
    first = make_pyramid_tiff(name="first.tif", seed=1)
    twin = make_pyramid_tiff(name="twin.tif", seed=2)
    other = make_pyramid_tiff(name="other.tif", shapes=[(600, 800), (300, 400)])
    path = tmp_path / "a.geojson"
    with open_slide(first.path) as slide:
        assert export_for_qupath(document((1, 2, 30, 40)), path, slide=slide) == []
        metadata = json.loads(path.read_text())["features"][0]["properties"]["metadata"]
        assert set(map(type, metadata.values())) == {str}
        assert "first" not in json.dumps(metadata)
        assert place_on(read_geojson(path), slide).sentence == ""
    with open_slide(other.path) as slide:
        with pytest.raises(WrongSlideError, match=r"700 x 900 pixels and other\.tif has 600 x 800"):
            place_on(read_geojson(path), slide)
        assert place_on(AnnotationIndex.from_file(path), slide, strict=False).share == 0
    with (
        open_slide(twin.path) as slide,
        pytest.raises(WrongSlideError, match=r"another slide of the same size as twin\.tif"),
    ):
        place_on(AnnotationIndex.from_file(path), slide)


def test_ids_of_another_user_are_not_compared(make_pyramid_tiff, tmp_path, monkeypatch) -> None:
    path = tmp_path / "a.geojson"
    with open_slide(make_pyramid_tiff().path) as slide:
        export_for_qupath(document((1, 2, 30, 40)), path, slide=slide)
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "somebody else"))
        assert place_on(read_geojson(path), slide).share == 0
