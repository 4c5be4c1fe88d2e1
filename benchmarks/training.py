"""Claim: a training step costs no more than the usual diffusers loop, and does not wait for data.

Ours is the whole step of ``learning.loop`` on the bundled configuration: batch, two-level time,
SPADE labels, loss in the hole, clipping, Adam, average. The peer is the loop of diffusers' training
examples around a UNet2DModel of the same number of parameters, at the same size, batch and
precision, with its EMAModel. Both in one process, in turn; medians, by the clock and by processor
time, which a busy machine disturbs less. Tissue is random and in memory. Freed memory is kept (see
:func:`.keep_freed_memory`), which the peer has from us here.

    python benchmarks/training.py [--steps 20] [--batch 16]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import DDPMScheduler, UNet2DModel
from diffusers.training_utils import EMAModel

from napari_histoaug.learning.batches import Loader
from napari_histoaug.learning.config import DiffusionTraining
from napari_histoaug.learning.diffusion import DiffusionTask, new_unet
from napari_histoaug.learning.loop import Run
from napari_histoaug.learning.tissue import Region, Tissue

CHANNELS, FACTOR, CROP = 12, 8, 256
PEER_WIDTHS = (96, 192, 224)


def tissue() -> Tissue:
    """Latents of a size like those of the bundled generator, with a few labelled rectangles."""
    rng = np.random.default_rng(0)
    regions = []
    for _ in range(16):
        labels = np.zeros((512, 512), np.uint8)
        for y, x in rng.integers(0, 400, (4, 2)):
            labels[y : y + 90, x : x + 70] = 1
        side = 512 // FACTOR
        state = rng.standard_normal((side, side, CHANNELS)).astype(np.float16)
        regions.append(Region(state, labels))
    return Tissue(regions, FACTOR)


def our_run(folder: Path, batch: int) -> Run:
    """A run with the bundled shape."""
    config = DiffusionTraining.model_validate(
        {
            "data": {"tiles": ".", "train_cases": ["a"], "validation_cases": ["b"], "crop": CROP},
            "model": {
                "width": 96,
                "multipliers": [1, 2, 2],
                "blocks": 1,
                "spade_hidden": 32,
                "label_input": True,
            },
            "loop": {"out": folder, "steps": 10**6, "batch": batch, "precision": "bf16"},
            "full_share": 0.3,
        }
    )
    source = tissue()
    run = Run(new_unet(config, source), DiffusionTask(config, source, source), config.loop)
    run.loader = Loader(run._make, config.loop.ahead)
    return run


def peer_step(batch: int) -> tuple[Callable[[], None], int]:
    """One step of the usual diffusers loop, and its network's parameters."""
    torch.manual_seed(0)
    model = UNet2DModel(
        sample_size=CROP // FACTOR,
        in_channels=CHANNELS,
        out_channels=CHANNELS,
        layers_per_block=1,
        block_out_channels=PEER_WIDTHS,
        down_block_types=("DownBlock2D",) * 3,
        up_block_types=("UpBlock2D",) * 3,
        norm_num_groups=16,
    )
    model.to(memory_format=torch.channels_last)  # as ours; it helps the peer, too
    scheduler = DDPMScheduler(num_train_timesteps=1000, prediction_type="v_prediction")
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    average = EMAModel(model.parameters(), decay=0.9999)
    side = CROP // FACTOR

    def step() -> None:
        clean = torch.randn(batch, CHANNELS, side, side)
        noise = torch.randn_like(clean)
        t = torch.randint(0, 1000, (batch,))
        noisy = scheduler.add_noise(clean, noise, t).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            out = model(noisy, t).sample
        loss = F.mse_loss(out.float(), scheduler.get_velocity(clean, noise, t))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        average.step(model.parameters())

    return step, sum(p.numel() for p in model.parameters())


def timed(step: Callable[[], object]) -> tuple[float, float]:
    """Seconds of one call: by the clock, and of processor time over all threads."""
    clock, processor = time.perf_counter(), time.process_time()
    step()
    return time.perf_counter() - clock, time.process_time() - processor


def main() -> None:
    """Time both in turn and print the ratio and the data wait."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch", type=int, default=16)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = our_run(Path(folder), given.batch)
        peer, parameters = peer_step(given.batch)

        def ours() -> None:
            run._step()
            run.progress.step += 1

        for warm in (ours, peer, ours, peer):
            warm()
        times: dict[str, list[tuple[float, float]]] = {"ours": [], "peer": []}
        for _ in range(given.steps):
            times["ours"].append(timed(ours))
            times["peer"].append(timed(peer))
        # In turn, batches are ready before they are asked for: the wait is told of steps in a row.
        before = run.loader.waited
        in_a_row = [timed(ours)[0] for _ in range(given.steps)]
        wait = (run.loader.waited - before) / sum(in_a_row)
        run.loader.close()
    count = sum(p.numel() for p in run.bare.parameters())
    print(f"threads {torch.get_num_threads()}, batch {given.batch}, {CHANNELS} x 32 x 32, bf16")
    medians = {}
    for name, size in (("ours", count), ("peer", parameters)):
        medians[name] = [statistics.median(each) for each in zip(*times[name], strict=True)]
        clock, processor = medians[name]
        print(
            f"{name}: {size / 1e6:.2f} M parameters, {clock:.3f} s a step by the clock, "
            f"{processor:.3f} s of processor time"
        )
    ratios = [a / b for a, b in zip(medians["ours"], medians["peer"], strict=True)]
    print(f"ratio ours / peer: {ratios[0]:.2f} by the clock, {ratios[1]:.2f} by processor time")
    print(f"data wait: {wait:.1%} of a step")


if __name__ == "__main__":
    main()
