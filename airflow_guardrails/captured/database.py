"""Opens DuckDB: in memory, with bounds for memory and disk, and without access to anything else."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from airflow_guardrails.exceptions import MissingExtra, NotEnoughDisk

if TYPE_CHECKING:
    import duckdb

Database: TypeAlias = "duckdb.DuckDBPyConnection"

MIB = 2**20
# DuckDB's memory; the process needs about 150 MiB more.
LEAST_MEMORY, MOST_MEMORY = 128 * MIB, 1024 * MIB
# Megabytes of files for each megabyte of memory.
_FILES_TO_MEMORY = 20
# DuckDB reads two of the longest lines at once, and copies their parts.
_LINE_TO_MEMORY = 9
# Free space that is left to others.
_RESERVE = 256 * MIB

_PREFIX = "airflow-guardrails-"
_LOCK = "in-use"


def check_duckdb(what: str) -> None:
    """
    Check that DuckDB is installed, without importing it.

    :param what: what needs it, for the error.
    :raises MissingExtra: if it is not installed.
    """
    if find_spec("duckdb") is None:
        raise MissingExtra(
            f"{what} needs DuckDB, which is not installed: pip install 'airflow-guardrails[predictions]'"
        )


@contextmanager
def work_folder(parent: Path | None = None) -> Iterator[Path]:
    """
    Create a folder for captured files and temporary data, and delete it at the end.

    Folders that a killed process has left are deleted, too: nobody holds their lock any more.

    :param parent: default: the system's folder for temporary files.
    """
    root = Path(tempfile.gettempdir() if parent is None else parent)
    for other in root.glob(f"{_PREFIX}*"):
        _delete_if_left(other)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=root))
    try:
        with (folder / f"{_LOCK}.new").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            # Others look for the file by its name, so they never find it before it is locked.
            Path(lock.name).rename(folder / _LOCK)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def check_disk(folder: Path, needed: int, what: str) -> None:
    """
    Check that the disk has room.

    :param needed: bytes.
    :raises NotEnoughDisk: if not; the text has both numbers and what to do.
    """
    free = shutil.disk_usage(folder).free
    if needed + _RESERVE > free:
        raise NotEnoughDisk(
            f"{what} need {needed / MIB:,.0f} MiB of temporary disk space in {folder.parent}, and "
            f"{_RESERVE / MIB:.0f} MiB must stay free (got {free / MIB:,.0f} MiB): set TMPDIR of the worker "
            "to a larger disk"
        )


@contextmanager
def open_database(folder: Path, files: Sequence[Path], *, longest: int = 0) -> Iterator[Database]:
    """
    Open a database in memory, which spills into *folder* and may read nothing but *files*.

    More of them get more memory, and so do long lines.

    :param longest: bytes of the longest line.
    :raises NotEnoughDisk: also later, if the memory or the disk does not suffice.
    """
    import duckdb  # noqa: PLC0415 - an extra, and it takes 0.15 s

    file_bytes = sum(file.stat().st_size for file in files)
    temporary = folder / "spill"
    memory = min(MOST_MEMORY, max(LEAST_MEMORY, file_bytes // _FILES_TO_MEMORY, longest * _LINE_TO_MEMORY))
    config: dict[str, Any] = {
        "threads": 1,
        "memory_limit": f"{memory // MIB}MiB",
        "temp_directory": str(temporary),
        "max_temp_directory_size": f"{max(shutil.disk_usage(folder).free - _RESERVE, MIB) // MIB}MiB",
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    database = duckdb.connect(config=config)
    try:
        database.execute("SET enable_progress_bar = false")
        # In this order: each one forbids to change what was set before.
        allowed = ", ".join(literal(str(file)) for file in files)
        database.execute(f"SET allowed_paths = [{allowed}]")
        database.execute("SET enable_external_access = false")
        database.execute("SET lock_configuration = true")
        yield database
    except (duckdb.OutOfMemoryException, duckdb.TransactionException) as error:
        # DuckDB reports a full disk like this, too; and a commit for which the memory does not suffice.
        raise NotEnoughDisk(
            f"The comparison of {file_bytes / MIB:,.0f} MiB of captured files needs more memory or temporary "
            f"disk space in {folder.parent} ({error}): use a larger disk, or compare the hour in parts "
            "(argument part)"
        ) from error
    finally:
        database.close()


def engine_version() -> str:
    """Return name and version of the engine, for the result."""
    import duckdb  # noqa: PLC0415 - as above

    return f"duckdb {duckdb.__version__}"


def literal(text: str) -> str:
    """Return *text* as SQL has it, in quotes."""
    return "'" + text.replace("'", "''") + "'"


def _delete_if_left(folder: Path) -> None:
    # Of another user, just created, or deleted at this moment by another process.
    with suppress(OSError), (folder / _LOCK).open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
