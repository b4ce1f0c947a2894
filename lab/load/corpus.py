"""The text that requests carry: English prose that every Python has, or the user's own files."""

from __future__ import annotations

import itertools
from functools import cache
from pathlib import Path

from lab.errors import CorpusError

__all__ = ["cut", "load"]


def load(corpus: str | None = None) -> tuple[str, ...]:
    """The texts of a corpus: `pydoc_data.topics` where none is named, else a file or a folder of .txt files.

    Files are read as UTF-8, in order of name. Raises CorpusError, which names the file at fault.
    """
    if corpus is None:
        return (_topics(),)
    path = Path(corpus).expanduser()
    if not path.exists():
        raise CorpusError(f"corpus {corpus} does not exist: name a text file or a folder of .txt files")
    files = sorted(path.glob("*.txt")) if path.is_dir() else [path]
    if not files:
        raise CorpusError(f"corpus {corpus} holds no .txt file: put one there, or name a file")
    return tuple(_read(file) for file in files)


def cut(text: str, size: int) -> str:
    """The first `size` bytes of the text in UTF-8, or fewer where a character would be split.

    A text that is too short is repeated, with a space between.
    """
    encoded = text.encode()
    if len(encoded) < size:
        encoded = b"".join(itertools.islice(itertools.repeat(encoded + b" "), size // (len(encoded) + 1) + 1))
    return encoded[:size].decode(errors="ignore")


@cache
def _topics() -> str:
    from pydoc_data.topics import topics  # 700 kB of source: only where it is wanted

    return " ".join(" ".join(topics[name].split()) for name in sorted(topics))


def _read(file: Path) -> str:
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"{file} is not UTF-8 ({error.reason} at byte {error.start}): convert it"
        ) from error
    except OSError as error:
        raise CorpusError(f"{file} cannot be read: {error.strerror}") from error
    if not text.strip():
        raise CorpusError(f"{file} holds no text: remove it from the corpus, or fill it")
    return text
