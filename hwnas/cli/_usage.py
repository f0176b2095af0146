"""Wrong usage: what is wrong in the words of the command line, whatever files and devices there are.

Exit code 2, before any work. What files and devices get wrong stays an error (exit code 1).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

from hwnas.errors import HwnasError


@contextmanager
def usage() -> Iterator[None]:
    """An error in here is wrong usage: for what is made of the options' values alone."""
    try:
        yield
    except HwnasError as error:
        raise typer.BadParameter(str(error)) from error


def checked(check: Callable[[Any], object]) -> Callable[[Any], Any]:
    """A callback of an option that has each of its values checked where one is given.

    Args:
        check: Raises HwnasError for a wrong value.
    """

    def callback(value: Any) -> Any:
        with usage():
            for each in value if isinstance(value, list | tuple) else (value,):
                if each is not None:
                    check(each)
        return value

    return callback


def one_of(what: str, allowed: Collection[str]) -> Callable[[Any], Any]:
    """A callback of an option whose value must be one of some words."""

    def check(value: str) -> None:
        if value not in allowed:
            raise HwnasError(f"{what} must be one of {', '.join(allowed)}, but got {value!r}")

    return checked(check)


def share(what: str, *, least: float = 0.0, under: float = 1.0) -> Callable[[Any], Any]:
    """A callback of an option whose value must be at least something, and under something."""

    def check(value: float) -> None:
        if not least <= value < under:
            raise HwnasError(f"{what} must be in [{least:g}, {under:g}), but got {value:g}")

    return checked(check)


def at_least(what: str, value: int, least: int) -> int:
    """The value, or HwnasError where it is too small."""
    if value < least:
        raise HwnasError(f"{what} must be at least {least}, but got {value}")
    return value


def device(value: str | None) -> str | None:
    """A callback: a device that is described; a damaged description is no wrong usage."""
    from hwnas import device as devices

    known = devices.load_all()
    if value is not None and value not in known:
        with usage():
            devices.load(value)
    return value


def budget(text: str) -> None:
    """Raise HwnasError where a text is no budget, whatever the range is."""
    from hwnas.budget import Budget

    Budget.read(text)


def space(name: str) -> None:
    """Raise HwnasError where there is no space of a name."""
    from hwnas import spaces

    spaces.load(name)


def benchmark_dataset(name: str) -> None:
    """Raise HwnasError where no benchmark has a data set of a name."""
    from hwnas.evaluators.tabular.nasbench201 import SPLITS

    if name not in SPLITS:
        raise HwnasError(f"dataset must be one of {', '.join(SPLITS)}, but got {name!r}")


def host(name: str) -> None:
    """Raise HwnasError where a text can be no name or address of a machine."""
    if not re.fullmatch(r"[A-Za-z0-9._:-]+", name):
        raise HwnasError(f"a host must be a name or an address, but got {name!r}")


def pool(text: str) -> None:
    """Raise HwnasError where a text asks for no pool of workers."""
    from hwnas.pools import PoolSpec

    PoolSpec.read(text)


def task(name: str) -> None:
    """Raise HwnasError where there is no task of a name; loads none."""
    from hwnas import tasks

    tasks.require(name)


def known_network(name: str) -> None:
    """Raise HwnasError where a name is none of a network that others trained, nor a run's folder."""
    from hwnas.known import pretrained

    if not Path(name).expanduser().is_dir():
        pretrained.sources_of(name)


def network(name: str) -> None:
    """Raise HwnasError where a name is neither of a network that can be made nor of weights, nor a folder."""
    from hwnas import known

    if known.knows(name):
        known.load(name)
    else:
        known_network(name)


def strategy(name: str) -> None:
    """Raise HwnasError where there is no strategy of a name; loads none."""
    from hwnas.search import require_strategy

    require_strategy(name)


def objective(name: str) -> None:
    """Raise HwnasError where nothing of a name can be wanted little of."""
    from hwnas.search.objective import require_objective

    require_objective(name)


def latency_model(name: str) -> None:
    """Raise HwnasError where there is no latency model of a name."""
    from hwnas.latency.store import require_model

    require_model(name)


def given(context: typer.Context, *names: str) -> list[str]:
    """Those of some parameters that were given on the command line, as they are written there."""
    by_name = {parameter.name: parameter for parameter in context.command.params}
    found = []
    for name in names:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            found.append(by_name[name].opts[0])
    return found


def max_rounds(context: typer.Context) -> None:
    """Refuse --max-rounds below the rounds that everything gets; a default gives way instead.

    Raises:
        typer.BadParameter: It was given so.
    """
    rounds, most = context.params["rounds"], context.params["max_rounds"]
    if given(context, "max_rounds") and most < rounds:
        raise typer.BadParameter(
            f"--max-rounds must be at least --rounds, which all get, but got {most} < {rounds}: raise it, or "
            "lower --rounds"
        )


def no_effect(context: typer.Context, *names: str, needs: str) -> None:
    """Refuse options that would do nothing.

    Args:
        context: Of the command.
        names: Parameters that do nothing as things are.
        needs: What they need: the end of a sentence.

    Raises:
        typer.BadParameter: One of them was given.
    """
    if odd := given(context, *names):
        raise typer.BadParameter(f"{', '.join(odd)} must only be given {needs}")
