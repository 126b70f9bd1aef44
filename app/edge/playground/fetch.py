"""Fetches the playground's npm files when the package is built. The build loads this file alone: no dependencies.

`packages.json` pins each file by digest, so that any registry or mirror that npm is set up for will do.
"""

import base64
import hashlib
import json
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

HERE = Path(__file__).parent
ASSETS = HERE / "assets"
_SECONDS = 120


class PackageFile(NamedTuple):
    """One file of an npm package. `integrity` is as in HTML: the SHA-384 digest of this very file."""

    package: str
    version: str
    path: str
    integrity: str

    @property
    def name(self) -> str:
        """The file's name here, with its content's digest: new content has a new address."""
        digest = base64.b64decode(self.integrity.removeprefix("sha384-")).hex()
        return f"{self.package}.{digest[:16]}{PurePosixPath(self.path).suffix}"

    def matches(self, content: bytes) -> bool:
        return self.integrity == f"sha384-{base64.b64encode(hashlib.sha384(content).digest()).decode()}"


# In the order in which a page loads them.
PINNED_FILES = tuple(PackageFile(**item) for item in json.loads((HERE / "packages.json").read_bytes()))


def present(folder: Path = ASSETS, files: Sequence[PackageFile] = PINNED_FILES) -> bool:
    """Whether every file is in the folder, unchanged. An incomplete set counts as none."""
    try:
        return all(file.matches((folder / file.name).read_bytes()) for file in files)
    except OSError:
        return False


def bring_in(folder: Path = ASSETS, files: Sequence[PackageFile] = PINNED_FILES, npm: str | None = None) -> str:
    """Fills the folder and returns one line about it. A build never fails because of the playground."""
    if present(folder, files):
        return "playground: its files are there already"
    npm = npm or shutil.which("npm")
    if npm is None:
        return "playground: built without its own files, for npm is not on this machine; the page works with less"
    try:
        with tempfile.TemporaryDirectory() as packed:
            _pack(npm, Path(packed), files)
            contents = {file.name: _content(Path(packed), file) for file in files}
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            (folder / name).write_bytes(content)
    except (OSError, ValueError, KeyError, tarfile.TarError, subprocess.SubprocessError) as error:
        cause = type(error).__name__
        return f"playground: built without its own files ({cause} while npm brought them); the page works with less"
    return f"playground: {len(contents)} files brought in from npm"


def _pack(npm: str, folder: Path, files: Sequence[PackageFile]) -> None:
    # Runs in an empty folder, so that no project's npm settings apply; the user's registry does.
    specifications = sorted({f"{file.package}@{file.version}" for file in files})
    options = ["--silent", "--ignore-scripts", "--fetch-retries=1", "--fetch-timeout=30000"]
    subprocess.run(  # noqa: S603 - npm itself, with constants
        [npm, "pack", *specifications, *options], cwd=folder, check=True, capture_output=True, timeout=_SECONDS
    )


def _content(folder: Path, file: PackageFile) -> bytes:
    with tarfile.open(folder / f"{file.package}-{file.version}.tgz") as archive:
        member = archive.extractfile(f"package/{file.path}")
        content = b"" if member is None else member.read()
    if not file.matches(content):
        raise ValueError(f"{file.package} {file.path} is not the file that was pinned")
    return content
