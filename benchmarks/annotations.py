"""Annotations from GeoJSON to a class mask: our index against geopandas with rasterio.

    python benchmarks/annotations.py [--polygons 50000] [--corners 60] [--rounds 3]

Both read the same generated file, as QuPath writes it, and paint two classes into one mask of the
whole slide at 8x. The peer reads with ``geopandas.read_file`` (GDAL through pyogrio, its fastest
way) and paints with ``rasterio.features.rasterize``. The masks are compared pixel by pixel. Peak
memory is that of a process that does nothing else. Times are processor seconds.
``pip install 'napari-histoaug[bench]'`` installs the peer.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

SIDE, DOWNSAMPLE = 40_000, 8
CLASSES = ("blood_vessel", "fatty_tissue")
Mask = np.ndarray


def write_annotations(path: Path, count: int, corners: int) -> None:
    """Write outlines of many corners, spread over a slide, two decimals each."""
    rng = np.random.default_rng(0)
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    with path.open("w") as file:
        file.write('{"type":"FeatureCollection","features":[')
        for i in range(count):
            radius = rng.uniform(10, 60) * (1 + 0.15 * np.sin(3 * angles + rng.uniform(0, 6)))
            outline = np.stack([np.cos(angles), np.sin(angles)], 1) * radius[:, None]
            ring = (outline + rng.uniform(100, SIDE - 100, 2)).round(2).tolist()
            color = [220, 30, 40]
            feature = {
                "type": "Feature",
                "id": f"6423a977-ffff-48db-affc-{i:012x}",
                "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]},
                "properties": {
                    "objectType": "annotation",
                    "classification": {"name": CLASSES[i % 2], "color": color},
                },
            }
            text = json.dumps(feature, separators=(",", ":"))
            file.write(("," if i else "") + text)
        file.write("]}")


def ours(path: Path) -> tuple[float, float, Mask]:
    """Processor seconds to read and to paint, and the mask."""
    from napari_histoaug.annotations import AnnotationIndex, ClassTable, rasterize

    table = ClassTable.from_names(CLASSES)
    start = time.process_time()
    index = AnnotationIndex.from_file(path)
    read = time.process_time()
    mask = rasterize(index, table, (0, 0, SIDE, SIDE), (DOWNSAMPLE, DOWNSAMPLE))
    return read - start, time.process_time() - read, mask


def geopandas_rasterio(path: Path) -> tuple[float, float, Mask]:
    """The same with the peer; the first class wins overlaps, as it does with us."""
    import geopandas
    from affine import Affine
    from rasterio.features import rasterize

    start = time.process_time()
    frame = geopandas.read_file(path)
    read = time.process_time()
    names = [found["name"] for found in frame["classification"]]
    shapes = [
        (geometry, value)
        for value in (2, 1)
        for geometry, name in zip(frame.geometry, names, strict=True)
        if name == CLASSES[value - 1]
    ]
    mask = rasterize(
        shapes,
        out_shape=(SIDE // DOWNSAMPLE,) * 2,
        transform=Affine.scale(DOWNSAMPLE),
        dtype="uint8",
    )
    return read - start, time.process_time() - read, mask


WAYS: dict[str, Callable[[Path], tuple[float, float, Mask]]] = {
    "ours": ours,
    "geopandas + rasterio": geopandas_rasterio,
}


def peak_memory(path: Path, name: str) -> float:
    """MB that a process of its own needs beyond what it needs for an empty file."""
    empty = path.with_name("empty.geojson")
    write_annotations(empty, 2, 8)
    peaks = []
    for one in (empty, path):
        command = [sys.executable, __file__, "--memory-of", name, "--file", str(one)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks.append(float(done.stdout))
    return peaks[1] - peaks[0]


def high_water() -> float:
    """Peak resident MB of this process (Linux; ru_maxrss would begin with its parent's)."""
    status = Path("/proc/self/status").read_text()
    return float(status.split("VmHWM:")[1].split()[0]) / 1e3


def compare(path: Path, rounds: int) -> None:
    """Print medians and ratios."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in WAYS}
    masks = {}
    for _ in range(rounds):
        for name, way in WAYS.items():
            read, painted, masks[name] = way(path)
            times[name].append((read, painted))
    same = np.array_equal(*masks.values())
    print(f"masks equal: {same}; painted pixels: {int((masks['ours'] > 0).sum())}")
    totals = {}
    for name, found in times.items():
        read, painted = (statistics.median(part) for part in zip(*found, strict=True))
        totals[name] = statistics.median(map(sum, found))
        memory = peak_memory(path, name)
        print(f"{name:22s} read {read:6.2f} s  paint {painted:6.2f} s  memory {memory:6.0f} MB")
    ratio = totals["geopandas + rasterio"] / totals["ours"]
    print(f"read and paint: {ratio:.2f}x as fast as geopandas + rasterio (goal 3x)")


def main() -> None:
    """Compare on one generated file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--polygons", type=int, default=50_000)
    parser.add_argument("--corners", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.memory_of:
        WAYS[given.memory_of](given.file)
        print(high_water())
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "annotations.geojson"
        write_annotations(path, given.polygons, given.corners)
        size = path.stat().st_size / 1e6
        print(f"{given.polygons} polygons of {given.corners} corners, {size:.0f} MB")
        compare(path, given.rounds)


if __name__ == "__main__":
    main()
