"""The package is made by Chalice, and made again only when what it is made from has changed."""

import json
from importlib.util import MAGIC_NUMBER
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
import yaml

from spillway.deploy.package import (
    RECORD,
    Package,
    _code_folder,
    fingerprint,
    interpreter_for,
    package,
    packaged,
)
from spillway.deploy.runtimes import Interpreter
from spillway.deploy.template import merged_resources
from spillway.errors import BadInput, WorkFailed
from spillway.project import Project
from tests.support.aws import ROOT

APP = """\
from chalice.app import Chalice

app = Chalice(app_name="tiny")


@app.route("/")
def home():
    return {}
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """An application of one route."""
    (tmp_path / ".chalice").mkdir()
    (tmp_path / ".chalice" / "config.json").write_text(json.dumps({"version": "2.0", "app_name": "tiny"}))
    (tmp_path / ".chalice" / "resources").mkdir()
    (tmp_path / ".chalice" / "resources" / "tiny.yaml").write_text("Resources: {}\n")
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / "chalicelib").mkdir()
    (tmp_path / "chalicelib" / "__init__.py").write_text("")
    return Project(tmp_path)


def pretend_package(project: Project, *, made_from: str) -> Package:
    folder = project.output / "package"
    folder.mkdir(parents=True)
    (folder / "deployment.zip").write_bytes(b"zip")
    (folder / "sam.json").write_text('{"CodeUri": "./deployment.zip"}')
    (folder / RECORD).write_text(json.dumps({"fingerprint": made_from}))
    return Package(folder / "deployment.zip", folder / "sam.json")


def test_a_package_of_the_same_files_is_used_again(project: Project) -> None:
    made = pretend_package(project, made_from=fingerprint(project, "local"))
    assert packaged(project, "local") == made
    assert made.archive.read_bytes() == b"zip"


def test_a_package_of_other_files_is_made_again(project: Project) -> None:
    pretend_package(project, made_from=fingerprint(project, "local"))
    (project.root / "chalicelib" / "words.py").write_text("WORD = 1\n")
    assert packaged(project, "local").archive.read_bytes().startswith(b"PK")


def test_the_fingerprint_is_that_of_names_contents_and_stage(project: Project) -> None:
    seen = {fingerprint(project, "local"), fingerprint(project, "production")}
    (project.root / "chalicelib" / "a.py").write_text("1")
    seen.add(fingerprint(project, "local"))
    (project.root / "chalicelib" / "a.py").rename(project.root / "chalicelib" / "b.py")
    seen.add(fingerprint(project, "local"))
    assert len(seen) == 4


def test_compiled_files_do_not_count(project: Project) -> None:
    before = fingerprint(project, "local")
    (project.root / "chalicelib" / "__pycache__").mkdir()
    (project.root / "chalicelib" / "__pycache__" / "a.pyc").write_bytes(b"1")
    assert fingerprint(project, "local") == before


def test_the_template_names_the_code_by_its_content(tmp_path: Path) -> None:
    archive, template = tmp_path / "deployment.zip", tmp_path / "sam.json"
    archive.write_bytes(b"code")
    template.write_text('{"Resources": {"A": "./deployment.zip", "B": "./deployment.zip"}}')
    digest = "5694d08a2e53ffcae0c3103e5ad6f6076abd960eb1f8a56577040bc1028f702b"
    code = f"s3://it/{digest}.zip"
    assert json.loads(Package(archive, template).template_for("it")) == {"Resources": {"A": code, "B": code}}


@pytest.mark.slow
def test_another_interpreter_makes_the_package_of_its_own_runtime(project: Project) -> None:
    # Other interpreters are run to find out: here, and not whenever tests are collected.
    better = interpreter_for("production")
    if better == Interpreter.running():
        pytest.skip("there is no interpreter of a better runtime")
    (project.root / "requirements.txt").write_text("markupsafe==3.0.3\n")
    config = {"version": "2.0", "app_name": "tiny", "lambda_architecture": "arm64"}
    (project.root / ".chalice" / "config.json").write_text(json.dumps(config))
    made = package(project, "production")
    assert made.runtime == better.runtime != Interpreter.running().runtime
    tag = f"cpython-{better.runtime.removeprefix('python').replace('.', '')}"
    with ZipFile(made.archive) as zipped:
        names = zipped.namelist()
        magic = zipped.read("app.pyc")[:4]
    assert magic != MAGIC_NUMBER
    assert f"markupsafe/_speedups.{tag}-aarch64-linux-gnu.so" in names
    assert not [name for name in names if name.endswith(".so") and tag not in name]


def test_an_error_of_chalice_is_reported_in_its_own_words(project: Project) -> None:
    (project.root / "app.py").write_text("import nowhere_to_be_found\n")
    with pytest.raises(WorkFailed, match="nowhere_to_be_found"):
        package(project, "local")


def test_the_code_is_the_shops_own_checkout_or_that_of_the_installed_package(
    project: Project, tmp_path: Path
) -> None:
    assert project.code == project.root
    shop = Project(tmp_path / "shop")
    assert shop.code == ROOT
    folder = _code_folder(shop)
    assert folder == shop.cache / "code"
    copied = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    assert {"app.py", "requirements.txt", "chalicelib/container.py", ".chalice/config.json"} <= copied
    assert not [name for name in copied if "__pycache__" in name or name.startswith(("spillway", "site"))]
    (folder / "chalicelib" / "stale.py").write_text("1")
    assert not (_code_folder(shop) / "chalicelib" / "stale.py").exists()
    assert fingerprint(shop, "local") == fingerprint(Project(ROOT), "local")


def test_resources_of_several_files_are_merged_with_their_tags_and_anchors(project: Project) -> None:
    folder = project.root / ".chalice" / "resources"
    (folder / "a.yaml").write_text('Resources:\n  One: &one {Type: A, Flag: "no"}\n  Two: *one\n')
    (folder / "b.yaml").write_text(
        "Resources:\n  Three: !GetAtt One.Arn\nOutputs:\n  One: {Value: !Ref One}\n"
    )
    merged = merged_resources(project.root)
    assert "!GetAtt" in merged
    document: Any = yaml.compose(merged)
    assert [key.value for key, _ in document.value] == ["Resources", "Outputs"]
    assert [key.value for key, _ in document.value[0][1].value] == ["One", "Two", "Three"]
    assert '"no"' in merged, "a text stays a text"


@pytest.mark.parametrize(
    ("second", "named"),
    [
        ("Resources: {One: {Type: B}}\n", "b.yaml: Resources One is defined twice"),
        ("Resources: {Two: {Type: B}, Two: {Type: C}}\n", "b.yaml: Resources Two is defined twice"),
        ("Resources\n", "b.yaml: expected a mapping"),
        ("", "b.yaml: expected a mapping"),
    ],
)
def test_a_logical_id_defined_twice_is_an_error(project: Project, second: str, named: str) -> None:
    folder = project.root / ".chalice" / "resources"
    (folder / "a.yaml").write_text("Resources: {One: {Type: A}}\n")
    (folder / "b.yaml").write_text(second)
    with pytest.raises(BadInput) as refused:
        merged_resources(project.root)
    assert named in refused.value.message
