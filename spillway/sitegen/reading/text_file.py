"""Read the text of a merchant's file; say why one cannot be read, and what to do."""

import os
from pathlib import Path

from spillway.sitegen.reading.toml_input import InputError

FILE_SIZE_BYTES_MAX = 1_000_000
_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_SAVE_AS_UTF_8 = "a text in UTF-8: save the file with the encoding UTF-8"


def text_of_file(
    root: Path,
    file: str,
    mistakes: list[InputError] | None = None,
    *,
    size_bytes_max: int = FILE_SIZE_BYTES_MAX,
) -> str | None:
    """Return the text of a file with line feeds as its only line breaks.

    When it cannot be read, note an error in `mistakes` and return None.
    """
    body = b""
    try:
        with open(f"{root}/{file}", "rb", buffering=0) as opened:  # noqa: PTH123 - ten thousand times
            size_bytes = os.fstat(opened.fileno()).st_size
            if size_bytes <= size_bytes_max:
                body = opened.readall()
                text = body.decode("utf-8-sig")
                return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text
        expected = f"a text in UTF-8 of at most {size_bytes_max} bytes"
        mistake = InputError(file, None, "file", f"{size_bytes} bytes", expected)
    except OSError as error:
        mistake = unreadable(file, error)
    except UnicodeDecodeError as error:
        mistake = not_utf_8(file, body, error.start)
    if mistakes is not None:
        mistakes.append(mistake)
    return None


def unreadable(file: str, error: OSError) -> InputError:
    """Return the error about a file or a folder that the system does not open."""
    if error.filename and (problem := link_problem(error.filename)):
        return InputError(file, None, "file", problem, "a link that leads somewhere: mend it, or delete it")
    if isinstance(error, FileNotFoundError):
        return InputError(file, None, "file", None, "a file of this name: there is none")
    if isinstance(error, PermissionError):
        expected = f"a file that you have the right to read: chmod u+r {file}"
        return InputError(file, None, "file", "not readable", expected)
    if isinstance(error, NotADirectoryError):
        return InputError(file, None, "folder", "a file", "a folder: rename the file, or delete it")
    if isinstance(error, IsADirectoryError):
        return InputError(file, None, "file", "a folder", "a file")
    return InputError(file, None, "file", os.strerror(error.errno or 0), "a file that can be read")


def link_problem(path: str) -> str | None:
    """Return the words for a link that leads to nothing, None for anything else."""
    file = Path(path)
    is_broken = file.is_symlink() and not file.exists()
    return f"a link to {file.readlink()}, where nothing is" if is_broken else None


def not_utf_8(file: str, body: bytes, start: int) -> InputError:
    """Return the error about a text in another encoding; `start` is its first byte that is not UTF-8."""
    if body.startswith(b"PK\3\4"):
        return InputError(
            file, None, "file", "a spreadsheet or an archive", "a text: spreadsheets save one as CSV"
        )
    # UTF-8 texts hold no zero bytes, and UTF-16 ones many.
    if body.startswith(_UTF_16_MARKS) or b"\0" in body[:100]:
        return InputError(file, 1, "file", "UTF-16", _SAVE_AS_UTF_8)
    before = body[:start].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    line = (before.rpartition(b"\n")[2] + body[start : start + 20]).splitlines()[0]
    return InputError(file, before.count(b"\n") + 1, "file", line.decode("cp1252", "replace"), _SAVE_AS_UTF_8)
