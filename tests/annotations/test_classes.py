"""The class table: mask values, colours, priority, and sentences that help."""

from pathlib import Path

import pytest
import shapely

from napari_histoaug.annotations import (
    AnnotationError,
    ClassTable,
    Document,
    Feature,
    UnknownClassError,
    preset_names,
    rasterize,
)

HEART = ("endocardium", "inflammation", "blood_vessel", "fatty_tissue")


def test_names_give_indices_values_and_distinct_colours() -> None:
    table = ClassTable.from_names(HEART)
    assert table.names == HEART
    assert [table.index_of(name) for name in HEART] == [0, 1, 2, 3]
    assert table.value_of("fatty_tissue") == 4
    assert len(set(table.colors)) == 4
    assert all(0 <= part <= 255 and type(part) is int for color in table.colors for part in color)
    assert table.color_of("inflammation") == table.colors[1]


def test_the_packaged_tables() -> None:
    assert set(preset_names()) == {"heart", "breast"}
    heart = ClassTable.preset("heart")
    assert heart.names == HEART
    # A vessel in fat stays visible.
    order = heart.paint_order()
    assert order.index(heart.index_of("blood_vessel")) > order.index(heart.index_of("fatty_tissue"))
    assert ClassTable.preset("breast").names == ("blood_vessel",)


def test_an_unknown_class_names_the_nearest() -> None:
    heart = ClassTable.preset("heart")
    with pytest.raises(AnnotationError, match=r"'Blood Vessel'.*did you mean 'blood_vessel'"):
        heart.index_of("Blood Vessel")
    with pytest.raises(AnnotationError, match=r"known are endocardium, inflammation"):
        heart.index_of("zzz")


def test_names_match_exactly_by_alias_or_by_the_base_of_a_derived_class(tmp_path: Path) -> None:
    path = tmp_path / "table.yaml"
    path.write_text(
        "classes:\n  - {name: fat, color: [1, 2, 3], aliases: [Fettgewebe]}\n"
        "  - {name: 'fat: brown', color: [4, 5, 6]}\n"
    )
    table = ClassTable.from_yaml(path)
    assert table.find("Fettgewebe") == 0
    assert table.find(" fat ") == 0
    assert table.find("fat: white") == 0
    assert table.find("fat: brown") == 1
    assert table.find("Fat") is None
    assert "fat" in table
    assert "Fat" not in table


def test_overlap_order_is_priority_then_place_in_the_table(tmp_path: Path) -> None:
    path = tmp_path / "table.yaml"
    path.write_text(
        "classes:\n"
        + "".join(
            f"  - {{name: {name}, color: [0, 0, 0], priority: {priority}}}\n"
            for name, priority in (("a", 1), ("b", 5), ("c", 1), ("d", 0))
        )
    )
    # Painted last wins: b has the highest priority, a stands before c.
    assert ClassTable.from_yaml(path).paint_order() == (3, 2, 0, 1)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("classes: []", "classes"),
        ("classes:\n  - {name: a, color: [0, 0, 256]}", r"classes\.0\.color\.2"),
        ("classes:\n  - {name: a, color: [0, 0, 0], colour: red}", r"classes\.0\.colour"),
        ("classes:\n  - {name: a, color: [0, 0, 0]}\n  - {name: a, color: [0, 0, 0]}", "twice"),
        ("- 1", "table.yaml"),
        ("classes: [}", "not valid YAML"),
    ],
)
def test_a_wrong_table_is_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "table.yaml"
    path.write_text(text)
    with pytest.raises(AnnotationError, match=sentence) as caught:
        ClassTable.from_yaml(path)
    assert "\n" not in str(caught.value)


def test_a_missing_table_and_preset_are_sentences(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="cannot be read"):
        ClassTable.from_yaml(tmp_path / "none.yaml")
    with pytest.raises(AnnotationError, match="choose one of breast, heart"):
        ClassTable.preset("../heart")


def test_unknown_classes_stop_with_a_list() -> None:
    heart = ClassTable.preset("heart")
    heart.check({"blood_vessel": 5, "fatty_tissue: brown": 1, "Ignore*": 4, None: 7})
    with pytest.raises(UnknownClassError) as caught:
        heart.check({"Fat": 2, "blood_vessle": 12, "inflammation": 1, "Tumor": 3}, "a.geojson")
    assert caught.value.unknown == (
        ("blood_vessle", 12, "blood_vessel"),
        ("Tumor", 3, None),
        ("Fat", 2, None),
    )
    sentence = str(caught.value)
    assert sentence.startswith("a.geojson use classes that the class table (endocardium, ")
    assert "'blood_vessle' (12, nearest 'blood_vessel'), 'Tumor' (3), 'Fat' (2)" in sentence
    assert "\n" not in sentence


def test_aliases_and_ignored_classes_are_known(tmp_path) -> None:
    path = tmp_path / "table.yaml"
    path.write_text(
        "classes:\n"
        "  - {name: fatty_tissue, color: [1, 2, 3], aliases: [Fat, 'Fettgewebe']}\n"
        "  - {name: artefact, color: [1, 2, 3], ignore: true}\n"
    )
    table = ClassTable.from_yaml(path)
    table.check({"Fat": 1, "Fettgewebe": 2, "artefact": 3, "Region*": 4})
    assert table.is_ignored("artefact")
    assert not table.is_ignored("Fat")
    box = shapely.box(0, 0, 4, 4)
    document = Document.from_features([Feature.new(box, "Fat"), Feature.new(box, "artefact")])
    assert (rasterize(document, table, (0, 0, 4, 4)) == 1).all()
