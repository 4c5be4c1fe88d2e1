"""The U-Net of segmentation_models_pytorch, a baseline that others know."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from napari_histoaug.errors import HistoaugError
from napari_histoaug.models.segmentation_unet import IMAGENET_MEAN, IMAGENET_STD


class MissingNetworkError(HistoaugError):
    """A network whose package is not installed, or does not work here."""


class SmpUNetConfig(BaseModel):
    """The shape of an :class:`SmpUNet`; stored as its ``config.json``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["smp-unet"] = "smp-unet"
    classes: int = Field(1, ge=1, description="one probability map each; background has none")
    encoder: str = Field("resnet34", description="name in segmentation_models_pytorch")
    decoder: tuple[int, int, int, int, int] = Field(
        (256, 128, 64, 32, 16), description="channels of the decoder, coarse to fine"
    )


class SmpUNet(nn.Module):
    """``segmentation_models_pytorch.Unet``, untaught, behind the face of our own network.

    Parameters
    ----------
    config : SmpUNetConfig
        The shape. Sides of the input must be multiples of :attr:`stride`.

    Raises
    ------
    MissingNetworkError
        When the package is missing or does not know the encoder.
    """

    mean: Tensor
    std: Tensor
    stride = 32

    def __init__(self, config: SmpUNetConfig) -> None:
        super().__init__()
        self.config = config
        try:
            import segmentation_models_pytorch
        except (ImportError, RuntimeError) as error:  # torchvision of another torch: the latter
            reason = str(error).splitlines()[0]
            raise MissingNetworkError(
                f"smp-unet needs segmentation_models_pytorch ({reason}): run pip install "
                "'napari-histoaug[smp]', with the torchvision that belongs to this torch."
            ) from None
        try:
            self.net = segmentation_models_pytorch.Unet(
                config.encoder,
                encoder_weights=None,  # nothing is downloaded
                decoder_channels=config.decoder,
                classes=config.classes,
            )
        except KeyError:
            raise MissingNetworkError(
                f"segmentation_models_pytorch knows no encoder {config.encoder!r}; see its list."
            ) from None
        for name, values in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD)):
            constant = torch.tensor(values)[None, :, None, None]
            self.register_buffer(name, constant, persistent=False)

    @property
    def encoder(self) -> nn.Module:
        """What pretrained weights are for."""
        encoder: nn.Module = self.net.encoder
        return encoder

    def forward(self, image: Tensor) -> Tensor:
        """Logits (B, classes, H, W) of RGB (B, 3, H, W) in [-1, 1]."""
        logits: Tensor = self.net(((image + 1) / 2 - self.mean) / self.std)
        return logits
