"""What the embedded server says in its log files, and the sentence it makes. Starting and stopping are not here."""

import errno
import re
from dataclasses import dataclass
from pathlib import Path

from warehouse_assets.database.place import explain
from warehouse_assets.database.trouble import names_full_disk
from warehouse_assets.errors import UserError

_TAIL = 4000


@dataclass(frozen=True)
class ServerLog:
    """The log files of one embedded server, in ``directory``."""

    directory: Path

    @property
    def startup(self) -> Path:
        """The file that ``pg_ctl`` writes to until the server has its own."""
        return self.directory / "startup.log"

    def sizes(self) -> dict[Path, int]:
        """How long each file is by now, to be handed to ``since`` later."""
        return {path: path.stat().st_size for path in self.directory.glob("postgresql-*.log")}

    def since(self, sizes: dict[Path, int]) -> str:
        """What was logged since the last start, and beyond these sizes; a file written anew counts whole."""
        said = [_tail(self.startup)]
        for path, size in self.sizes().items():
            known = sizes.get(path, 0)
            with path.open("rb") as file:
                file.seek(known if known <= size else 0)
                said.append(file.read().decode(errors="replace")[-_TAIL:])
        return "".join(said)

    def end(self) -> str:
        """The end of the newest file."""
        newest = max(self.sizes(), key=lambda path: path.stat().st_mtime, default=None)
        return _tail(newest) if newest else ""

    def failure(self, what: str, data: Path, said: str) -> UserError:
        """The sentence for a server over ``data`` that could not be ``what``, from what it and its tools ``said``."""
        if names_full_disk(said):
            return explain(OSError(errno.ENOSPC, "No space left on device"), data)
        told = re.findall(r"LOG: +((?:invalid|unrecognized|syntax|could not) .*)|(?:FATAL|PANIC|error): +(.*)", said)
        reasons = dict.fromkeys("".join(pair) for pair in told[-3:])
        reason = "; ".join(reasons) or " ".join(said.split()[-40:]) or "it gave no reason"
        return UserError(f"The embedded PostgreSQL could not be {what} ({reason}); see {self.directory}.")


def _tail(path: Path) -> str:
    try:
        return path.read_text(errors="replace")[-_TAIL:]
    except OSError:
        return ""
