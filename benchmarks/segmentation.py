"""Claims: whole slides are predicted faster and in less memory than by a plain loop; maps and FID.

Prints processor seconds, which other programs on the machine hardly change, with the peak memory of
a process of its own for each:

- predict: a generated slide, half of it glass, with one network; ours where there is tissue, ours
  everywhere, a plain openslide + DataLoader loop that adds windows up in memory, once calling the
  network as plain PyTorch does (float32) and once as we do, and MONAI's sliding window over the
  slide in memory where MONAI is installed;
- memory: a generated slide of 100,000 x 100,000 pixels, 4 % of it tissue, with a network of one
  multiplication in place of a real one: what is measured is everything around the network;
- compare: the error map of a pair of label images, with and without matching objects;
- fid: the Fréchet distance of 2,048 features of 10,000 pictures, ours and torch-fidelity's.

    python benchmarks/segmentation.py predict [--side 8192] [--rounds 3]
    python benchmarks/segmentation.py memory [--side 100000]
    python benchmarks/segmentation.py compare [--side 40000]
    python benchmarks/segmentation.py fid [--pictures 10000] [--rounds 3]
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

PATCH, BATCH = 512, 4
WAYS = ("ours_on_tissue", "ours_everywhere", "plain_loop", "plain_loop_our_call", "monai_window")


def make_slide(path: Path, side: int) -> None:
    """Write a tiled JPEG pyramid: tissue-like noise on the left, glass on the right."""
    import tifffile

    rng = np.random.default_rng(0)
    coarse = rng.integers(110, 210, (side // 16, side // 16, 3), np.uint8)
    image = coarse.repeat(16, 0).repeat(16, 1) + rng.integers(0, 30, (side, side, 3), np.uint8)
    image[:, side // 2 :] = 245
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        for level in range(3):
            writer.write(
                image[:: 2**level, :: 2**level], tile=(256, 256), photometric="rgb",
                compression="jpeg", subfiletype=int(level > 0), metadata=None,
                resolution=(2e4, 2e4), resolutionunit="CENTIMETER",
            )  # fmt: skip


def make_segmenter(folder: Path) -> None:
    """Write an untaught segmenter; what it says does not matter here."""
    import torch

    from napari_histoaug.models import SegmentationUNet, SegmentationUNetConfig
    from napari_histoaug.models.segmenter_folder import SegmenterIndex, save_segmenter

    torch.manual_seed(0)
    shape = SegmentationUNetConfig(encoder="resnet18", width=8, decoder=(32, 16, 16, 8, 8))
    index = SegmenterIndex(
        name="b", classes=("vessel",), mpp=(0.5, 0.5), patch=PATCH, thresholds=(0.5,)
    )
    save_segmenter(folder, index, SegmentationUNet(shape).eval())


def ours_on_tissue(folder: Path) -> None:
    """Predict where there is tissue."""
    _ours(folder, tissue=True)


def ours_everywhere(folder: Path) -> None:
    """Predict every window."""
    _ours(folder, tissue=False)


def _ours(folder: Path, tissue: bool) -> None:
    from napari_histoaug.segmentation import load_segmenter
    from napari_histoaug.segmentation.many_slides import find_on_slide
    from napari_histoaug.slides import open_slide

    segmenter = load_segmenter(folder / "segmenter", "cpu")
    with tempfile.TemporaryDirectory() as out, open_slide(folder / "slide.tif") as slide:
        find_on_slide(segmenter, slide, Path(out) / "p.zarr", tissue=tissue, batch=BATCH)


def plain_loop(folder: Path) -> None:
    """A plain loop that calls the network in float32."""
    import torch

    unet = _unet(folder)

    def probabilities(images: Any) -> Any:
        with torch.inference_mode():
            return torch.sigmoid(unet(images.permute(0, 3, 1, 2).float() / 127.5 - 1)).numpy()

    _plain(folder, probabilities)


def plain_loop_our_call(folder: Path) -> None:
    """A plain loop that calls the network as ours does, in half precision where that is faster."""
    from napari_histoaug.segmentation import load_segmenter

    segmenter = load_segmenter(folder / "segmenter", "cpu")
    _plain(folder, lambda images: segmenter.probabilities(images.numpy()))


def _unet(folder: Path) -> Any:
    from napari_histoaug.models.segmenter_folder import load_segmenter_parts

    return load_segmenter_parts(folder / "segmenter").unet.eval()


def _plain(folder: Path, probabilities: Any) -> None:
    """Windows by openslide in a DataLoader, added up in two arrays of the slide's size."""
    import openslide
    import torch

    from napari_histoaug.segmentation.overlap import window_weights

    slide = openslide.OpenSlide(str(folder / "slide.tif"))
    width, height = slide.dimensions
    half = PATCH // 2
    places = [(y, x) for y in range(-half, height, half) for x in range(-half, width, half)]

    class Windows(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return len(places)

        def __getitem__(self, index: int) -> Any:
            y, x = places[index]
            region = slide.read_region((x, y), 0, (PATCH, PATCH))
            return np.array(region.convert("RGB")), y, x

    total = np.zeros((height + PATCH, width + PATCH), np.float32)
    weights = window_weights(PATCH)
    for images, ys, xs in torch.utils.data.DataLoader(Windows(), batch_size=BATCH):
        found = probabilities(images)[:, 0]
        for part, y, x in zip(found, ys.tolist(), xs.tolist(), strict=True):
            total[y + half : y + half + PATCH, x + half : x + half + PATCH] += part * weights
    np.rint(total * 255).astype(np.uint8)


def monai_window(folder: Path) -> None:
    """MONAI's sliding window over the whole image in memory."""
    import openslide
    import torch
    from monai.inferers import sliding_window_inference

    unet = _unet(folder)
    slide = openslide.OpenSlide(str(folder / "slide.tif"))
    region = np.asarray(slide.read_region((0, 0), 0, slide.dimensions).convert("RGB"))
    image = torch.from_numpy(region.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.inference_mode():
        sliding_window_inference(
            image, PATCH, BATCH, lambda x: torch.sigmoid(unet(x)), overlap=0.5,
            mode="gaussian",
        )  # fmt: skip


def make_large_slide(path: Path, side: int) -> None:
    """Write a slide of glass with tissue-like noise in 4 % of it, level by level, tile by tile."""
    import simplejpeg
    import tifffile

    rng = np.random.default_rng(0)
    noise = rng.integers(110, 210, (32, 32, 3), np.uint8).repeat(16, 0).repeat(16, 1)
    glass = np.full((512, 512, 3), 245, np.uint8)
    tissue, empty = (simplejpeg.encode_jpeg(t, 80, "RGB", "420") for t in (noise, glass))
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        for level in range(4):
            size = side // 4**level
            count = -(-size // 512)
            # Tissue is a square a fifth as wide as the slide.
            inside = {n for n in range(count) if 0.4 * size <= n * 512 < 0.6 * size}
            tiles = (
                tissue if row in inside and column in inside else empty
                for row in range(count)
                for column in range(count)
            )  # fmt: skip
            writer.write(
                tiles, shape=(size, size, 3), dtype=np.uint8, tile=(512, 512),
                photometric="ycbcr", subsampling=(2, 2), compression="jpeg",
                subfiletype=int(level > 0), metadata=None, resolution=(2e4, 2e4),
                resolutionunit="CENTIMETER",
            )  # fmt: skip


def cheap_network(folder: Path) -> None:
    """The large slide, a network of one multiplication in place of a real one."""
    import torch

    from napari_histoaug.models.segmenter_folder import SegmenterIndex
    from napari_histoaug.segmentation import Segmenter
    from napari_histoaug.segmentation.many_slides import find_on_slide
    from napari_histoaug.slides import open_slide

    class Pale(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return x[:, :1] * 4

    index = SegmenterIndex(
        name="pale", classes=("vessel",), mpp=(0.5, 0.5), patch=PATCH, thresholds=(0.5,)
    )
    segmenter = Segmenter(Pale(), index, "0" * 64, torch.device("cpu"))  # type: ignore[arg-type]
    with tempfile.TemporaryDirectory() as out, open_slide(folder / "slide.tif") as slide:
        find_on_slide(segmenter, slide, Path(out) / "p.zarr", batch=BATCH)


def memory(side: int) -> None:
    """Print seconds and peak memory of a slide of `side` pixels."""
    with tempfile.TemporaryDirectory() as name:
        make_large_slide(Path(name) / "slide.tif", side)
        seconds, peak = measured("cheap_network", Path(name))
    print(f"{side} x {side}, 4 % tissue, one multiplication: {seconds:.0f} s, {peak:.0f} MB")


def make_pair(folder: Path, side: int) -> None:
    """Write two label images that differ at the edges of 3 % of blobs."""
    import zarr
    from scipy import ndimage

    rng = np.random.default_rng(0)
    tile = ndimage.gaussian_filter(rng.standard_normal((2048, 2048)), 12, mode="wrap") > 0.045
    parts = (tile, np.roll(tile, (3, 2), (0, 1)))
    for name, part in zip(("truth", "found"), parts, strict=True):
        group = zarr.create_group(str(folder / f"{name}.zarr"))
        array = group.create_array("0", shape=(side, side), dtype="uint8", chunks=(2048, 2048))
        for y in range(0, side, 2048):
            for x in range(0, side, 2048):
                height, width = min(2048, side - y), min(2048, side - x)
                array[y : y + height, x : x + width] = part[:height, :width]
        scale = [{"type": "scale", "scale": [0.5, 0.5]}]
        axes = [{"name": n, "type": "space", "unit": "micrometer"} for n in "yx"]
        datasets = [{"path": "0", "coordinateTransformations": scale}]
        group.attrs["ome"] = {
            "version": "0.5",
            "multiscales": [{"axes": axes, "datasets": datasets}],
        }


def map_only(folder: Path) -> None:
    """Pixel counts and the error map with its coarse levels."""
    _compare(folder, objects=False)


def map_and_objects(folder: Path) -> None:
    """The same, and all objects matched."""
    _compare(folder, objects=True)


def _compare(folder: Path, objects: bool) -> None:
    from napari_histoaug.segmentation import compare, open_pair

    pair = open_pair(folder / "truth.zarr", folder / "found.zarr", ["vessel"])
    with tempfile.TemporaryDirectory() as out:
        found = compare(pair, objects=objects, out=Path(out) / "errors.zarr")
    print(f"  {found.pixels['vessel']}", file=sys.stderr)
    if objects:
        print(f"  objects: {found.objects['vessel'].counts}", file=sys.stderr)


def measured(name: str, folder: Path) -> tuple[float, float]:
    """Processor seconds, without imports, and peak memory, MB, of one way in its own process."""
    done = subprocess.run(
        [sys.executable, __file__, "run", name, str(folder)],
        check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    seconds, memory = json.loads(done.stdout.splitlines()[-1])
    return seconds, memory


def run(name: str, folder: Path) -> None:
    """Do one thing here and print seconds and peak memory."""
    import torch  # noqa: F401

    import napari_histoaug.segmentation  # noqa: F401

    start = time.process_time()
    globals()[name](folder)
    seconds = time.process_time() - start
    print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))


def predict(side: int, rounds: int) -> None:
    """Print seconds and memory of every way, and how many times ours is faster."""
    ways = [w for w in WAYS if w != "monai_window" or importlib.util.find_spec("monai")]
    if len(ways) < len(WAYS):
        print("MONAI is not installed and is left out")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_slide(folder / "slide.tif", side)
        make_segmenter(folder / "segmenter")
        found: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
        for _ in range(rounds):
            for way in ways:
                found[way].append(measured(way, folder))
    seconds = {way: statistics.median(s for s, _ in found[way]) for way in ways}
    for way in ways:
        memory = statistics.median(m for _, m in found[way])
        print(
            f"{side} px, {way:16s} {seconds[way]:7.1f} s, {memory:6.0f} MB; on tissue we are "
            f"{seconds[way] / seconds['ours_on_tissue']:.2f}x, everywhere "
            f"{seconds[way] / seconds['ours_everywhere']:.2f}x as fast"
        )


def compare_pair(side: int) -> None:
    """Print seconds and memory of an error map."""
    with tempfile.TemporaryDirectory() as name:
        make_pair(Path(name), side)
        for way in ("map_only", "map_and_objects"):
            seconds, memory = measured(way, Path(name))
            print(f"{side} x {side}, {way:16s} {seconds:6.1f} s, {memory:6.0f} MB", flush=True)


def fid(pictures: int, rounds: int) -> None:
    """Print seconds of both and their difference."""
    from unittest.mock import MagicMock

    for part in ("", ".datasets", ".models", ".transforms", ".transforms.functional"):
        # torch-fidelity imports it for other purposes; its arithmetic needs none of it.
        sys.modules[f"torchvision{part}"] = MagicMock()
    import torch
    from torch_fidelity import metric_fid

    from napari_histoaug.metrics import frechet_distance

    rng = np.random.default_rng(0)
    mixing = rng.standard_normal((2048, 2048)).astype(np.float32) / 45
    real, made = (
        (rng.standard_normal((pictures, 2048)).astype(np.float32) @ mixing) * s for s in (1, 1.1)
    )
    times: dict[str, list[float]] = {"ours": [], "torch-fidelity": []}
    values = {}
    for _ in range(rounds):
        start = time.process_time()
        values["ours"] = frechet_distance(real, made)
        times["ours"].append(time.process_time() - start)
        start = time.process_time()
        moments = [metric_fid.fid_features_to_statistics(torch.from_numpy(f)) for f in (real, made)]
        found = metric_fid.fid_statistics_to_metric(*moments, False)
        values["torch-fidelity"] = found["frechet_inception_distance"]
        times["torch-fidelity"].append(time.process_time() - start)
    middle = {name: statistics.median(each) for name, each in times.items()}
    for name, seconds in middle.items():
        print(f"FID of {pictures} pictures, {name:14s} {seconds:6.1f} s, {values[name]:.8f}")
    print(f"ours is {middle['torch-fidelity'] / middle['ours']:.2f}x as fast")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("what", choices=("predict", "memory", "compare", "fid", "run"))
    parser.add_argument("rest", nargs="*")
    parser.add_argument("--side", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pictures", type=int, default=10_000)
    given = parser.parse_args()
    if given.what == "run":
        run(given.rest[0], Path(given.rest[1]))
    elif given.what == "predict":
        predict(given.side or 8192, given.rounds)
    elif given.what == "memory":
        memory(given.side or 100_000)
    elif given.what == "compare":
        compare_pair(given.side or 40_000)
    else:
        fid(given.pictures, given.rounds)


if __name__ == "__main__":
    main()
