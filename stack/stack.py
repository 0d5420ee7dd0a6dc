"""The three servers together, in one folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from stack.cancel import Cancel
from stack.elasticsearch import ElasticsearchServer
from stack.kafka import KafkaServer
from stack.lock import locked
from stack.mysql import MysqlServer
from stack.server import Server
from stack.status import ServerState, StackStatus

Report = Callable[[str], None]


class Stack:
    """MySQL, Kafka and Elasticsearch as local processes; all state is in the folder, none in this object."""

    def __init__(
        self,
        state_dir: Path,
        *,
        mysql_args: Sequence[str] = (),
        kafka_properties: Mapping[str, str] | None = None,
        elasticsearch_settings: Mapping[str, object] | None = None,
        report: Report = lambda _: None,
    ) -> None:
        self.state_dir = state_dir.absolute()
        self.mysql = MysqlServer(self.state_dir / "mysql", args=mysql_args)
        self.kafka = KafkaServer(self.state_dir / "kafka", properties=kafka_properties)
        self.elasticsearch = ElasticsearchServer(self.state_dir / "elasticsearch", settings=elasticsearch_settings)
        self._report = report

    @property
    def servers(self) -> tuple[Server, ...]:
        return self.mysql, self.kafka, self.elasticsearch

    def up(self, cancel: Cancel | None = None) -> StackStatus:
        """Start what does not run, all at once; on any failure, stop again what this call started."""
        stop = cancel or Cancel()
        self.state_dir.mkdir(parents=True, exist_ok=True)
        with locked(self._lock, stop):
            missing = [server for server in self.servers if server.state is not ServerState.RUNNING]
            try:
                self._start(missing, stop)
            except BaseException:
                stop.set()
                self._stop(missing)
                raise
        return self.status()

    def down(self, *, wipe: bool = False) -> StackStatus:
        """Stop everything that was started here, and with `wipe` remove its data."""
        with locked(self._lock):
            self._stop(self.servers)
            for server in self.servers if wipe else ():
                server.wipe()
        return self.status()

    def status(self) -> StackStatus:
        with ThreadPoolExecutor(len(self.servers)) as pool:
            mysql, kafka, elasticsearch = pool.map(lambda server: server.status(), self.servers)
        return StackStatus(
            state_dir=self.state_dir,
            mysql=mysql,
            kafka=kafka,
            elasticsearch=elasticsearch,
            root=self.mysql.root,
            tidemark=self.mysql.tidemark,
            socket=self.mysql.socket,
        )

    def server(self, name: str) -> Server:
        return next(server for server in self.servers if server.name == name)

    def start_server(self, name: str) -> None:
        """Start one server again, same port, same data; returns when it answers."""
        self.server(name).start()

    def stop_server(self, name: str) -> None:
        self.server(name).stop()

    def kill_server(self, name: str) -> None:
        """kill -9."""
        self.server(name).kill()

    def pid(self, name: str) -> int:
        """0 if it does not run."""
        return self.server(name).pid

    @property
    def _lock(self) -> Path:
        return self.state_dir / "lock"

    def _start(self, servers: Sequence[Server], cancel: Cancel) -> None:
        pool = ThreadPoolExecutor(max(1, len(servers)))
        futures = {pool.submit(server.start, cancel=cancel): server for server in servers}
        try:
            for future in as_completed(futures):
                future.result()
                server = futures[future]
                self._report(f"{server.name} {server.version} answers on port {server.port}")
        except BaseException:
            cancel.set()
            raise
        finally:
            pool.shutdown(wait=True)

    def _stop(self, servers: Sequence[Server]) -> None:
        with ThreadPoolExecutor(max(1, len(servers))) as pool:
            list(pool.map(lambda server: server.stop(), servers))
