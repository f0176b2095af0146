"""Devices that are reached through a shell: phones over ADB, boards over SSH.

Everything that is specific to the way there is in the ``Shell``; everything else is here. Files
are kept on the device, named by their content; runs are detached from the link.
"""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
import shlex
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from hwnas import files
from hwnas.device import Device
from hwnas.errors import AgentError, HwnasError, TransportError, TransportTimeout
from hwnas.runtimes.base import CPU
from hwnas.transport import _bundle, _gate, _phone
from hwnas.transport import benchmark_model as official
from hwnas.transport._detached import Detached, removal
from hwnas.transport._shell import PATIENCE_S, Link, Shell
from hwnas.transport._store import Store, send
from hwnas.transport.base import Job, Losses, Reply, parse_reply

FOLDERS = {"adb": "/data/local/tmp/hwnas", "ssh": ".cache/hwnas"}
"""Where files go on a device unless its option ``folder`` says otherwise; relative to the home folder."""

_PLAN = "plan.jsonl"

_log = logging.getLogger(__name__)


class RemoteTransport:
    """Runs agents on a device that is reached through a shell. Implements ``Transport``.

    Args:
        shell: The way there.
        device: Its descriptor. Options that are understood: ``folder`` on the device, ``cluster``
            ("fastest", "middle" or "slowest"), ``gate`` (see ``Gate``), ``patience_s`` (how long a
            lost link may stay lost), ``launcher`` (words before the agent's command),
            ``agent_path`` (a ``benchmark_model`` of the user's) and its ``flags``, ``op_profile`` (runs in
            which each operation is timed, after the samples), ``adapter`` (a part of the name of the GPU that
            is meant, where there are several, or where it is none but software that plays one).
        identity: Something that names this one device, for the lock; never written anywhere.
        say: Told what the user should know while a run waits.
    """

    def __init__(
        self,
        shell: Shell,
        device: Device,
        *,
        identity: str = "",
        say: Callable[[str], None] = _log.warning,
    ) -> None:
        options = device.options
        self._device = device
        self._link = Link(shell, float(options.get("patience_s", PATIENCE_S)))
        self._folder = str(options.get("folder") or FOLDERS[device.transport])
        self._models = Store(self._link, "")
        self._installed: dict[str, str] = {}
        self._gate = _gate.Gate.of(options)
        self._lock = _lock(identity) if identity else None
        self._say = say
        self._facts: dict[str, str] | None = None
        self._usage: str | None = None  # of benchmark_model, which every round runs anew
        self._stack = ExitStack()

    def __enter__(self) -> RemoteTransport:
        with ExitStack() as stack:
            if self._lock is not None:
                try:
                    stack.enter_context(self._lock)
                except Timeout as error:
                    raise TransportError(
                        f"a device must be measured by one process at a time, but {self._device.name} is "
                        "in use by another: wait for it, or name another device with --serial"
                    ) from error
            stack.callback(self._link.close)
            self._link.persist(self._link.shell.connect)
            if not self._folder.startswith("/"):
                self._folder = f"{self._link.call('pwd').strip()}/{self._folder}"
            self._models = Store(self._link, f"{self._folder}/models")
            self._require_match()
            self._remove_orphans()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    @property
    def folder(self) -> str:
        """Where files go on the device."""
        return self._folder

    def ask(self, command: str) -> str:
        """Output of a command of the device's shell; raises TransportError where it fails."""
        return self._link.call(command)

    def clean(self) -> None:
        """Remove everything that hwnas keeps on the device."""
        self._link.call(f"rm -rf {shlex.quote(self._folder)}")

    @property
    def cache(self) -> str | None:
        """None: the agent there keeps nothing."""
        return None

    def take_losses(self) -> Losses:
        """See ``Transport.take_losses``; those of connecting count as well."""
        return self._link.take_losses()

    @property
    def sent(self) -> Mapping[str, int]:
        """Models sent, models found on the device already, and bytes sent."""
        return dict(self._models.sent)

    def facts(self) -> Mapping[str, str]:
        """What the device says of itself, read once."""
        if self._facts is None:
            self._facts = _phone.facts(self._link.call(_phone.FACTS))
        return self._facts

    def describe(self) -> Mapping[str, Any]:
        """Model, processor, clusters, kernel; no serial number."""
        clusters = [{**asdict(cluster), "cpus": list(cluster.cpus)} for cluster in self.clusters()]
        plain = {name: value for name, value in self.facts().items() if not name.startswith("cpu")}
        return plain | {"clusters": clusters}

    def clusters(self) -> tuple[_phone.Cluster, ...]:
        """The device's CPUs, grouped by kind, the fastest first."""
        return _phone.clusters(self.facts())

    def push(self, local: Path) -> str:
        """See ``Transport.push``; files stay on the device, to be found there the next time."""
        return self._models.push(local)

    def run(self, agent: str, jobs: Sequence[Job], *, silence_s: float) -> Iterator[Reply]:
        """See ``Transport.run``. The agent is detached: it goes on while the link is lost."""
        self.require_agent()
        placed = [self._placed(job) for job in jobs]
        if self._device.options.get("agent_path"):
            return self._run_official(placed, silence_s)
        return self._run_bundle(agent, placed, silence_s)

    def require_agent(self) -> None:
        """Raises AgentError where no agent can do what the descriptor asks for."""
        options, processor = self._device.options, self._device.processor
        of_board = processor == "gpu" and not self._is_android()
        if processor != CPU and not of_board and not options.get("agent_path"):
            raise AgentError(
                f"the {processor} of {self._device.name} must be measured by Google's benchmark_model, but "
                "that is not given, and hwnas's own agent cannot use it: give --agent-path FILE, or "
                "agent_path in a descriptor of your own; the package litert-cli keeps Google's builds "
                "that it fetched in ~/.cache/litert-cli/binaries"
            )
        if options.get("agent_path") and options.get("op_profile"):
            raise AgentError(
                "operations must be timed by hwnas's own agent, but benchmark_model was asked to: leave out "
                "--op-profile, or give benchmark_model its own flag in the option flags"
            )

    def _placed(self, job: Job) -> dict[str, Any]:
        """The job, with the CPUs of the wanted cluster where the plan leaves them open."""
        if job.get("cpus") is not None or self._device.processor != CPU:
            return dict(job)
        wanted = str(self._device.options.get("cluster", "fastest"))
        groups = self.clusters()
        cpus = _phone.choose_cpus(groups, wanted, int(job.get("threads", 1))) if groups else None
        return {**job, "cpus": list(cpus) if cpus else None}

    def _run_bundle(self, agent: str, jobs: Sequence[Job], silence_s: float) -> Iterator[Reply]:
        bundle = _bundle.find(agent, self.arch(), self._device.processor)
        here = self._install(bundle)
        command = [*_bundle.words(bundle, here, self._device.options), "--plan", _PLAN]
        asked = max((int(job.get("op_profile") or 0) for job in jobs), default=0)
        if runs := self._device.options.get("op_profile") or asked:
            command += ["--op-profile", str(runs)]
        ceilings = {cpu: g.max_khz for g in self.clusters() for cpu in g.cpus if g.max_khz}
        before = self._cool_down() if jobs else self.conditions()
        for line in self._lines(command, silence_s, jobs):
            reply = dict(parse_reply(agent, line))
            if "hello" in reply:
                reply["hello"] = self._introduced(reply["hello"], before, bundle.digest)
            elif "bye" in reply:
                reply["bye"] = _with_conditions(reply["bye"], self.conditions())
            elif found := _phone.throttling(reply, ceilings):
                reply["throttling"] = found
            yield reply

    def _install(self, bundle: _bundle.Bundle) -> str:
        """The bundle's folder on the device; its files are checked once a session."""
        if bundle.name not in self._installed:
            store = Store(self._link, f"{self._folder}/bundles/{bundle.name}")
            for name, digest in bundle.files.items():
                store.put(bundle.folder / name, name, digest, mode="755")
            self._installed[bundle.name] = f"{self._folder}/bundles/{bundle.name}"
        return self._installed[bundle.name]

    def _run_official(self, jobs: Sequence[Job], silence_s: float) -> Iterator[Reply]:
        """The official ``benchmark_model`` of the user's, one process a job."""
        program = Path(str(self._device.options["agent_path"]))
        here = self._models.push(program)
        self._link.call(f"chmod 755 {shlex.quote(here)}")
        before = self._cool_down() if jobs else self.conditions()
        yield {"hello": self._introduced(official.hello(files.sha256(program)), before, "")}
        flags = self._official_flags(here, str(jobs[0].get("precision", "fp32"))) if jobs else ()
        script = official.Script(here, jobs, self._device.processor, flags)
        for line in self._lines(script.command(), silence_s):
            yield from script.take(line)
        yield {"bye": _with_conditions({"jobs": len(jobs)}, self.conditions())}

    def _official_flags(self, program: str, precision: str) -> tuple[str, ...]:
        """Which flags make the program compute where and in what is asked for."""
        given = [str(flag) for flag in self._device.options.get("flags", ())]
        if self._usage is None and self._device.processor != CPU:
            self._usage = self._link.ask(f"{shlex.quote(program)} --help </dev/null 2>&1")[1]
        return official.flags_of(self._usage or "", self._device.processor, precision, given)

    def _lines(self, command: Sequence[str], silence_s: float, jobs: Sequence[Job] = ()) -> Iterator[bytes]:
        """Output of a detached program; its folder is removed when it ended or nobody listens."""
        words = [*map(str, self._device.options.get("launcher", ())), *command]
        run = Detached(self._link, f"{self._folder}/runs/{secrets.token_hex(8)}")
        gone = False
        try:
            self._write(f"{run.folder}/{_PLAN}", "".join(json.dumps(dict(job)) + "\n" for job in jobs))
            run.start(["env", "-u", "LD_PRELOAD", "-u", "LD_LIBRARY_PATH", *words])
            yield from run.lines(silence_s=silence_s)
        except TransportTimeout:
            raise
        except TransportError:
            gone = True  # so it cannot be ended now; the next session does it
            raise
        except GeneratorExit:  # nobody listens any more, and there is nobody to tell
            gone = True
            with suppress(TransportError):
                run.remove()
            raise
        finally:
            if not gone:
                run.remove()

    def _write(self, remote: str, text: str) -> None:
        """A new file on the device, in a folder that is made for it."""
        self._link.call(f"mkdir -p {shlex.quote(remote.rpartition('/')[0])}")
        with tempfile.TemporaryDirectory(prefix="hwnas-") as folder:
            path = Path(folder) / "sent"  # no file that is open here: Windows lets nobody else read that
            path.write_bytes(text.encode())
            send(self._link, path, remote, files.sha256(path))

    def arch(self) -> str:
        """Name of the bundle that this device runs; raises AgentError where there is none."""
        facts = self.facts()
        names = [*facts.get("ro.product.cpu.abilist", "").split(","), facts.get("machine", "")]
        for name in names:
            if name in _bundle.ARCHITECTURES:
                return _bundle.ARCHITECTURES[name]
        raise AgentError(
            f"a device must run 64-bit programs ({', '.join(_bundle.ARCHITECTURES)}), but "
            f"{self._device.name} offers {', '.join(filter(None, names)) or 'nothing'}: use another device"
        )

    def conditions(self) -> dict[str, Any]:
        """Battery, temperatures, screen and power mode; empty where the device has no such thing."""
        return _phone.conditions(self._link.call(_phone.CONDITIONS)) if self._is_android() else {}

    def waits_for(self) -> list[str]:
        """Why no run should start now: heat, or an empty battery; empty where it may."""
        return self._gate.reasons(self.conditions()) if self._is_android() else []

    def _cool_down(self) -> dict[str, Any]:
        """Wait for the gate; what the phone says of itself then."""
        return _gate.wait(self._gate, self.conditions, self._say) if self._is_android() else {}

    def _is_android(self) -> bool:
        return "ro.build.version.sdk" in self.facts()

    def _introduced(self, hello: Any, before: Mapping[str, Any], digest: str) -> dict[str, Any]:
        """The agent's hello, with what only the host knows: the model, the phone's condition."""
        if not isinstance(hello, Mapping):
            raise AgentError(f"a hello must be a JSON object, but got {hello!r}")
        facts = self.facts()
        model = " ".join(facts[name] for name in _phone.NAMES if name in facts)
        said = dict(hello) | {"cpu_model": model or hello.get("cpu_model"), "bundle_sha256": digest or None}
        return _with_conditions(said, before)

    def _require_match(self) -> None:
        """Refuse a device that its descriptor does not mean: its numbers would be called another's."""
        if self._device.match and not self._device.matches(self.facts()):
            names = {name: self.facts().get(name, "") for name in self._device.match}
            raise TransportError(
                f"a device must match {self._device.name} ({dict(self._device.match)}), but says {names}: "
                "`hwnas devices list` shows what it matches"
            )

    def _remove_orphans(self) -> None:
        """End what an earlier session has left behind: two runs at once would disturb each other."""
        runs = shlex.quote(f"{self._folder}/runs")
        for name in self._link.call(f"mkdir -p {runs} && ls {runs}").split():
            _log.info("a run of an earlier session is removed from the device")
            self._link.call(removal(f"{self._folder}/runs/{name}"))


def _with_conditions(said: Mapping[str, Any], phone: Mapping[str, Any]) -> dict[str, Any]:
    """Adds what the phone says to the conditions that the agent read itself."""
    read = said.get("conditions") or {}
    return {**said, "conditions": {**read, "phone": dict(phone)}} if phone else dict(said)


def _lock(identity: str) -> FileLock:
    folder = files.user_cache() / "locks"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HwnasError(f"locks must be kept in {folder}, but it cannot be made: {error}") from error
    return FileLock(folder / f"{hashlib.sha256(identity.encode()).hexdigest()[:16]}.lock", timeout=0)
