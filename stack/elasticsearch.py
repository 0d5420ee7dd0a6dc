"""A real Elasticsearch node."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from stack import artifacts, files, identity, java
from stack.lock import locked
from stack.paths import cache_dir
from stack.ports import HOST
from stack.server import Server
from stack.watcher import Watcher

_HEAP = "-Xms1g\n-Xmx1g\n"
_SETTINGS: dict[str, object] = {
    "cluster.name": "tidemark",
    "node.name": "tidemark",
    "discovery.type": "single-node",
    "network.host": HOST,
    "xpack.security.enabled": False,
    # A write to an alias that is gone must fail, not make an index of that name.
    "action.auto_create_index": "false",
    "action.destructive_requires_name": True,
    "cluster.routing.allocation.disk.threshold_enabled": False,
}


class ElasticsearchServer(Server):
    """One node without security. `settings` are added to ours and win."""

    name = "elasticsearch"
    port_names = ("port", "transport")

    def __init__(self, folder: Path, *, port: int = 0, settings: Mapping[str, object] | None = None) -> None:
        super().__init__(folder, port=port)
        self._settings = dict(settings or {})
        self._home = Path()
        self._java_home = Path()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def log(self) -> Path:
        # What it prints ends when the launcher leaves; its own log goes on.
        return self.folder / "logs/tidemark.log"

    def prepare(self, watcher: Watcher) -> None:
        found = java.ensure(watcher)
        self._java_home = found.home
        section = "elasticsearch-9" if found.major >= java.ELASTICSEARCH_9_NEEDS else "elasticsearch-8"
        self._home = _unpacked(section, watcher)
        self._note(version=artifacts.version_of(section, "elasticsearch"))
        self._configure()
        (self.folder / "run/pid").unlink(missing_ok=True)

    def command(self) -> Sequence[str]:
        # -d: the launcher leaves when the node is up, and the node is one process.
        return [str(self._home / "bin/elasticsearch"), "-d", "-p", str(self.folder / "run/pid")]

    def environment(self) -> Mapping[str, str]:
        folders = {"ES_PATH_CONF": str(self.folder / "config"), "ES_TMPDIR": str(self.folder / "run")}
        return {**super().environment(), **folders, "ES_JAVA_HOME": str(self._java_home)}

    def reach(self) -> Sequence[Path]:
        return [self.folder, self._home, self._java_home]

    def main_pid(self) -> int:
        return int((self.folder / "run/pid").read_text(encoding="ascii"))

    def answers(self) -> bool:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=5)
        try:
            connection.request("GET", "/_cluster/health?wait_for_status=yellow&timeout=1s")
            reply = connection.getresponse()
            return reply.status == 200 and (self.folder / "run/pid").exists()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _configure(self) -> None:
        config = self.folder / "config"
        if not config.exists():
            draft = self.folder / "config.part"
            shutil.rmtree(draft, ignore_errors=True)
            shutil.copytree(self._home / "config", draft)
            draft.rename(config)
        where = {
            "http.port": self.ports["port"],
            "transport.port": self.ports["transport"],
            "path.data": str(self.folder / "data"),
            "path.logs": str(self.folder / "logs"),
            "path.repo": str(self.folder / "repo"),
        }
        (config / "jvm.options.d").mkdir(exist_ok=True)
        files.write(config / "jvm.options.d/heap.options", _HEAP, mode=0o644)
        options = (self._home / "config/jvm.options").read_text(encoding="utf-8")
        files.write(config / "jvm.options", without_gc_log(options), mode=0o644)
        files.write(config / "elasticsearch.yml", render_settings({**_SETTINGS, **where, **self._settings}), mode=0o644)
        for name in ("data", "logs", "repo", "run"):
            (self.folder / name).mkdir(exist_ok=True, mode=0o700)
            identity.give(self.folder / name)
        identity.give(config)


def render_settings(settings: Mapping[str, object]) -> str:
    """YAML, one JSON value a line."""
    return "".join(f"{key}: {json.dumps(value)}\n" for key, value in settings.items())


def without_gc_log(options: str) -> str:
    """The distribution's JVM options without the log that it would write into its own, shared folder."""
    return re.sub(r"^[^#\n]*-Xlog:gc.*$", "", options, flags=re.MULTILINE)


def _unpacked(section: str, watcher: Watcher) -> Path:
    home = cache_dir() / f"elasticsearch-{artifacts.version_of(section, 'elasticsearch')}"
    with locked(cache_dir() / "elasticsearch.unpack.lock", watcher):
        if not home.exists():
            (item,) = artifacts.locked_artifacts(section)
            _unpack(artifacts.fetch(section, watcher) / item.file_name, home)
    return home


def _unpack(archive: Path, home: Path) -> None:
    draft = home.with_name(f"{home.name}.part")
    shutil.rmtree(draft, ignore_errors=True)
    with zipfile.ZipFile(archive) as file:
        for entry in file.infolist():
            target = Path(file.extract(entry, draft))
            # zipfile leaves the permissions aside.
            if not entry.is_dir():
                target.chmod(entry.external_attr >> 16 & 0o777 or 0o644)
    (inner,) = draft.iterdir()
    inner.rename(home)
    draft.rmdir()
