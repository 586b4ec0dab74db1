"""@method, conclude, the append-only ledger, and replay: how the library knows what it says.

A function registered with `method` runs inside a context that records its inputs and parameters;
it ends with `conclude`, the only place where an observation becomes a finding. A `Ledger` is a
JSON Lines file, each line carrying the hash of the one before. The chain cannot see a change to
its last line or a truncation: the head hash leaves the file, into the appendix and the seal.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import inspect
import os
import platform
import sys
import typing
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ParamSpec, TypeVar

import msgspec

from forensics.calibration import error_rate
from forensics.errors import (
    ForensicsError,
    RecordInvalid,
    ReplayDiffers,
    SignalTooShort,
    StreamMissing,
)
from forensics.model import (
    Alignment,
    Artefact,
    Clip,
    Coverage,
    ErrorRate,
    Examination,
    Finding,
    Observation,
    Origin,
    Outcome,
    Quantity,
    Uncalibrated,
    canonical_json,
    content_hash,
    from_builtins,
    from_json,
    to_builtins,
)
from forensics.provenance_artefacts import artefact_bytes, artefact_path, keep
from forensics.provenance_derivative import LISTENING_MARK, check_not_listening_copy
from forensics.provenance_ledger import Entry, Ledger

__all__ = [
    "LISTENING_MARK",
    "Entry",
    "Ledger",
    "Method",
    "artefact_bytes",
    "artefact_path",
    "check_not_listening_copy",
    "check_replay",
    "conclude",
    "current_origin",
    "keep",
    "method",
    "methods",
    "origin_of",
    "question_of",
    "replay",
]

P = ParamSpec("P")
R = TypeVar("R")
E = TypeVar("E", bound=Examination | Alignment)

_PACKAGES = ("numpy", "scipy", "av", "opencv-python-headless", "onnxruntime", "rapidocr")
_origin: contextvars.ContextVar[Origin | None] = contextvars.ContextVar("origin", default=None)
_registry: dict[str, Method] = {}
_specs: dict[Callable[..., Any], Method] = {}


class Method(msgspec.Struct, frozen=True):
    """A registered method: what `forensics methods`, replay and the appendix know of it."""

    name: str
    version: str
    references: tuple[str, ...]
    function: Callable[..., Any]

    @property
    def takes(self) -> str:
        """The name of the first parameter: the clip or clips."""
        return next(iter(inspect.signature(self.function).parameters))

    @property
    def summary(self) -> str:
        """The first line of the docstring."""
        return (inspect.getdoc(self.function) or "").split("\n", 1)[0]

    @property
    def weaknesses(self) -> str:
        """The docstring's section "When it errs"."""
        text = inspect.getdoc(self.function) or ""
        _, _, rest = text.partition("When it errs\n")
        body = rest.split("\n", 1)[1] if "\n" in rest else ""
        lines: list[str] = []
        for line in body.splitlines():
            if set(line.strip()) == {"-"} and lines:
                lines.pop()
                break
            lines.append(line)
        return "\n".join(lines).strip()

    @property
    def defaults(self) -> dict[str, Any]:
        """The default of each recorded parameter."""
        parameters = list(inspect.signature(self.function).parameters.values())[1:]
        return {
            p.name: _record(p.default)
            for p in parameters
            if p.name != "progress" and p.default is not p.empty
        }


@functools.cache
def software() -> dict[str, str]:
    """Versions of what computes: Python, this library, and the packages that do arithmetic."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    # The folders that pip leaves say it in their names; importlib.metadata reads the same after a
    # mail parser is loaded, which takes as long as a second of video.
    wanted = {name.replace("-", "_"): name for name in ("forensics", *_PACKAGES)}
    for folder in sys.path:
        with contextlib.suppress(OSError):
            for entry in os.listdir(folder or "."):
                name, _, rest = entry.partition("-")
                version, dot, kind = rest.rpartition(".")
                if dot and kind in ("dist-info", "egg-info") and name.lower() in wanted:
                    found.setdefault(wanted[name.lower()], version.partition("-")[0])
    return found


def _record(value: Any) -> Any:
    # Objects such as a gallery stand in the record by a description that includes their digest.
    describe = getattr(value, "parameter_record", None)
    plain = describe() if describe is not None else value
    return msgspec.json.decode(canonical_json(plain))


def _inputs(value: Any) -> tuple[str, ...]:
    if isinstance(value, Clip):
        return (value.digest,)
    if isinstance(value, Sequence) and all(isinstance(item, Clip) for item in value):
        return tuple(item.digest for item in value)
    digest = getattr(value, "digest", None)
    if isinstance(digest, str):
        return (digest,)
    raise TypeError("the first argument of a method is a Clip or a sequence of Clips")


def _make_origin(spec: Method, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Origin:
    bound = inspect.signature(spec.function).bind(*args, **kwargs)
    bound.apply_defaults()
    names = list(bound.arguments)
    parameters = {
        name: _record(bound.arguments[name])
        for name in names[1:]
        if name != "progress"
    }
    seed = parameters.get("seed")
    return Origin(
        method=spec.name,
        version=spec.version,
        inputs=_inputs(bound.arguments[names[0]]),
        parameters=parameters,
        software=software(),
        seed=seed if isinstance(seed, int) else None,
    )


def method(
    name: str, *, version: str, references: Sequence[str] = ()
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Register a function as a method: its inputs, parameters and version go on record.

    The function takes a clip (or clips) first and everything else keyword-only. If it returns an
    `Examination`, `StreamMissing` and `SignalTooShort` become *not-applicable*, any other
    `ForensicsError` becomes *failed*; a bug flies. A single clip that this library made for a
    person to hear is refused (`ClipRefused`) before the function sees it.
    """

    def register(function: Callable[P, R]) -> Callable[P, R]:
        spec = Method(name, version, tuple(references), function)
        if name in _registry and _registry[name].function.__module__ != function.__module__:
            raise ValueError(f"two methods are called {name!r}")
        examines = typing.get_type_hints(function).get("return") is Examination

        @functools.wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            origin = _make_origin(spec, args, kwargs)
            token = _origin.set(origin)
            try:
                material = args[0] if args else kwargs.get(spec.takes)
                if isinstance(material, Clip):
                    check_not_listening_copy(material)
                result = function(*args, **kwargs)
            except ForensicsError as error:
                if not examines:
                    raise
                absent = isinstance(error, StreamMissing | SignalTooShort)
                outcome: Outcome = "not-applicable" if absent else "failed"
                failed = conclude(
                    (), coverage=Coverage(None), outcome=outcome,
                    reason=f"{error.message} ({error.hint})" if error.hint else error.message,
                )  # fmt: skip
                return typing.cast(R, failed)
            finally:
                _origin.reset(token)
            if isinstance(result, Alignment):
                known = error_rate(name, version)
                return typing.cast(
                    R, msgspec.structs.replace(result, origin=origin, error_rate=known)
                )
            return result

        _registry[name] = spec
        _specs[run] = spec
        return run

    return register


def methods() -> dict[str, Method]:
    """Every method registered so far, by name (importing a module registers its methods)."""
    return dict(sorted(_registry.items()))


def origin_of(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Origin:
    """The origin a call of a registered method would have, without running it."""
    return _make_origin(_specs[function], args, kwargs)


def question_of(origin: Origin) -> str:
    """What was asked, as a hash: of two examinations that asked the same, the later one stands.

    What else was known by then (`also` of `edits.find_edits`) is no other question.
    """
    asked = {name: value for name, value in origin.parameters.items() if name != "also"}
    return content_hash([origin.method, origin.inputs, asked])


def current_origin() -> Origin:
    """The origin of the method that is running.

    Raises
    ------
    RecordInvalid
        Called outside a function registered with `method`.
    """
    origin = _origin.get()
    if origin is None:
        raise RecordInvalid("a finding can only be concluded inside a registered method")
    return origin


def conclude(
    observations: Iterable[Observation], *, coverage: Coverage, reason: str = "",
    outcome: Outcome | None = None, stratum: str = "", measures: dict[str, Quantity] | None = None,
    artefacts: Sequence[Artefact] = (),
    measured_as: Callable[[Observation], tuple[str, str] | Uncalibrated | None] | None = None,
) -> Examination:  # fmt: skip
    """Turn what was seen into an examination: the only place where findings are made.

    Parameters
    ----------
    observations
        What the detectors saw.
    coverage
        What was looked at; *nothing found* without coverage would mean nothing.
    reason
        Why the outcome is what it is; required for *not-applicable* and *failed*.
    outcome
        *found* or *nothing-found* unless given.
    stratum
        The conditions, as the error-rate table names them; an observation's own stratum wins.
    measures, artefacts
        What was measured of the whole clip, found or not.
    measured_as
        For a method that hands on what others saw: the (method, version) whose error rate an
        observation carries, why it carries none, or None for the method's own.

    Raises
    ------
    RecordInvalid
        A value that does not survive the trip through the record, or an outcome without reason.
    """
    origin = current_origin()
    findings = []
    known: ErrorRate | Uncalibrated
    for seen in observations:
        whose = (measured_as and measured_as(seen)) or (origin.method, origin.version)
        known = (
            whose if isinstance(whose, Uncalibrated)
            else error_rate(*whose, seen.stratum or stratum)
        )  # fmt: skip
        findings.append(Finding(seen, origin, known))
    if outcome is None:
        outcome = "found" if findings else "nothing-found"
    if outcome in ("not-applicable", "failed") and not reason:
        raise RecordInvalid(f"{outcome} needs a reason")
    if outcome == "nothing-found" and coverage.span is None and not coverage.units_seen:
        raise RecordInvalid("nothing found in nothing: the coverage is empty")
    examination = Examination(
        origin=origin, outcome=outcome, findings=tuple(findings), coverage=coverage, reason=reason,
        error_rate=error_rate(origin.method, origin.version, stratum), measures=measures or {},
        artefacts=tuple(artefacts),
    )  # fmt: skip
    # msgspec checks types on reading, not on construction: what is said is what reads back. That
    # also turns an integer or NumPy number in a float's place into the float it stands for.
    said = from_json(canonical_json(examination), Examination)
    if from_json(canonical_json(said), Examination) != said:
        raise RecordInvalid("an examination does not read back as it was written")
    return said


# -- replay ---------------------------------------------------------------------------------


def replay(
    recorded: E, inputs: Sequence[Clip], *, resources: dict[str, Any] | None = None
) -> E:
    """Run a recorded examination or alignment again on the same bytes, same parameters.

    Parameters
    ----------
    recorded
        The examination or alignment as the ledger holds it.
    inputs
        The clips, opened again, in the recorded order.
    resources
        Objects that stand in the record by a description, such as a gallery, by parameter name.

    Raises
    ------
    ReplayDiffers
        The method is unknown here, has another version, or the inputs have other digests.
    """
    origin = recorded.origin
    spec = _registry.get(origin.method)
    if spec is None:
        raise ReplayDiffers(f"method {origin.method!r} is not known here")
    if spec.version != origin.version:
        raise ReplayDiffers(
            f"{origin.method} is version {spec.version} here, the record was made by "
            f"{origin.version}",
            hint="install the recorded version of the library",
        )
    digests = tuple(clip.digest for clip in inputs)
    if digests != origin.inputs:
        raise ReplayDiffers("the inputs are not those of the record: their digests differ")
    hints = typing.get_type_hints(spec.function)
    given = resources or {}
    keywords = {
        name: given[name] if name in given else from_builtins(value, hints.get(name, Any))
        for name, value in origin.parameters.items()
    }
    target: Any = inputs[0] if hints.get(spec.takes) is Clip else list(inputs)
    run = _entry_point(spec)
    return typing.cast(E, run(target, **keywords))


def _entry_point(spec: Method) -> Callable[..., Any]:
    # The registered function is the undecorated one; the module holds the recording wrapper.
    module = inspect.getmodule(spec.function)
    return typing.cast(Callable[..., Any], getattr(module, spec.function.__name__))


def check_replay(
    recorded: Examination | Alignment, again: Examination | Alignment, *, tolerance: float = 1e-6
) -> None:
    """Compare a replay with its record; software versions may differ, findings may not.

    Parameters
    ----------
    recorded, again
        The two examinations, or the two alignments.
    tolerance
        Largest relative difference of any recorded number.

    Raises
    ------
    ReplayDiffers
        The outcome, the number of findings or any value differs; the message names the first.
    """
    if isinstance(recorded, Alignment) or isinstance(again, Alignment):
        apart = ("origin", "error_rate")
        old, new = ({k: v for k, v in to_builtins(x).items() if k not in apart}
                    for x in (recorded, again))  # fmt: skip
        place = _difference(old, new, tolerance)
        if place:
            raise ReplayDiffers(f"the alignment differs at {place}")
        return
    if recorded.outcome != again.outcome or len(recorded.findings) != len(again.findings):
        raise ReplayDiffers(
            f"recorded: {recorded.outcome}, {len(recorded.findings)} findings; "
            f"replayed: {again.outcome}, {len(again.findings)} findings"
        )
    for number, (one, two) in enumerate(zip(recorded, again, strict=True)):
        place = _difference(to_builtins(one.observation), to_builtins(two.observation), tolerance)
        if place:
            raise ReplayDiffers(f"finding {number} differs at {place}")
    place = _difference(to_builtins(recorded.measures), to_builtins(again.measures), tolerance)
    if place:
        raise ReplayDiffers(f"the examination's measures differ at {place}")


def _difference(old: Any, new: Any, tolerance: float, where: str = "") -> str:
    if isinstance(old, dict) and isinstance(new, dict):
        if old.keys() != new.keys():
            return f"{where}: {sorted(old.keys() ^ new.keys())}"
        return next(
            (d for k in old if (d := _difference(old[k], new[k], tolerance, f"{where}.{k}"))), ""
        )
    if isinstance(old, list | tuple) and isinstance(new, list | tuple):
        if len(old) != len(new):
            return f"{where}: {len(old)} against {len(new)} items"
        pairs = enumerate(zip(old, new, strict=True))
        return next(
            (d for i, (a, b) in pairs if (d := _difference(a, b, tolerance, f"{where}[{i}]"))), ""
        )
    numbers = (int, float)
    if isinstance(old, numbers) and isinstance(new, numbers) and not isinstance(old, bool):
        scale = max(abs(old), abs(new), 1e-9)
        return "" if abs(old - new) <= tolerance * scale else f"{where}: {old} against {new}"
    return "" if old == new else f"{where}: {old!r} against {new!r}"
