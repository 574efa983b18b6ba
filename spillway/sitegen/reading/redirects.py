"""Read and extend site/redirects.toml, which maps old addresses of the shop to current ones.

    [redirects]
    "/collections/coats" = "/shop/outerwear"

Sources are compared as S3 keys: percent-decoded, without a slash at the end. Chains are flattened, so that
a shopper is redirected once.
"""

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from spillway.errors import BadInput
from spillway.project import Project
from spillway.sitegen.reading.text_file import text_of_file
from spillway.sitegen.reading.toml_input import InputError, TomlTable
from spillway.sitegen.reading.toml_text import KeyLines

REDIRECTS_FILE = "site/redirects.toml"
REDIRECTS_MAX = 20_000
REDIRECTS_SIZE_BYTES_MAX = 8_000_000
# An S3 key has at most 1,024 bytes of UTF-8; a source may get a slash at its end, and a language before it.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
SOURCE_BYTES_MAX = 1_000
TARGET_LENGTH_MAX = 2_000

_TABLE = "redirects"
_HEADER = f"[{_TABLE}]\n"
_RESERVED = ("/api/", "/assets/", "/pictures/")
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,6}$")
# Signs that stand in a path as they are; RFC 3986, section 3.3.
_PATH_SAFE = "/:@!$&'()*+,;=-._~"


@dataclass(frozen=True, slots=True)
class Redirect:
    """One old address.

    `source` is a decoded path without a slash at the end, `written` its spelling in the file, and `target`
    an encoded path of this shop or an https:// address.
    """

    source: str
    target: str
    written: str = ""

    @property
    def keys(self) -> tuple[str, ...]:
        """The S3 keys of the source: with and without a slash at the end, unless it looks like a file.

        S3 may decode a plus sign in a path as a space, so both spellings get a key.
        """
        key = self.source.removeprefix("/")
        last = key.rpartition("/")[2]
        keys = (key,) if _SUFFIX.search(last) else (key, f"{key}/")
        return (*keys, *(key.replace("+", " ") for key in keys if "+" in key))


@dataclass(frozen=True, slots=True)
class AddedRedirects:
    """The result of `add_redirects`, by source as it was passed in.

    `added` has the targets and `refused` the reasons; `removed` are the sources whose lines were removed
    because their address has a page again.
    """

    added: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    removed: tuple[str, ...] = ()


def read_redirects(project: Project, mistakes: list[InputError]) -> tuple[Redirect, ...]:
    """Return the redirects of the shop in the order of their sources, none when it has no such file.

    Chains are flattened. Invalid lines, repeated sources and loops are appended to `mistakes`;
    `redirect_mistakes` checks the redirects against the shop's pages.
    """
    text = _text_of(project, mistakes)
    return parse_redirects(text, mistakes) if text is not None else ()


def written_redirects(project: Project) -> tuple[Redirect, ...]:
    """Return the valid lines of the file with their chains, none when there is no such file.

    Raises:
        BadInput: the file has errors.
    """
    return tuple(_editable(project)[1])


def parse_redirects(text: str, mistakes: list[InputError]) -> tuple[Redirect, ...]:
    """Return the redirects of the file's text, as `read_redirects` does."""
    table = TomlTable.parse(text, file=REDIRECTS_FILE, mistakes=mistakes)
    if table is None:
        return ()
    if not table.has(_TABLE) and (names := [name for name in table.names if not table.is_table(name)]):
        table.error(names[0], table.value(names[0]), f"the line [{_TABLE}] above the redirects")
        return ()
    values = table.value(_TABLE) if table.has(_TABLE) else {}
    table.done()
    if not isinstance(values, dict):
        table.error(_TABLE, values, f"a table [{_TABLE}]")
        return ()
    if len(values) > REDIRECTS_MAX:
        table.error(_TABLE, len(values), f"at most {REDIRECTS_MAX} redirects")
        return ()
    lines = KeyLines(text)

    def note_error(written: str, value: object, expected: str) -> None:
        line = _line(lines, written)
        mistakes.append(
            InputError(REDIRECTS_FILE, line, json.dumps(written, ensure_ascii=False), value, expected)
        )

    found: dict[str, Redirect] = {}
    for written, target in values.items():
        source = decoded_source(written)
        if problem := source_problem(written):
            note_error(written, written, problem)
        elif problem := target_problem(target):
            note_error(written, target, problem)
        elif (known := found.get(source)) is not None:
            note_error(written, written, f"each address once; it is given as {known.written} too")
        else:
            found[decoded_source(written)] = Redirect(
                decoded_source(written), encoded_target(target), written
            )
    return _flattened(found, note_error)


def redirect_mistakes(redirects: tuple[Redirect, ...], pages: Set[str], lines: KeyLines) -> list[InputError]:
    """Return the errors in redirects of a shop with these `pages`, given as decoded paths."""
    mistakes = []
    for redirect in redirects:
        line = _line(lines, redirect.written)
        name = json.dumps(redirect.written, ensure_ascii=False)
        if redirect.source in pages:
            expected = "an old address: there is a page at this one"
            mistakes.append(InputError(REDIRECTS_FILE, line, name, redirect.written, expected))
        elif redirect.target.startswith("/") and page_of(redirect.target) not in pages:
            expected = "the path of a page of this shop, or an https:// address"
            mistakes.append(InputError(REDIRECTS_FILE, line, name, redirect.target, expected))
    return mistakes


def source_problem(source: object) -> str | None:  # noqa: PLR0911 - a sentence for each rule
    """Return what was expected instead of `source`, None when it is valid."""
    if not isinstance(source, str) or not source.startswith("/") or source.startswith("//"):
        return "an absolute path of this shop: /old/path"
    if "?" in source or "#" in source:
        return "a path without ? and #: the shop's files are found by their path alone"
    try:
        path = unquote(source, errors="strict").rstrip("/")
        size_bytes = len(path.encode())
    except UnicodeError:
        return "a path in UTF-8, percent-encoded or not"
    if not path or path == "/index.html":
        return "another path than the home page's"
    if size_bytes - 1 > SOURCE_BYTES_MAX:
        return f"at most {SOURCE_BYTES_MAX} bytes, not {size_bytes - 1}"
    if not path.isprintable() or "\\" in path:
        return "a path without control characters and backslashes"
    if any(segment in {"", ".", ".."} for segment in path[1:].split("/")):
        return "a path without empty, . and .. parts: browsers do not send those"
    if path.lower().startswith(_RESERVED) or f"{path}/" in _RESERVED:
        return f"a path outside {', '.join(_RESERVED)}"
    return None


def target_problem(target: object) -> str | None:
    """Return what was expected instead of `target`, None when it is valid."""
    expected = "an absolute path of this shop, or an https:// address"
    if not isinstance(target, str) or not target or len(target) > TARGET_LENGTH_MAX:
        return f"{expected}, of at most {TARGET_LENGTH_MAX} characters"
    if not target.isprintable() or set(target) & set(' \\"<>'):
        return f"{expected}, without spaces, quotes and backslashes"
    if target.startswith("/"):
        return expected if target.startswith("//") else None
    try:
        address = urlsplit(target)
        named = address.scheme == "https" and bool(address.hostname) and not address.username
    except ValueError:
        return expected
    return None if named else expected


def add_redirects(project: Project, mapping: Mapping[str, str]) -> AddedRedirects:
    """Append redirects to the file, or create it. Existing lines and their targets stay.

    The one exception: when a new redirect leads to an address that redirects itself, that address has a page
    again, so the old line is removed.

    Args:
        project: the shop's folders.
        mapping: the target of each source.

    Raises:
        BadInput: the file has errors, or would have too many redirects; it is unchanged.
    """
    text, redirects = _editable(project)
    result = merged_redirects(redirects, mapping)
    if result.added or result.removed:
        _write(project.root / REDIRECTS_FILE, _with(_without(text, result.removed), result.added))
    return result


def merged_redirects(redirects: Iterable[Redirect], mapping: Mapping[str, str]) -> AddedRedirects:
    """Return what `add_redirects` does to a file with the lines `redirects`.

    Two spellings of one source are one redirect.

    Raises:
        BadInput: the file would have too many redirects.
    """
    there = {redirect.source: redirect for redirect in redirects}
    added: dict[str, str] = {}
    refused: dict[str, str] = {}
    new: dict[str, str] = {}
    for source, target in mapping.items():
        problem = source_problem(source) or target_problem(target)
        if problem:
            refused[source] = f"expected {problem}"
            continue
        decoded = decoded_source(source)
        known = there[decoded].target if decoded in there else new.get(decoded)
        if decoded == page_of(target):
            refused[source] = "it leads to itself"
        elif known is None:
            added[source] = target
            new[decoded] = encoded_target(target)
        elif known != encoded_target(target):
            refused[source] = f"it leads to {known} already"
    ends = {page_of(target) for target in added.values()} - new.keys()
    removed = tuple(there[end].written for end in sorted(ends & there.keys()))
    if len(there) + len(added) - len(removed) > REDIRECTS_MAX:
        raise BadInput(
            f"{REDIRECTS_FILE}: {len(added)} more redirects are more than {REDIRECTS_MAX}",
            hint="remove lines nobody follows any more",
        )
    return AddedRedirects(added, refused, removed)


def remove_redirects(project: Project, sources: Set[str]) -> tuple[str, ...]:
    """Remove the lines of `sources`, decoded paths that have a page again. Other lines stay.

    Returns:
        The sources whose lines were removed, as the file spelt them.

    Raises:
        BadInput: the file has errors; it is unchanged.
    """
    text, redirects = _editable(project)
    removed = tuple(redirect.written for redirect in redirects if redirect.source in sources)
    if removed:
        _write(project.root / REDIRECTS_FILE, _without(text, removed))
    return removed


def _editable(project: Project) -> tuple[str, list[Redirect]]:
    mistakes: list[InputError] = []
    text = _text_of(project, mistakes) or ""
    redirects = _unflattened(text, mistakes)
    if mistakes:
        raise BadInput(str(mistakes[0]), hint=f"correct {REDIRECTS_FILE} first")
    return text, redirects


def _text_of(project: Project, mistakes: list[InputError]) -> str | None:
    if not os.path.lexists(project.root / REDIRECTS_FILE):
        return None
    return text_of_file(project.root, REDIRECTS_FILE, mistakes, size_bytes_max=REDIRECTS_SIZE_BYTES_MAX)


def _unflattened(text: str, mistakes: list[InputError]) -> list[Redirect]:
    """Return the valid lines with their chains and loops."""
    table = TomlTable.parse(text, file=REDIRECTS_FILE, mistakes=mistakes)
    values = table.value(_TABLE) if table else {}
    rows = values.items() if isinstance(values, dict) else ()
    return [
        Redirect(decoded_source(written), encoded_target(target), written)
        for written, target in rows
        if not source_problem(written) and not target_problem(target)
    ]


def _flattened(
    found: Mapping[str, Redirect], note_error: Callable[[str, object, str], None]
) -> tuple[Redirect, ...]:
    """Replace each target that redirects itself by the end of its chain; leave out loops and note them."""
    ends: dict[str, str | None] = {}
    for start in found:
        chain = [start]
        while True:
            last = chain[-1]
            if last in ends:
                end = ends[last]
                break
            following = page_of(found[last].target)
            if following in chain:  # also a redirect to itself
                end = None
                loop = " -> ".join([*chain[chain.index(following) :], following])
                note_error(found[last].written, found[last].target, f"an end of the chain: {loop} is a loop")
                break
            if following not in found:
                end = found[last].target
                break
            chain.append(following)
        ends.update(dict.fromkeys(chain, end))
    return tuple(
        Redirect(source, end, found[source].written) for source in sorted(found) if (end := ends[source])
    )


def _line(lines: KeyLines, written: str) -> int | None:
    """Return the line of a source, which the file has in quotes and with escapes."""
    return lines.of(f"{_TABLE}.{_quoted(written)[1:-1]}") or lines.of(f"{_TABLE}.{written}")


def decoded_source(source: str) -> str:
    """Return a source as it is compared: percent-decoded, without a slash at the end."""
    return unquote(source).rstrip("/")


def encoded_target(target: str) -> str:
    """Return a target encoded for an attribute of a page. Encoded signs stay encoded."""
    if not target.startswith("/"):
        return quote(target, safe=_PATH_SAFE + "?#[]%")
    path, mark, rest = _split(target)
    return quote(unquote(path), safe=_PATH_SAFE) + mark + quote(rest, safe=_PATH_SAFE + "?#%")


def _split(target: str) -> tuple[str, str, str]:
    found = re.search(r"[?#]", target)
    cut = found.start() if found else len(target)
    return target[:cut], target[cut : cut + 1], target[cut + 1 :]


def page_of(target: str) -> str:
    """Return the decoded path that a target leads to, empty when it is on another site."""
    if not target.startswith("/"):
        return ""
    return unquote(_split(target)[0]).rstrip("/") or "/"


def _with(text: str, added: Mapping[str, str]) -> str:
    if text and not text.endswith("\n"):
        text += "\n"
    has_table = re.search(r"^\s*\[\s*redirects\s*\]", text, re.MULTILINE)
    rows = "".join(f"{_quoted(source)} = {_quoted(target)}\n" for source, target in added.items())
    return f"{text}{'' if has_table else _HEADER}{rows}"


def _without(text: str, written: tuple[str, ...]) -> str:
    lines = KeyLines(text)
    removed = {_line(lines, source) for source in written}
    kept = [line for number, line in enumerate(text.split("\n"), 1) if number not in removed]
    return "\n".join(kept)


def _quoted(text: str) -> str:
    """Return a TOML basic string, as JSON: they differ in control characters only, which the text has not."""
    return json.dumps(text, ensure_ascii=False)


def _write(file: Path, text: str) -> None:
    # A link stays one: what it leads to is written.
    file = file.resolve()
    unfinished = file.with_name(f".{file.name}.unfinished")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(file)
