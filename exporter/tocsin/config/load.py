"""Files -> :class:`Config`, or every fault of all of them at once."""

import glob
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tocsin.config import openslo, yaml
from tocsin.config.faults import ConfigError, Fault
from tocsin.config.models import ProcessModel, Service, WebFile
from tocsin.config.references import check
from tocsin.config.secrets import SecretError, read_secret
from tocsin.config.shape import M, Shaped, shape

__all__ = ["Config", "SecretError", "load", "load_web", "read_secret"]

_MASK = "<secret>"


@dataclass(frozen=True)
class Config:
    """A whole configuration; `hash` is the SHA-256 over the contents of `files`, in order, in hexadecimal digits.

    `origins` are the files of the services, in their order: one of OpenSLO may have several, or a part of one.
    """

    process: ProcessModel
    services: tuple[Service, ...]
    files: tuple[Path, ...]
    hash: str
    origins: tuple[Path, ...]
    warnings: tuple[Fault, ...] = ()

    def masked(self) -> dict[str, Any]:
        """Plain data for ``/config``: what may be a secret is masked; files that hold secrets are named."""
        process = self.process.model_dump(mode="json", by_alias=True)
        headers = process["source"]["auth"]["headers"]
        process["source"]["auth"]["headers"] = dict.fromkeys(headers, _MASK)
        for principal in process["principals"]:
            principal["token_hash"] = principal["token_hash"] and _MASK
        services = [service.model_dump(mode="json", by_alias=True) for service in self.services]
        for remediation in (one for service in services for one in service["remediation"]):
            if "headers" in remediation["with"]:
                remediation["with"]["headers"] = dict.fromkeys(remediation["with"]["headers"], _MASK)
        return {
            "files": [str(file) for file in self.files],
            "hash": self.hash,
            "process": process,
            "services": services,
        }


def load(path: str | Path) -> Config:
    """Read a process file and the service files that it names; ConfigError with every fault. Reads no secret."""
    process = _read(Path(path), ProcessModel, base=str(Path(path).parent))
    files, faults = _service_files(Path(path), process)
    contents, services, warnings = _services(files, faults)
    faults += process.faults
    faults += [fault for service in services for fault in service.faults]
    references, doubts = check(process, services)
    faults += references
    shaped = [service for service in services if service.model is not None]
    if faults or process.model is None:
        raise ConfigError(faults)
    return Config(
        process.model,
        tuple(service.model for service in shaped if service.model is not None),
        (Path(path), *files),
        hashlib.sha256(b"".join([process.content, *contents])).hexdigest(),
        tuple(Path(service.file) for service in shaped),
        tuple(sorted({*doubts, *warnings})),
    )


def _services(files: list[Path], faults: list[Fault]) -> tuple[list[bytes], list[Shaped[Service]], list[Fault]]:
    """Contents of the files, the services of all of them, and warnings; what is wrong with a file is added."""
    contents: list[bytes] = []
    services: list[Shaped[Service]] = []
    foreign: list[tuple[str, list[yaml.Document]]] = []
    for file in files:
        content = _content(file)
        if isinstance(content, Fault):
            faults.append(content)
            continue
        contents.append(content)
        try:
            documents = openslo.documents(content, str(file))
        except ConfigError as error:
            faults += error.faults
            continue
        if documents:
            foreign.append((str(file), documents))
        else:
            services.append(shape(content, str(file), Service, base=str(file.parent)))
    found, wrong, warnings = openslo.services(foreign)
    faults += wrong
    return contents, [*services, *found], warnings


def load_web(path: str | Path) -> WebFile:
    """Read the file of ``--web.config.file``; ConfigError with every fault."""
    shaped = _read(Path(path), WebFile, base=str(Path(path).parent))
    if shaped.faults or shaped.model is None:
        raise ConfigError(shaped.faults)
    return shaped.model


def _read(path: Path, model: type[M], base: str | None = None) -> Shaped[M]:
    """Read one file; what keeps it from being read is a fault of it."""
    content = _content(path)
    if isinstance(content, Fault):
        return Shaped(str(path), b"", faults=[content])
    return shape(content, str(path), model, base)


def _content(path: Path) -> bytes | Fault:
    """The bytes of a file, one more than may be read at most; or what keeps it from being read."""
    try:
        if path.exists() and not path.is_file():
            what = "a directory" if path.is_dir() else "something else"
            return Fault(str(path), 1, 1, "(file)", f"found {what}, expected a file")
        with path.open("rb") as file:
            return file.read(yaml.MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or "not a path"
        message = f"found no file that can be read ({reason}), expected a YAML file"
        return Fault(str(path), 1, 1, "(file)", message)


def _service_files(path: Path, process: Shaped[ProcessModel]) -> tuple[list[Path], list[Fault]]:
    """Files that the patterns match, each once, and a fault for each pattern that matches none."""
    files: dict[Path, None] = {}
    faults: list[Fault] = []
    data = process.document.data if process.document else None
    patterns = data.get("services") if isinstance(data, Mapping) else None
    # From the data and not from the model: one bad pattern must not hide the files of the others.
    for i, pattern in enumerate(patterns if isinstance(patterns, list) else []):
        if not isinstance(pattern, str) or not pattern:
            continue
        found = [path.parent / name for name in _matches(pattern, path.parent)]
        if not found:
            message = f"found no file that matches {pattern!r}, expected at least one (from {path.parent})"
            faults.append(process.fault(("services", i), message))
        files |= dict.fromkeys(found)
    # The process file may well lie in the folder of a pattern.
    return [file for file in files if not _same(file, path)], faults


def _matches(pattern: str, folder: Path) -> Iterator[str]:
    """Paths that match, sorted; of wildcards only files, of a plain name also what cannot be read as one."""
    try:
        found = sorted(glob.glob(pattern, root_dir=folder, recursive=True))  # noqa: PTH207  Path.glob refuses absolute ones
    except ValueError:
        return
    for name in found:
        if not glob.has_magic(pattern) or not (folder / name).is_dir():
            yield name


def _same(file: Path, other: Path) -> bool:
    try:
        return file.samefile(other)
    except (OSError, ValueError):
        return False
