"""Finding the file for each picture of an export, and the name it gets among the shop's own.

A picture is found by its path, not by its name alone: `/1001/main.jpg` and `/1002/main.jpg` are two pictures.
A file that fits several addresses equally well is given to none of them: no product gets another one's.
"""

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from spillway.importing.imported import Omission, PictureChoice
from spillway.importing.names import clean

_NAME_LENGTH_MAX = 100
_DIGEST_LENGTH = 8
# Suffixes of image servers for a size: Shopify's `_grande` and `_800x`, WordPress's `-300x300` and
# `-scaled`, `@2x`.
_SIZE = re.compile(
    r"(_(pico|icon|thumb|small|compact|medium|large|grande|original|master|\d{1,4}x\d{0,4}|x\d{1,4})"
    r"(_crop_(top|center|bottom|left|right))?(\.progressive)?|@[1-4]x|-\d{2,4}x\d{2,4}|-scaled)$"
)
# Words of a reason about one file.
_WHY = re.compile("[,;:] .*")
_SPACES = re.compile(r"[\s+_]+")
_JPEG = {".jpeg": ".jpg", ".jpe": ".jpg"}

Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PictureRecord:
    """A picture that an import put into the shop: its content, and the address it stood for."""

    sha256: str
    url: str


class _Fit(NamedTuple):
    """How well a file fits an address: names first (0 is the very same), then parent folders in common."""

    level: int
    apart: int
    file: Path


@dataclass(slots=True)
class _Index:
    """Files by their names, from exact to loose."""

    root: Path | None
    levels: tuple[dict[str, list[Path]], ...] = field(default_factory=lambda: ({}, {}, {}, {}))

    @classmethod
    def of(cls, root: Path | None) -> "_Index":
        index = cls(root)
        for file in sorted(root.rglob("*")) if root else ():
            if file.is_file() and not file.name.startswith("."):
                for level, name in zip(index.levels, _names(file.name), strict=True):
                    level.setdefault(name, []).append(file)
        return index

    def best(self, key: Key) -> list[_Fit]:
        """Return the files that fit an address best: one, or several that fit alike."""
        if not key:
            return []
        plain, folded, bare, stem = _names(key[-1])
        # A size in the address only, before a size in both: "a_800x.jpg" is "a.jpg" rather than "a_200x.jpg".
        for level, (name, index) in enumerate(
            ((plain, 0), (folded, 1), (bare, 1), (bare, 2), (stem, 3)),
        ):
            fits = [_Fit(level, -self._common(file, key), file) for file in self.levels[index].get(name, ())]
            if fits:
                apart = min(fit.apart for fit in fits)
                return [fit for fit in fits if fit.apart == apart]
        return []

    def _common(self, file: Path, key: Key) -> int:
        parents = [_fold(part) for part in file.relative_to(self.root or file.anchor).parts[:-1]]
        count = 0
        for mine, theirs in zip(reversed(parents), reversed(key[:-1]), strict=False):
            if mine != _fold(theirs):
                break
            count += 1
        return count


@dataclass(frozen=True, slots=True)
class PictureFolders:
    """Where pictures may be: the merchant's folder beside the export, and the shop's own."""

    folder: Path | None
    shop: Path
    record: Mapping[str, PictureRecord]
    overwrite: bool = False
    none_wanted: bool = False


class PictureFinder:
    """The file for each of `urls`. `problem` says why the build cannot show a file, or None.

    `copies` are the files to copy, by their names in site/pictures; `record` is what to note of them.
    """

    def __init__(
        self, urls: Iterable[str], source: PictureFolders, *, problem: Callable[[Path], str | None]
    ) -> None:
        self._source = source
        self._problem = problem
        self.copies: dict[str, Path] = {}
        self.replaced: list[str] = []
        self.kept: list[Omission] = []
        self.record: dict[str, PictureRecord] = dict(source.record)
        self._choices: dict[str, PictureChoice] = {}
        if not source.none_wanted:
            self._choose(sorted({url for url in urls if url}))

    def find(self, url: str) -> PictureChoice:
        """Return the file for `url`, or why there is none."""
        if self._source.none_wanted:
            return PictureChoice("", "pictures left out, as --no-images says", "left out")
        return self._choices.get(url) or self._missing()

    def _missing(self) -> PictureChoice:
        if self._source.folder is None:
            return PictureChoice("", "pictures not found: give their folder with --images", "not found")
        kind = f"pictures not found in {self._source.folder} or in site/pictures"
        return PictureChoice("", kind, "not found")

    def _choose(self, urls: list[str]) -> None:
        keys = {url: key for url in urls if (key := _key(url))}
        found: dict[str, Path] = {}
        for root in (self._source.folder, self._source.shop):
            index = _Index.of(root if root and root.is_dir() else None)
            left = {url: key for url, key in keys.items() if url not in found and url not in self._choices}
            known = self._known(left) if root == self._source.shop else {}
            found |= known
            found |= self._matched(index, {url: key for url, key in left.items() if url not in known})
        found = {url: file for url, file in found.items() if url not in self._choices}
        problems = self._problems(set(found.values()))
        for url, file in found.items():
            if problem := problems[file]:
                outcome = f"left out: {file.name}: expected {problem}"
                kind = f"pictures that a page cannot show: expected {_WHY.sub('', problem)}"
                self._choices[url] = PictureChoice("", kind, outcome)
        good = {url: file for url, file in found.items() if url not in self._choices}
        self._name(good, keys)

    def _known(self, keys: Mapping[str, Key]) -> dict[str, Path]:
        """Return the pictures that an earlier import put into the shop, by the addresses it noted."""
        names = {record.url: name for name, record in self._source.record.items()}
        found = {
            url: self._source.shop / names[noted] for url in keys if (noted := _noted(keys[url])) in names
        }
        return {url: file for url, file in found.items() if file.is_file()}

    def _matched(self, index: _Index, keys: Mapping[str, Key]) -> dict[str, Path]:
        fits: dict[str, _Fit] = {}
        for url, key in keys.items():
            # Programs that fetch files keep "%20" in a name, or not.
            best = index.best(_key(url, decoded=False)) or index.best(key)
            if len(best) > 1 and len({_sha256(fit.file) for fit in best}) > 1:
                names = ", ".join(
                    fit.file.name if not index.root else str(fit.file.relative_to(index.root))
                    for fit in best[:4]
                )
                self._choices[url] = PictureChoice(
                    "", "pictures that fit several files of one name, left out", f"left out: it fits {names}"
                )
            elif best:
                fits[url] = best[0]
        claims: dict[Path, list[str]] = {}
        for url, fit in fits.items():
            claims.setdefault(fit.file, []).append(url)
        for file, urls in claims.items():
            for url in _losers(urls, fits, keys):
                outcome = f"left out: {file.name} fits other addresses as well or better"
                kind = "pictures of one name at several addresses, with one file for all of them: left out"
                self._choices[url] = PictureChoice("", kind, outcome)
                del fits[url]
        return {url: fit.file for url, fit in fits.items()}

    def _problems(self, files: set[Path]) -> dict[Path, str | None]:
        # Pillow lets go of the interpreter while it decodes.
        ordered = sorted(files)
        with ThreadPoolExecutor() as pool:
            return dict(zip(ordered, pool.map(self._problem, ordered), strict=True))

    def _name(self, found: Mapping[str, Path], keys: Mapping[str, Key]) -> None:
        """Give each file its name in the shop, never that of another picture."""
        digests = {file: _sha256(file) for file in set(found.values())}
        wanted: dict[str, set[str]] = {}
        for file, digest in digests.items():
            wanted.setdefault(_safe_name(file.name).casefold(), set()).add(digest)
        there = {file.name.casefold(): file for file in _files(self._source.shop)}
        for url in sorted(found):
            file = found[url]
            digest, noted = digests[file], _noted(keys[url])
            if file.parent == self._source.shop:
                self._choices[url] = PictureChoice(file.name)
                continue
            name = _safe_name(file.name)
            if len(wanted[name.casefold()]) > 1:
                name = _with_digest(name, digest)
            self._choices[url] = PictureChoice(self._placed(name, file, digest, noted, there))

    def _placed(self, name: str, file: Path, digest: str, noted: str, there: Mapping[str, Path]) -> str:
        """Return the name that `file` gets; noted as a copy where it is not there yet."""
        own = there.get(name.casefold())
        if own is not None and (own.name != name or _sha256(own) != digest):
            record = self._source.record.get(own.name)
            of_this = own.name == name and record is not None and record.url == noted
            if self._source.overwrite and own.name == name:
                self.replaced.append(name)
            elif of_this and record and record.sha256 != _sha256(own):
                kind = "pictures edited since the last import, kept"
                self._note(name, kind, "edited since the last import: kept")
                return name
            elif of_this:
                self.replaced.append(name)
            else:
                other = _with_digest(name, digest)
                kind = (
                    "pictures of the shop with the name of an imported one, kept (--overwrite replaces them)"
                )
                self._note(name, kind, f"is another picture: kept, the imported one is {other}")
                name, own = other, there.get(other.casefold())
        if own is None or _sha256(own) != digest:
            self.copies[name] = file
        self.record[name] = PictureRecord(digest, noted)
        return name

    def _note(self, name: str, kind: str, outcome: str) -> None:
        finding = Omission(f"site/pictures/{name}", name, outcome, kind)
        if finding not in self.kept:
            self.kept.append(finding)


def _losers(urls: list[str], fits: Mapping[str, _Fit], keys: Mapping[str, Key]) -> list[str]:
    """Return the addresses that a file fits, apart from the picture it fits best."""
    groups: dict[Key, list[str]] = {}
    for url in urls:
        groups.setdefault((*keys[url][:-1], _names(keys[url][-1])[2]), []).append(url)
    if len(groups) == 1:
        # Sizes of one picture share its file; a file of another size is only the one's that names it.
        best_level = min(fits[url].level for url in urls)
        exact = best_level < 2 and any(fits[url].level >= 3 for url in urls)
        return [url for url in urls if exact and fits[url].level >= 3]
    score = {key: min((fits[url].apart, fits[url].level) for url in group) for key, group in groups.items()}
    best = min(score.values())
    winners = [key for key in groups if score[key] == best]
    return [url for key, group in groups.items() if len(winners) > 1 or key != winners[0] for url in group]


def _key(url: str, *, decoded: bool = True) -> Key:
    """Return the path of an address, `decoded` or as it is; the whole text where it is the name of a file."""
    text = unicodedata.normalize("NFC", url.strip())
    if re.match(r"(https?:)?//", text, re.IGNORECASE):
        try:
            text = urlsplit(text).path
        except ValueError:
            return ()
    else:
        text = re.sub(r"\?v=\d+$", "", text)
    for _ in range(2 if decoded else 0):  # "%2520" is a space that was encoded twice
        text = unquote(text)
    text = unicodedata.normalize("NFC", text)
    return tuple(
        part for part in PurePosixPath(text.replace("\\", "/")).parts if part not in {"/", ".", ".."}
    )


def _noted(key: Key) -> str:
    return "/".join((*key[:-1], _names(key[-1])[1]))


def _names(name: str) -> tuple[str, str, str, str]:
    """Return a name as it is; without case; without a size; and without its ending."""
    plain = unicodedata.normalize("NFC", name)
    folded = _fold(plain)
    stem, dot, ending = folded.rpartition(".")
    if not dot:
        stem, ending = folded, ""
    bare = stem
    while (shorter := _SIZE.sub("", bare)) != bare and shorter:
        bare = shorter
    suffix = _JPEG.get(f".{ending}", f".{ending}") if ending else ""
    return plain, f"{stem}{suffix}", f"{bare}{suffix}", bare


def _fold(name: str) -> str:
    return _SPACES.sub("_", unicodedata.normalize("NFC", name).casefold())


def _safe_name(name: str) -> str:
    """Return a name that a file of the shop can have: no invisible signs, not hidden, not too long."""
    line = (
        " ".join(clean(unicodedata.normalize("NFC", name), lines=False).split())
        .replace("\\", "-")
        .lstrip(".")
    )
    stem, dot, ending = line.rpartition(".") if "." in line else (line, "", "")
    if len(line) <= _NAME_LENGTH_MAX and len(line.encode()) <= 2 * _NAME_LENGTH_MAX and stem:
        return line
    short = stem[: _NAME_LENGTH_MAX // 2]
    return _with_digest(f"{short}{dot}{ending[:8]}", hashlib.sha256(name.encode()).hexdigest())


def _with_digest(name: str, digest: str) -> str:
    stem, dot, ending = name.rpartition(".")
    return f"{stem}-{digest[:_DIGEST_LENGTH]}{dot}{ending}" if dot else f"{name}-{digest[:_DIGEST_LENGTH]}"


def _files(folder: Path) -> Iterator[Path]:
    return (file for file in sorted(folder.iterdir()) if file.is_file()) if folder.is_dir() else iter(())


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
