"""The package: the zip that Lambda runs, and the template of the stack around it, as JSON.

CloudFormation refuses a template with YAML's aliases or merge keys, which Chalice writes; JSON has none.
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-formats.html

The zip holds compiled modules and has the same bytes each time. Lambda's folder is read-only: without
compiled modules each cold start compiles every module it imports, and Chalice leaves them out.
"""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import yaml

import chalicelib
from spillway.deploy.runtimes import Interpreter, best_interpreter, packaging_python
from spillway.deploy.template import RESOURCES, for_region, merged_resources
from spillway.errors import WorkFailed
from spillway.project import Project
from spillway.stage import LOCAL

# Everything that can change the package, except the tools that make it.
INPUTS = ("app.py", "chalicelib", "vendor", "requirements.txt", ".chalice/config.json", str(RESOURCES))
MERGED_TEMPLATE = "sam.yaml"
UPLOADED_TEMPLATE = "sam.json"
RECORD = "made-from.json"
CHALICE = "import sys; from chalice.cli import main; sys.exit(main())"
CODE_PLACEHOLDER = "./deployment.zip"


@dataclass(frozen=True, slots=True)
class Package:
    """A zip and its template, which still calls the zip by the name of a local file."""

    archive: Path
    template: Path

    @property
    def key(self) -> str:
        """The zip's name in a bucket: that of its content, so the same code is never uploaded twice."""
        return f"{hashlib.sha256(self.archive.read_bytes()).hexdigest()}.zip"

    @property
    def runtime(self) -> str:
        """The runtime its functions ask Lambda for."""
        resources = json.loads(self.template.read_text())["Resources"]
        return str(resources["APIHandler"]["Properties"]["Runtime"])

    def template_for(self, bucket: str, region: str = "us-east-1") -> str:
        """Return the text that is uploaded: the template, with the address of the code in S3."""
        text = self.template.read_text().replace(CODE_PLACEHOLDER, f"s3://{bucket}/{self.key}")
        return json.dumps(for_region(json.loads(text), region), indent=1, sort_keys=True) + "\n"


def package(project: Project, stage_name: str, *, region: str = "us-east-1") -> Package:
    """Make the package afresh. It needs a package index, and no account.

    Raises:
        BadInput: the code of the cloud is missing, or the template is wrong.
        WorkFailed: Chalice could not make it; its own words are in the message.
    """
    code = _code_folder(project)
    folder = project.output / "package"
    shutil.rmtree(folder, ignore_errors=True)
    # Here, a file in the way is an error of ours; in Chalice it is a traceback.
    folder.mkdir(parents=True, exist_ok=True)
    python = packaging_python(interpreter_for(stage_name), project)
    resources = merged_resources(code)
    with tempfile.TemporaryDirectory() as temporary:
        merge_template = Path(temporary) / "resources.yaml"
        merge_template.write_text(resources, encoding="utf-8")
        _run_chalice(python, code, folder, merge_template, stage_name, region)
    _without_aliases(folder)
    made = _made(folder)
    if made is None:
        raise WorkFailed(f"chalice said that it made a package, but {folder} holds none")
    finish(made.archive, python)
    (folder / RECORD).write_text(json.dumps({"fingerprint": fingerprint(project, stage_name)}) + "\n")
    return made


def packaged(project: Project, stage_name: str, *, region: str = "us-east-1") -> Package:
    """Return the package as it is, if it was made from just these files by just these tools.

    Else a fresh one.
    """
    folder = project.output / "package"
    made = _made(folder)
    try:
        recorded = json.loads((folder / RECORD).read_text())["fingerprint"]
    except (FileNotFoundError, ValueError, KeyError):
        recorded = None
    if made is not None and recorded == fingerprint(project, stage_name):
        return made
    return package(project, stage_name, region=region)


def interpreter_for(stage_name: str) -> Interpreter:
    """Return the interpreter to package with.

    The local cloud runs functions in its own, so it gets that one's.
    """
    return Interpreter.running() if stage_name == LOCAL else best_interpreter()


def fingerprint(project: Project, stage_name: str) -> str:
    """Return a digest of everything a package is made from."""
    digest = hashlib.sha256()
    interpreter = interpreter_for(stage_name)
    made_by = (str(interpreter.path), interpreter.runtime, version("chalice"), version("spillway"))
    # This file says how the zip is finished.
    made_how = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    for word in (stage_name, *made_by, made_how):
        digest.update(f"{word}\0".encode())
    for name, file in _input_files(project):
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        digest.update(f"{name}\0{content}\0".encode())
    return digest.hexdigest()


def _inputs(project: Project) -> dict[str, Path]:
    """Return the files and folders of `INPUTS` that exist, by name."""
    code = project.code
    found = {name: code / name for name in INPUTS if (code / name).exists()}
    # A wheel has it once: as the package that the command line imports too.
    return {"chalicelib": Path(chalicelib.__file__).parent} | found


def _input_files(project: Project) -> Iterator[tuple[str, Path]]:
    for name, path in sorted(_inputs(project).items()):
        found = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in found:
            if file.is_file() and "__pycache__" not in file.parts:
                yield f"{name}/{file.relative_to(path)}", file


def _code_folder(project: Project) -> Path:
    """Return the folder that Chalice packages: the shop's own checkout, or a copy of the installed code.

    Chalice writes into the folder, and an installed package may be read-only.
    """
    if project.code == project.root:
        return project.root
    folder = project.cache / "code"
    for name in INPUTS:
        _remove(folder / name)
    for name, path in _inputs(project).items():
        copy = folder / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            shutil.copytree(path, copy, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(path, copy)
    return folder


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _made(folder: Path) -> Package | None:
    made = Package(folder / "deployment.zip", folder / UPLOADED_TEMPLATE)
    return made if made.archive.is_file() and made.template.is_file() else None


def _without_aliases(folder: Path) -> None:
    merged = folder / MERGED_TEMPLATE
    if merged.is_file():
        document = yaml.safe_load(merged.read_text())
        (folder / UPLOADED_TEMPLATE).write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")
        merged.unlink()


# Chalice's error, the last line of its traceback.
NO_PACKAGE = re.compile(r"NoSuchPackageError: Could not satisfy the requirement: (\S+)")
NOT_WRITTEN = re.compile(r"(?m)^(?:OSError|PermissionError): \[Errno \d+\] (.+)$")


def _run_chalice(
    python: Path, code: Path, folder: Path, merge_template: Path, stage_name: str, region: str
) -> None:
    words = [str(python), "-c", CHALICE, "package", "--stage", stage_name]
    words += ["--merge-template", str(merge_template), "--pkg-format", "cloudformation", str(folder)]
    process = subprocess.Popen(  # noqa: S603 - our own interpreter, no shell
        words,
        cwd=code,
        env=os.environ | {"AWS_REGION": region, "AWS_DEFAULT_REGION": region, "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = process.communicate()
    except BaseException:
        # Chalice starts pip: an interrupted run must not leave it behind.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    if process.returncode != 0:
        if missing := NO_PACKAGE.search(said):
            raise WorkFailed(
                f"the package needs {missing[1]}, and no package index in reach has it for Lambda",
                hint="connect to the network, or name your index: PIP_INDEX_URL=https://pypi.example/simple",
            )
        if refused := NOT_WRITTEN.search(said):
            raise WorkFailed(
                f"{folder}: the package cannot be written: {refused[1]}",
                hint="free some space, or make the folder writable",
            )
        raise WorkFailed(
            f"chalice could not make the package:\n{_indented(said)}",
            hint="if it could not install something: a package index must be reachable",
        )


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.strip().splitlines())


# Where Lambda unpacks it: the name a compiled module keeps, and not that of a folder of ours.
LAMBDA_ROOT = "/var/task"
EARLIEST = (1980, 1, 1, 0, 0, 0)
READABLE = 0o100644 << 16
# Parts of dependencies that nothing of ours imports.
LEFT_OUT = {
    "dns": "email-validator looks domains up with it, and is never asked to",
    "dnspython": "the same",
}
WHY = {
    "app": "the routes and handlers",
    "chalicelib": "all they call",
    "chalice": "routes a request to its handler",
    "email_validator": "knows what an address is",
    "idna": "international domain names, for email_validator",
    "itsdangerous": "signs and reads the links in emails",
    "jinja2": "renders pages and emails",
    "markupsafe": "escapes what a page shows, for jinja2",
}


@dataclass(frozen=True, slots=True)
class PackagePart:
    """One thing in the zip: its files under one name, in bytes as sent to Lambda, and what it is for."""

    name: str
    files: int
    packed_bytes: int
    why: str


def finish(archive: Path, python: Path) -> None:
    """Compile the modules of a zip that Chalice made, and leave out their sources and what is never imported.

    `python` is of the version that Lambda runs: another one refuses the modules. A cold start fetches the
    zip, so it has no sources; a traceback names file and line without them. The same zip always becomes the
    same bytes.

    Raises:
        WorkFailed: a module cannot be compiled.
    """
    with TemporaryDirectory() as name:
        folder = Path(name)
        with ZipFile(archive) as made:
            made.extractall(folder, [entry for entry in made.namelist() if not _left_out(entry)])
        _compile(folder, python)
        unfinished = archive.with_suffix(".unfinished")
        with ZipFile(unfinished, "w", ZIP_DEFLATED, compresslevel=9) as finished:
            for file in sorted(file for file in folder.rglob("*") if file.is_file()):
                entry = ZipInfo(file.relative_to(folder).as_posix(), EARLIEST)
                entry.compress_type, entry.external_attr = ZIP_DEFLATED, READABLE
                finished.writestr(entry, file.read_bytes())
        unfinished.replace(archive)


def contents(archive: Path) -> tuple[PackagePart, ...]:
    """Return the contents of the zip by size, largest first."""
    files: Counter[str] = Counter()
    packed: Counter[str] = Counter()
    with ZipFile(archive) as made:
        for entry in made.infolist():
            name = _part(entry.filename)
            files[name] += 1
            packed[name] += entry.compress_size
    parts = (PackagePart(name, files[name], packed[name], WHY.get(name, "")) for name in files)
    return tuple(sorted(parts, key=lambda part: (-part.packed_bytes, part.name)))


def _part(entry: str) -> str:
    path = PurePosixPath(entry)
    return path.parts[0].partition("-")[0].removesuffix(".pyc")


def _left_out(entry: str) -> bool:
    # A RECORD lists files with their digests, which no longer are all there is.
    path = PurePosixPath(entry)
    return _part(entry) in LEFT_OUT or path.name == "RECORD" or "__pycache__" in path.parts


def _compile(folder: Path, python: Path) -> None:
    words = [
        # -b writes a module where its source stands: Python imports it without one.
        *(str(python), "-m", "compileall", "-q", "-b", "-j", "1", "--invalidation-mode", "unchecked-hash"),
        *("-s", str(folder), "-p", LAMBDA_ROOT, str(folder)),
    ]
    # A set's constants are stored in the order of their hashes, which must be the same in each run.
    environment = os.environ | {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    ran = subprocess.run(  # noqa: S603 - our own interpreter, no shell
        words, env=environment, capture_output=True, text=True, check=False
    )
    if ran.returncode != 0:
        raise WorkFailed(f"a module cannot be compiled:\n{ran.stdout}{ran.stderr}")
    for source in folder.rglob("*.py"):
        source.unlink()
