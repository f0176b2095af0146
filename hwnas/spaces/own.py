"""Networks of one's own: each is a space of one architecture, which its file describes whole.

No name makes such a space again, so ``arch.json`` has all of it: the keys of its blocks, what they read, and
the shape of an image. Whoever reads one makes the space known to this process, where ``load`` finds it under
its name ``own-<fingerprint>``. The space of all that is cheaper than it, ``from:own-<fingerprint>``, is told
in the same way, with the network as its origin.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, cast

from hwnas import blocks
from hwnas.errors import SpaceError
from hwnas.space import Block, Choice, SearchSpace, Shape

PREFIX = "own-"
AROUND = "from:"
"""Before the name of a network: the space of all that is cheaper than it."""

_KNOWN: dict[str, SearchSpace] = {}


def space(
    input_shape: Shape, stem: Sequence[Block], choices: Sequence[Choice], head: Sequence[Block]
) -> SearchSpace:
    """The space of a network, which is known from now on.

    Args:
        input_shape: Of one image.
        stem: Blocks before the choices.
        choices: Of one candidate each.
        head: Blocks after the choices.

    Raises:
        SpaceError: Two parts do not fit.
    """
    made = SearchSpace(PREFIX, input_shape, tuple(stem), tuple(choices), tuple(head), is_told_whole=True)
    made = replace(made, name=f"{PREFIX}{made.fingerprint}")
    return _KNOWN.setdefault(made.name, made)


def around(network: SearchSpace, choices: Sequence[Choice], origin: Sequence[int]) -> SearchSpace:
    """The space of all that is cheaper than a network, which is known from now on.

    Args:
        network: As of ``space``.
        choices: Its own, with what may take the place of its blocks.
        origin: Where its own blocks are among the candidates.

    Raises:
        SpaceError: Two parts do not fit.
    """
    made = replace(
        network,
        name=f"{AROUND}{network.name}",
        choices=tuple(choices),
        origin=tuple(map(int, origin)),
        typed=f"{AROUND}{network.typed}" if network.typed else "",
    )
    _KNOWN[made.name] = made
    return made


def told(data: Mapping[str, Any]) -> SearchSpace:
    """The space that ``SearchSpace.to_json`` told.

    Raises:
        SpaceError: It is not told as it must be.
    """
    try:
        shape = tuple(int(size) for size in data["input_shape"])
        stem, head = ([blocks.parse(str(key)) for key in data[part]] for part in ("stem", "head"))
        choices = [
            Choice(
                str(choice["name"]),
                tuple(blocks.parse(str(key)) for key in choice["candidates"]),
                tuple(tuple(map(str, reads)) for reads in choice["reads"]),
                str(choice.get("follows", "")),
            )
            for choice in data["choices"]
        ]
    except SpaceError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise SpaceError(
            f"a network of one's own must be told whole, but its file is not as hwnas writes it ({error!r}): "
            "import the model again"
        ) from error
    if len(shape) != 3:
        raise SpaceError(f"the shape of an image must have three sizes, but got {shape}: import it again")
    if (origin := data.get("origin")) is None:
        return space(shape, stem, choices, head)
    return around(space(shape, stem, _chosen(choices, origin), head), choices, origin)


def _chosen(choices: Sequence[Choice], origin: Any) -> list[Choice]:
    """The choices of the network that a space is around."""
    fits = isinstance(origin, list) and len(origin) == len(choices)
    if not fits or not all(
        type(at) is int and 0 <= at < len(choice.candidates)
        for at, choice in zip(origin, choices, strict=True)
    ):
        raise SpaceError(
            f"the origin of a space must be one of its networks, but got {origin!r}: search into another "
            "folder"
        )
    return [
        Choice(choice.name, (choice.candidates[at],), choice.reads[at : at + 1])
        for at, choice in zip(origin, choices, strict=True)
    ]


def typed(found: SearchSpace, text: str) -> SearchSpace:
    """The same space, which commands take by a text from now on."""
    _KNOWN[found.name] = made = replace(found, typed=text)
    return made


def known(name: str) -> SearchSpace | None:
    """The space of a name that this process has read; None where it has not."""
    return _KNOWN.get(name)


def load(name: str, *, resolution: int | None = None, num_classes: int | None = None) -> SearchSpace:
    """The space of a name that this process has read, or the same on other images or of other classes.

    Raises:
        SpaceError: Nothing of the name was read, or it cannot be so.
    """
    found = known(name)
    if found is None:
        raise SpaceError(
            f"a network of one's own must have been read from its arch.json, but {name!r} was not: give the "
            "folder that it was imported into in the place of its name"
        )
    if resolution is not None and resolution != found.input_shape[1]:
        shape = (found.input_shape[0], resolution, resolution)
        found = space(shape, found.stem, found.choices, found.head)
    if num_classes is not None and num_classes != found.num_classes:
        found = space(found.input_shape, found.stem, *_with_classes(found, num_classes))
    return found


def _with_classes(found: SearchSpace, num_classes: int) -> tuple[Sequence[Choice], Sequence[Block]]:
    """Choices and head where the last block tells so many classes apart."""
    if found.head:
        return found.choices, (*found.head[:-1], _classifying(found.head[-1], num_classes, found.name))
    *before, last = found.choices
    candidates = tuple(_classifying(block, num_classes, found.name) for block in last.candidates)
    return (*before, replace(last, candidates=candidates)), ()


def _classifying(block: Block, num_classes: int, name: str) -> Block:
    own: Any = block
    if is_dataclass(own) and "num_classes" in {field.name for field in fields(own)}:
        return cast(Block, replace(own, num_classes=num_classes))  # type: ignore[type-var]
    raise SpaceError(
        f"the last block of a network must be one that tells classes apart to have {num_classes}, but that "
        f"of {name} is {block.key()}: give --task with what the network is for, or pictures of as many "
        "classes as it has"
    )
