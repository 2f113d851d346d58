"""Make the sandboxes' image from this machine's own files, where no registry can be reached.

The system's Python with its library, a shell and the usual tools, with the shared libraries that they need: about
70 MB. Needs the extra ``docker`` and an engine (DOCKER_HOST).

    python docker/host_image.py [--tag agentrl/sandbox]
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

from agentrl.sandboxes.docker import IMAGE, connect

PYTHON = Path("/usr/bin/python3")
TOOLS = (
    "sh bash ls cat cp mv rm mkdir rmdir ln chmod touch head tail wc sort uniq cut tr tee sed grep find xargs env id "
    "echo df printf sleep true false test kill ps date basename dirname pwd seq setsid nohup tar gzip diff uname"
    " awk mawk"
).split()
SKIPPED = {"test", "tests", "__pycache__", "idlelib", "lib2to3", "tkinter", "ensurepip", "turtledemo"}


def needed(binary: Path) -> set[Path]:
    """Shared libraries of a program, the loader included."""
    said = subprocess.run(["ldd", binary], capture_output=True, text=True, check=False).stdout
    return {Path(word) for word in said.split() if word.startswith("/")}


def library() -> Path:
    """The folder of the system Python's library."""
    code = "import sysconfig; print(sysconfig.get_path('stdlib'))"
    said = subprocess.run([PYTHON, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    return Path(said.stdout.strip())


def files() -> set[Path]:
    """Everything that goes in, under the names that programs use."""
    programs = {Path(found) for tool in TOOLS if (found := shutil.which(tool, path="/usr/bin:/bin"))} | {PYTHON}
    root = library()
    modules = {path for path in root.rglob("*") if path.is_file() and not SKIPPED & set(path.relative_to(root).parts)}
    objects = {path for path in modules if path.suffix == ".so"}
    return programs | modules | {lib for path in programs | objects for lib in needed(path)}


def build() -> bytes:
    """The root file system as a tar."""
    buffer = io.BytesIO()
    placed: set[str] = set()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path in ("bin", "sbin", "lib", "lib64"):  # as on this machine, where they are links into /usr
            if (Path("/") / path).is_symlink():
                tar.add(f"/{path}", path, recursive=False)
        for path in sorted(files()):
            real = Path(os.path.realpath(path.parent)) / path.name  # /bin/sh is /usr/bin/sh
            for place in {str(real), os.path.realpath(real)} - placed:
                placed.add(place)
                tar.add(place, place.lstrip("/"), recursive=False)
        for folder, mode in (("tmp", 0o1777), ("sandbox", 0o1777), ("proc", 0o755), ("dev", 0o755), ("etc", 0o755)):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            tar.addfile(entry)
        text = b"root:x:0:0::/:/bin/sh\nsandbox:x:10001:10001::/sandbox:/bin/sh\n"
        entry = tarfile.TarInfo("etc/passwd")
        entry.size = len(text)
        tar.addfile(entry, io.BytesIO(text))
    return buffer.getvalue()


def main() -> None:
    """Build and import."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tag", default=IMAGE)
    options = parser.parse_args()
    sdk, client = connect()
    data = build()
    client.api.import_image_from_data(data, repository=options.tag, tag="latest", changes=['CMD ["python3"]'])
    print(f"{options.tag}: {len(data) >> 20} MiB from this machine's files (SDK {sdk.__version__})")


if __name__ == "__main__":
    main()
