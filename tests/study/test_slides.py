"""From whole slides to fields: the very pixels, outlines in place, patients apart, no names."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
import shapely.affinity
import tifffile
from PIL import Image

from napari_histoaug.annotations import (
    ClassTable,
    Document,
    Feature,
    QuPathWarning,
    rasterize,
    read_geojson,
    write_geojson,
)
from napari_histoaug.learning.config_files import ConfigError, load_config
from napari_histoaug.learning.loop import never
from napari_histoaug.patches.errors import PatchError
from napari_histoaug.patches.manifest import ClassSummary, SlideEntry
from napari_histoaug.slides import open_slide
from napari_histoaug.study import cutting
from napari_histoaug.study.config import StudyConfig
from napari_histoaug.study.dividing import cases_of, filled_up, settled
from napari_histoaug.study.errors import StudyError
from napari_histoaug.study.networks import _tissue_of
from napari_histoaug.study.preparing import label_map
from napari_histoaug.study.script import run_all, run_stage
from napari_histoaug.study.slides import SETS, SlidesConfig, listed_slides
from napari_histoaug.study.stages import key_of

SIDE, GLASS = 256, 1536  # of a field; where the glass begins, level-0 columns
HEIGHT, WIDTH = 2048, 2560
CLASSES = ClassTable.from_names(["blood_vessel", "gap"])
PATIENTS = ("Doe", "Doe", "Roe", "Poe", "Moe", "Koe")
TISSUE_FIELDS = (HEIGHT // 2 // SIDE) * (GLASS // 2 // SIDE)


def write_slide(path: Path, seed: int, levels: int = 2) -> None:
    """Grained tissue on the left, glass on the right, 0.25 um a pixel; lossless, tiled."""
    rng = np.random.default_rng(seed)
    image = np.full((HEIGHT, WIDTH, 3), 244, np.uint8)
    image[:, :GLASS] = np.array([160, 90, 140]) + rng.integers(0, 60, (HEIGHT, GLASS, 3))
    scale = {"resolution": (4e4, 4e4), "resolutionunit": "CENTIMETER"}
    with tifffile.TiffWriter(path) as writer:
        for level in range(levels):
            part = image[:: 2**level, :: 2**level]
            writer.write(
                part, tile=(256, 256), photometric="rgb", compression="deflate",
                compressionargs={"level": 1}, subfiletype=int(level > 0), metadata=None, **scale,
            )  # fmt: skip


def drawn_on(seed: int) -> Document:
    """Vessels in some fields of the slide: over borders, with holes, crossed; other classes."""
    rng = np.random.default_rng(seed)
    ring = shapely.Point(400, 700).buffer(150).difference(shapely.Point(400, 700).buffer(60))
    two = shapely.union(shapely.Point(90, 1700).buffer(50), shapely.Point(300, 1700).buffer(40))
    shapes = [ring, two, shapely.Point(*rng.uniform(200, 480, 2)).buffer(30)]
    features = [Feature.new(shape, "blood_vessel: capillary") for shape in shapes]
    crossed = [[700, 100], [860, 260], [860, 100], [700, 260], [700, 100]]
    child = Feature.new(shapely.box(650, 650, 690, 701.5), "blood_vessel")
    parent = Feature.new(shapely.box(600, 600, 800, 800), "gap")
    parent["properties"]["childObjects"] = [child]
    features += [
        Feature.new(shapely.Polygon(crossed), "blood_vessel"),
        parent,
        Feature.new(shapely.box(500, 90, 560, 130), "disputed*"),
    ]
    features[0]["properties"] |= {"name": "Jane Doe's", "metadata": {"who": "Jane Doe"}}
    nameless = Feature.new(shapely.box(20, 20, 60, 50))
    nameless["properties"]["name"] = "blood_vessel"
    remark = Feature.new(shapely.box(0, 0, 1500, 2000))
    remark["properties"]["name"] = "biopsy of Jane Doe"
    return Document.from_features([*features, nameless, remark])


def save(document: Document, path: Path) -> None:
    """Write annotations as QuPath would not: one of them crosses itself."""
    with pytest.warns(QuPathWarning, match="self-intersection"):
        write_geojson(document, path)


@pytest.fixture(scope="module")
def glass(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six slides of five patients, one of which has but one level, and their table."""
    folder = tmp_path_factory.mktemp("glass")
    lines = ["slide,patient"]
    for number, patient in enumerate(PATIENTS, 1):
        name = f"Jane{patient}-{number}"
        write_slide(folder / f"{name}.tif", number, levels=1 if number == 3 else 2)
        save(drawn_on(number), folder / f"{name}.geojson")
        lines.append(f"{name}.tif,{patient}")
    (folder / "table.csv").write_text("\n".join(lines))
    return folder


def study_of(glass: Path, out: Path, **more: Any) -> StudyConfig:
    slides = {"table": glass / "table.csv", "side": SIDE, "empty_share": 0.25, **more}
    tissue = {"patch": 64, "fields": 2}
    segmenter = {"crop": 32}
    told = {"slides": slides, "tissue": tissue, "segmenter": segmenter}
    return StudyConfig.model_validate({"out": out, **told})


def slide_files(glass: Path, number: int) -> tuple[Path, Path]:
    (path,) = glass.glob(f"*-{number}.tif")
    return path, path.with_suffix(".geojson")


@pytest.fixture(scope="module")
def cut(glass: Path, tmp_path_factory: pytest.TempPathFactory) -> StudyConfig:
    config = study_of(glass, tmp_path_factory.mktemp("study") / "run")
    names = [f"slides/{number}" for number in range(1, 7)]
    assert run_all(config, [*names, "extracted"], never) == 0
    return config


def corner(path: Path) -> tuple[int, int]:
    x, y = path.stem.rsplit("x", 1)[1].split("_y")
    return int(y), int(x)


@pytest.mark.parametrize("number", [1, 3])
def test_fields_hold_the_slide_s_very_pixels(cut: StudyConfig, glass: Path, number: int) -> None:
    pictures = sorted((cut.out / "slides" / str(number) / "tiles").glob("*.png"))
    whole = tifffile.imread(slide_files(glass, number)[0], level=0 if number == 3 else 1)
    if number == 3:  # area means where no level has the pixel size
        quads = whole.reshape(HEIGHT // 2, 2, WIDTH // 2, 2, 3)
        whole = np.rint(quads.mean((1, 3), dtype=np.float32)).astype(np.uint8)
    assert pictures
    for path in pictures:
        y, x = corner(path)
        field = np.asarray(Image.open(path))
        np.testing.assert_array_equal(field, whole[y : y + SIDE, x : x + SIDE])


@pytest.mark.parametrize("number", [2, 3])
def test_outlines_are_where_they_were_drawn(cut: StudyConfig, glass: Path, number: int) -> None:
    drawn = read_geojson(slide_files(glass, number)[1])
    found = 0
    for path in sorted((cut.out / "slides" / str(number) / "outlines").glob("*.geojson")):
        y, x = corner(path)
        mask = rasterize(read_geojson(path), CLASSES, (0, 0, SIDE, SIDE))
        box = (2 * y, 2 * x, 2 * SIDE, 2 * SIDE)
        np.testing.assert_array_equal(mask, rasterize(drawn, CLASSES, box, (2.0, 2.0)))
        found += int((mask == 1).sum())
    everything = rasterize(drawn, CLASSES, (0, 0, HEIGHT, WIDTH), (2.0, 2.0))
    assert found == (everything == 1).sum() > 0


def test_classes_pass_through_and_stay_within_the_field(cut: StudyConfig) -> None:
    names = set()
    for path in (cut.out / "slides" / "1" / "outlines").glob("*.geojson"):
        for feature in read_geojson(path).features:
            names.add(feature.class_name)
            assert shapely.box(0, 0, SIDE, SIDE).covers(feature.geometry)
            assert set(feature.properties) <= {"objectType", "classification"}
    assert names == {"blood_vessel", "blood_vessel: capillary", "gap", "disputed*"}


def test_fields_without_a_vessel_are_a_share_and_show_tissue(cut: StudyConfig) -> None:
    folder = cut.out / "slides" / "1"
    fields = {path.stem: read_geojson(path) for path in (folder / "outlines").glob("*.geojson")}
    box = (0, 0, SIDE, SIDE)
    only = ClassTable.from_names(["blood_vessel"])
    empty = [stem for stem, outlines in fields.items() if not rasterize(outlines, only, box).any()]
    assert len(empty) == round((len(fields) - len(empty)) / 3) > 0
    for stem in empty:
        assert np.asarray(Image.open(folder / "tiles" / f"{stem}.png")).mean() < 200
    note = json.loads((folder / "slide.json").read_text())["note"]
    vessels = len(fields) - len(empty)
    assert f"{vessels} of {vessels} fields with vessels, {len(empty)} of " in note
    assert f"{len(empty)} of {TISSUE_FIELDS - vessels} without" in note


def test_no_more_fields_are_drawn_than_wanted(glass: Path, tmp_path: Path) -> None:
    whole, few = (
        study_of(glass, tmp_path / name, **more) for name, more in (("a", {}), ("b", {"most": 4}))
    )
    stems = []
    for config in (whole, few, few.model_copy(update={"out": tmp_path / "c"})):
        run_stage(config, "slides/1", never)
        stems.append({path.stem for path in (config.out / "slides/1/tiles").iterdir()})
    assert stems[1] == stems[2]
    assert len(stems[1]) == 4
    assert stems[1] < stems[0] | stems[1]


def test_every_patient_is_in_one_set(cut: StudyConfig) -> None:
    cases = json.loads((cut.out / "extracted" / "cases.json").read_text())
    assert {name: len(of) for name, of in cases.items()} == {
        "train": 2, "validation": 2, "test": 1,
    }  # fmt: skip
    assert sorted(case for of in cases.values() for case in of) == [
        f"case-{number:03d}" for number in range(1, 6)
    ]
    for name in SETS:
        folders = (cut.out / "extracted" / "annotations" / name).iterdir()
        assert {folder.name for folder in folders} == set(cases[name])


def test_nothing_counts_where_nobody_looked(glass: Path, tmp_path: Path) -> None:
    (tmp_path / "glass").mkdir()
    path, outlines = (tmp_path / "glass" / file.name for file in slide_files(glass, 1))
    shutil.copy(slide_files(glass, 1)[0], path)
    config = study_of(tmp_path / "glass", tmp_path / "run", region="Region*", empty_share=0.5)
    config.slides.table.write_text(f"slide,patient\n{path.name},P\n")  # type: ignore[union-attr]
    drawn = drawn_on(1)
    save(drawn, outlines)
    run_stage(config, "slides/1", never)
    entry = json.loads((tmp_path / "run/slides/1/slide.json").read_text())
    assert "hold no Region*" in entry["reason"]
    looked = shapely.union(shapely.box(0, 0, 1100, 900), shapely.box(0, 1024, 1024, 1536))
    drawn.features.append(Feature.new(looked, "Region*"))
    save(drawn, outlines)
    run_stage(config, "slides/1", never)
    place = tmp_path / "run/slides/1"
    fields = {path.stem for path in (place / "tiles").iterdir()}
    with_vessels = {"x0_y0", "x256_y0", "x0_y256", "x256_y256"}
    assert with_vessels < fields  # not those of the vessels around y = 1700
    assert fields - with_vessels <= {"x0_y512", "x256_y512", "x512_y0", "x512_y256"}
    labels = label_map(place / "outlines" / "x256_y256.geojson", "blood_vessel", (SIDE, SIDE))
    rows, columns = np.mgrid[:SIDE, :SIDE] * 2 + 1 + 512
    unseen = ~shapely.contains_xy(looked, columns, rows)
    np.testing.assert_array_equal(labels == 255, unseen)
    assert unseen.any()
    assert (labels == 1).any()


def slide_entry(number: int, case: str, split: str, area: float, sha256: str = "") -> SlideEntry:
    return SlideEntry(
        source=str(number), status="done", patient_group=case, split=split, patches=3,
        slide_sha256=sha256 or f"{number:064d}",
        classes={"blood_vessel": ClassSummary(in_patches=area)},
    )  # fmt: skip


def test_sets_of_too_few_patients_get_those_with_least_vessel() -> None:
    amounts = [("a", "train", 9), ("b", "train", 3), ("b", "train", 3), ("c", "train", 5),
               ("d", "validation", 8), ("e", "test", 7)]  # fmt: skip
    entries = [slide_entry(i, *each) for i, each in enumerate(amounts)]
    cases = cases_of(filled_up(entries, set()))
    assert cases == {"train": ["a", "b"], "validation": ["c", "d"], "test": ["e"]}
    # Not those that the table put there, nor one who shares a slide with somebody.
    copied = [*entries, slide_entry(6, "f", "train", 1, sha256=f"{0:064d}")]
    cases = cases_of(filled_up(copied, {"c"}))
    assert cases == {"train": ["a", "c", "f"], "validation": ["b", "d"], "test": ["e"]}
    assert filled_up(entries, {"a", "b", "c"}) == entries


def test_two_slides_of_a_patient_keep_all_their_fields(cut: StudyConfig) -> None:
    fields = [path.stem for path in (cut.out / "extracted" / "tiles").glob("case-001_x*.png")]
    per_slide = [len(list((cut.out / f"slides/{n}/tiles").iterdir())) for n in (1, 2)]
    assert len(fields) == sum(per_slide)
    assert sum("_x1000" in stem for stem in fields) == per_slide[1]
    (found,) = (cut.out / "extracted" / "annotations").glob("*/case-001")
    assert {path.stem for path in found.iterdir()} == set(fields)


def test_no_name_of_a_slide_or_a_person_is_anywhere(cut: StudyConfig, glass: Path) -> None:
    files = [path for path in cut.out.rglob("*") if path.is_file()]
    assert len(files) > 60
    for path in files:
        content = str(path.relative_to(cut.out)).encode() + path.read_bytes()
        for word in (b"Jane", b"Doe", b"Koe", str(glass).encode()):
            assert word not in content, path


def test_the_study_goes_on_from_the_fields(cut: StudyConfig) -> None:
    assert run_stage(cut, "data", never)
    assert not run_stage(cut, "data", never)
    # Other pixels, other networks, though outlines and names may be the same.
    assert _tissue_of(settled(cut))["cut"] == key_of(cut.out / "extracted")
    splits = json.loads((cut.out / "splits.json").read_text())
    tissue = settled(cut).tissue
    for name in SETS:
        assert {stem.rsplit("_x", 1)[0] for stem in splits[name]} == set(
            getattr(tissue, f"{name}_cases")
        )
    fields = len(list((cut.out / "extracted" / "tiles").iterdir()))
    assert sum(map(len, splits.values())) == fields


def test_a_generator_of_the_study_was_taught_on_its_training_cases(cut: StudyConfig) -> None:
    pools = cut.pools.model_copy(update={"model": str(cut.out / "networks/generators/a/network")})
    own = settled(cut.model_copy(update={"pools": pools}))
    assert own.pools.generator_cases == own.tissue.train_cases
    held_out = own.tissue.test_cases[0]
    pools = cut.pools.model_copy(update={"generator_cases": (held_out,)})
    with pytest.raises(StudyError, match=f"taught on the held-out case {held_out}"):
        settled(cut.model_copy(update={"pools": pools}))


def test_nothing_is_cut_twice_and_names_of_files_do_not_matter(
    cut: StudyConfig, glass: Path, tmp_path: Path
) -> None:
    assert not run_stage(cut, "slides/1", never)
    assert not run_stage(cut, "extracted", never)
    moved = tmp_path / "moved"
    shutil.copytree(glass, moved)
    for path in slide_files(moved, 1):
        path.rename(path.with_stem("other-1"))
    table = (moved / "table.csv").read_text().replace("JaneDoe-1", "other-1")
    (moved / "table.csv").write_text(table)
    shutil.copytree(cut.out, tmp_path / "run")
    other = study_of(moved, tmp_path / "run")
    assert not run_stage(other, "slides/1", never)
    save(drawn_on(7), slide_files(moved, 1)[1])
    assert [run_stage(other, "slides/1", never) for _ in range(2)] == [True, False]


def test_a_killed_slide_goes_on_where_it_was(
    cut: StudyConfig, glass: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = study_of(glass, tmp_path / "run")
    read, seen = cutting.read_pixels, []

    def killed(*args: Any) -> Any:
        seen.append(args[2])
        if len(seen) == 3:
            raise KeyboardInterrupt
        return read(*args)

    monkeypatch.setattr(cutting, "read_pixels", killed)
    with pytest.raises(KeyboardInterrupt):
        run_stage(config, "slides/1", never)
    assert not (config.out / "slides/1").exists()
    run_stage(config, "slides/1", never)
    assert len(seen) == len(set(seen)) + 1
    for folder in ("tiles", "outlines"):
        whole = sorted((cut.out / "slides/1" / folder).iterdir())
        twins = sorted((config.out / "slides/1" / folder).iterdir())
        assert [path.name for path in twins] == [path.name for path in whole]
        assert all(a.read_bytes() == b.read_bytes() for a, b in zip(twins, whole, strict=True))


def test_a_slide_that_cannot_be_used_is_named_and_the_others_go_on(
    cut: StudyConfig, glass: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "glass"
    shutil.copytree(glass, broken)
    slide, outlines = slide_files(broken, 4)
    slide.write_bytes(slide.read_bytes()[:5000])
    slide_files(broken, 5)[1].unlink()
    config = study_of(broken, tmp_path / "run")
    shutil.copytree(cut.out, config.out)
    for number in range(1, 7):
        run_stage(config, f"slides/{number}", never)
    said = capsys.readouterr().err.splitlines()
    assert [line.split(" is left out")[0] for line in said] == [
        "Line 5 of table.csv", "Line 6 of table.csv",
    ]  # fmt: skip
    assert "has no annotations" in said[1]
    assert "Jane" not in "".join(said)
    with pytest.raises(StudyError, match="which needs"):
        run_stage(config, "extracted", never)
    lenient = study_of(broken, config.out, shares={"train": 0.2, "validation": 0.6, "test": 0.2})
    table = "slide,patient,split\n" + "\n".join(
        f"{slide_files(glass, n)[0].name},{PATIENTS[n - 1]},{split}"
        for n, split in enumerate(("train", "", "test", "", "", "validation"), 1)
    )
    (broken / "table.csv").write_text(table)
    with pytest.raises(StudyError, match="1 patients with vessels for validation"):
        run_stage(lenient, "extracted", never)
    # Repaired, it is cut.
    for path in slide_files(glass, 4):
        shutil.copy(path, broken)
    assert run_stage(lenient, "slides/4", never)
    assert run_stage(lenient, "extracted", never)
    cases = json.loads((config.out / "extracted/cases.json").read_text())
    assert cases == {
        "train": ["case-001"], "validation": ["case-003", "case-005"], "test": ["case-002"],
    }  # fmt: skip
    assert outlines.exists()


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("slide,patient\n", "lists no slide"),
        ("slide\na.tif", "Line 2 of table.csv names no patient"),
        ("slide,patient\na.tif,P\nb.tif,", "Line 3 of table.csv names no patient"),
        ("slide,patient\na.tif,P\na.tif,P", "names a slide twice"),
        ("slide,patient,split\na.tif,P,train\nb.tif,P,\nc.tif,P,test",
         "Lines 2 and 4 of table.csv put one patient into train and test"),
        ("slide,patient,split\na.tif,P,val", "the sets are train, validation, test"),
        ("slide,patient,case\na.tif,P,a_x1", "has the case 'a_x1'"),
        ("slide,patient,case\na.tif,P,../a", "has the case"),
        ("slide,patient,case\na.tif,P,one\nb.tif,P,two", "calls a patient two who is one"),
        ("slide,patient,case\na.tif,P,one\nb.tif,Q,one", "calls two patients one"),
        ("slide,patient,case\na.tif,P,case-002\nb.tif,Q,", "calls two patients case-002"),
        ("slide,patient,who\na.tif,P,Q", "it needs slide and may have"),
    ],
)  # fmt: skip
def test_tables_that_cannot_be_followed_are_refused(tmp_path: Path, table: str, said: str) -> None:
    (tmp_path / "table.csv").write_text(table)
    with pytest.raises((StudyError, PatchError), match=said):
        listed_slides(SlidesConfig(table=tmp_path / "table.csv"))


def test_patients_are_called_as_the_table_wants(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("slide,patient,case\na.tif,P,\nb.tif,Q,heart-7\nc.tif, P,\n")
    listed = listed_slides(SlidesConfig(table=path))
    assert [(slide.case, slide.nth) for slide in listed] == [
        ("case-001", 0), ("heart-7", 0), ("case-001", 1),
    ]  # fmt: skip


def test_a_copy_of_a_slide_is_left_out_and_stays_in_its_set(
    cut: StudyConfig, glass: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copied = tmp_path / "glass"
    shutil.copytree(glass, copied)
    for path, twin in zip(slide_files(glass, 3), slide_files(copied, 6), strict=True):
        shutil.copy(path, twin)
    config = study_of(
        copied, tmp_path / "run", shares={"train": 0.3, "validation": 0.5, "test": 0.2}
    )
    shutil.copytree(cut.out, config.out)
    run_stage(config, "slides/6", never)
    run_stage(config, "extracted", never)
    assert "slides/6 is left out: The slide has the same bytes as 3." in capsys.readouterr().err
    assert not list((config.out / "extracted/tiles").glob("case-005*"))


def test_a_study_starts_from_slides_or_from_fields(tmp_path: Path, glass: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(f"out: {tmp_path}\nslides: {{table: {glass / 'table.csv'}}}\n")
    config = load_config(StudyConfig, path)
    with pytest.raises(StudyError, match="run the stage extracted first"):
        run_stage(config, "data", never)
    with pytest.raises(StudyError, match="There is no slide 7; the study's table has 6"):
        run_stage(config, "slides/7", never)
    for setting, said in (
        ("tissue.tiles=a", "tissue.tiles is cut from the slides"),
        ("tissue.test_cases=[a]", "tissue.test_cases is cut from the slides"),
        ("slides=null", "tissue.tiles is missing"),
        ("slides.side=128", "a patch is larger than a field"),
    ):
        with pytest.raises(ConfigError, match=said):
            load_config(StudyConfig, path, [setting])


def test_a_real_slide_is_cut_as_its_outlines_say(shared_data: Path, tmp_path: Path) -> None:
    """Outlines of fields of the case the slide is a part of, moved onto the slide."""
    root = Path(__file__).parents[2] / "training/annotations/train/liver-hemangioma"
    top, left = 12800, 6144
    features = []
    for path in sorted(root.glob("*.geojson")):
        y, x = corner(path)
        if not (top <= y < top + 7168 and left <= x < left + 7168):
            continue
        for feature in read_geojson(path).features:
            moved = shapely.affinity.translate(feature.geometry, x - left, y - top)
            features.append(Feature.new(moved, feature.class_name))
    slide = shared_data / "wsi" / "liver-hemangioma_8192_pyramid.tif"
    assert features
    write_geojson(Document.from_features(features), tmp_path / "drawn.geojson")
    table = f"slide,patient,annotations,mpp\n{slide},P,drawn.geojson,0.5\n"
    (tmp_path / "table.csv").write_text(table)
    told = {"table": tmp_path / "table.csv", "most": 4}
    config = StudyConfig.model_validate({"out": tmp_path / "run", "slides": told})
    assert run_stage(config, "slides/1", never)
    only = ClassTable.from_names(["blood_vessel"])
    drawn = Document.from_features(features)
    pictures = sorted((tmp_path / "run/slides/1/tiles").glob("*.png"))
    assert len(pictures) == 4
    with open_slide(slide) as opened:
        for path in pictures:
            y, x = corner(path)
            field = np.asarray(Image.open(path))
            np.testing.assert_array_equal(field, opened.read_block(0, y, x, 1024, 1024))
            found = rasterize(
                read_geojson(path.parents[1] / "outlines" / f"{path.stem}.geojson"),
                only, (0, 0, 1024, 1024),
            )  # fmt: skip
            np.testing.assert_array_equal(found, rasterize(drawn, only, (y, x, 1024, 1024)))
