"""The three servers together, in one folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed, wait
from pathlib import Path

from stack.elasticsearch import ElasticsearchServer
from stack.kafka import KafkaServer
from stack.lock import locked
from stack.mysql import MysqlServer
from stack.server import Server
from stack.status import StackStatus
from stack.watcher import Report, Watcher, print_nothing


class Stack:
    """MySQL, Kafka and Elasticsearch as local processes; all state is in the folder, none in this object."""

    def __init__(
        self,
        state_dir: Path,
        *,
        mysql_args: Sequence[str] = (),
        kafka_properties: Mapping[str, str] | None = None,
        elasticsearch_settings: Mapping[str, object] | None = None,
        report: Report = print_nothing,
    ) -> None:
        self.state_dir = state_dir.absolute()
        self.mysql = MysqlServer(self.state_dir / "mysql", args=mysql_args)
        self.kafka = KafkaServer(self.state_dir / "kafka", properties=kafka_properties)
        self.elasticsearch = ElasticsearchServer(self.state_dir / "elasticsearch", settings=elasticsearch_settings)
        self._report = report

    @property
    def servers(self) -> tuple[Server, ...]:
        return self.mysql, self.kafka, self.elasticsearch

    def up(self) -> StackStatus:
        """Start what does not run, all at once; on any failure, stop again what this call started."""
        watcher = Watcher(self._report)
        self.state_dir.mkdir(parents=True, exist_ok=True)
        with locked(self._lock, watcher):
            self._start(watcher)
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
            mysql = pool.submit(self.mysql.status)
            kafka = pool.submit(self.kafka.status)
            elasticsearch = pool.submit(self.elasticsearch.status)
        return StackStatus(
            state_dir=self.state_dir,
            mysql=mysql.result(),
            kafka=kafka.result(),
            elasticsearch=elasticsearch.result(),
        )

    def server(self, name: str) -> Server:
        return next(server for server in self.servers if server.name == name)

    def start_server(self, name: str) -> None:
        """Start one server again, same port, same data; returns when it answers."""
        self.server(name).start()

    def stop_server(self, name: str) -> None:
        self.server(name).stop()

    def kill_server(self, name: str) -> None:
        """Kill it without warning (SIGKILL)."""
        self.server(name).kill()

    def pause_server(self, name: str) -> None:
        """Freeze it (SIGSTOP): connections stay open, nothing answers."""
        self.server(name).pause()

    def resume_server(self, name: str) -> None:
        self.server(name).resume()

    def pid(self, name: str) -> int:
        """0 if it does not run."""
        return self.server(name).pid

    @property
    def _lock(self) -> Path:
        return self.state_dir / "lock"

    def _start(self, watcher: Watcher) -> None:
        with ThreadPoolExecutor(len(self.servers)) as pool:
            futures = {pool.submit(server.start, watcher=watcher): server for server in self.servers}
            try:
                for future in as_completed(futures):
                    self._tell(futures[future], launched=future.result())
            except BaseException:
                # A server that fails stops itself; those that did come up in this call are stopped here.
                watcher.stop()
                wait(futures)
                self._stop([server for future, server in futures.items() if _launched(future)])
                raise

    def _stop(self, servers: Sequence[Server]) -> None:
        with ThreadPoolExecutor(max(1, len(servers))) as pool:
            list(pool.map(lambda server: server.stop(), servers))

    def _tell(self, server: Server, *, launched: bool) -> None:
        did = "started" if launched else "already runs"
        self._report(f"{server.name} {server.version} {did} on port {server.port}")


def _launched(future: Future[bool]) -> bool:
    return future.exception() is None and future.result()
