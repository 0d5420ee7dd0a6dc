"""A real mysqld, set up as tidemark wants its source to be."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path

import pymysql

from stack import debian, files, identity
from stack.errors import ServerStartError
from stack.ports import HOST
from stack.run import run
from stack.server import Server
from stack.status import Account, MysqlStatus
from stack.watcher import Watcher

# As tidemark wants it (binlog_*, gtid_*), as a kill -9 test needs it (sync_binlog, flush_log), and small.
_SETTINGS = (
    "--server-id=1",
    "--log-bin=bin",
    "--gtid-mode=ON",
    "--enforce-gtid-consistency=ON",
    "--binlog-format=ROW",
    "--binlog-row-image=FULL",
    "--binlog-row-metadata=FULL",
    "--sync-binlog=1",
    "--innodb-flush-log-at-trx-commit=1",
    "--innodb-buffer-pool-size=256M",
    "--max-allowed-packet=1G",
    "--local-infile=ON",
)
_ACCOUNTS = """\
ALTER USER 'root'@'localhost' IDENTIFIED BY '{root}';
CREATE USER 'root'@'%' IDENTIFIED BY '{root}';
GRANT ALL ON *.* TO 'root'@'%' WITH GRANT OPTION;
CREATE USER 'tidemark'@'%' IDENTIFIED BY '{tidemark}';
GRANT SELECT, REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO 'tidemark'@'%';
"""
_LONGEST_SOCKET = 100  # sun_path holds 108 bytes


class MysqlServer(Server):
    """One mysqld. `args` come last on its command line, so they win over ours.

    Stands alone as well: `MysqlServer(folder, args=("--binlog-format=STATEMENT",)).start()`.
    """

    name = "mysql"

    def __init__(self, folder: Path, *, port: int = 0, args: Sequence[str] = ()) -> None:
        super().__init__(folder, port=port)
        self._args = tuple(args)
        self._root = Path()

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def socket(self) -> Path:
        return self.data / "mysqld.sock"

    @property
    def root(self) -> Account:
        return self._account("root")

    @property
    def capture(self) -> Account:
        """The user that cdc captures with: the grants that it needs and no others."""
        return self._account("tidemark")

    def status(self) -> MysqlStatus:
        return MysqlStatus(**self.facts(), root=self.root, capture=self.capture, socket=self.socket)

    def prepare(self, watcher: Watcher) -> None:
        self._root = debian.mysql_root(watcher)
        self._note(version=debian.versions(self._root)["mysql-server-core"])
        if not self.data.exists():
            self._initialize(watcher)
        self._clear_leftovers()

    def command(self) -> Sequence[str]:
        where = [f"--port={self.port}", f"--bind-address={HOST}", f"--socket={self._short_socket()}"]
        return [*self._mysqld(self.data), *where, f"--pid-file={self.data}/mysqld.pid", *_SETTINGS, *self._args]

    def reach(self) -> Sequence[Path]:
        return [self.folder, self._root]

    def _clear_leftovers(self) -> None:
        # mysqld refuses to start if the pid in a left-over lock file belongs to anybody by now.
        for name in ("mysqld.sock", "mysqld.sock.lock", "mysqld.pid"):
            (self.data / name).unlink(missing_ok=True)

    def answers(self) -> bool:
        try:
            for account in (self.root, self.capture):
                self.connect(account, timeout_s=2).close()
        except (pymysql.MySQLError, OSError):
            return False
        return True

    def connect(self, account: Account | None = None, *, timeout_s: float = 10) -> pymysql.Connection:
        """A connection as root, or as the account given."""
        who = account or self.root
        return pymysql.connect(
            host=HOST,
            port=self.port,
            user=who.user,
            password=who.password,
            connect_timeout=max(1, int(timeout_s)),
            read_timeout=timeout_s,
            autocommit=True,
        )

    def _account(self, user: str) -> Account:
        file = self.folder / f"{user}-password"
        password = file.read_text(encoding="utf-8").strip() if file.exists() else ""
        return Account(user=user, password=password, password_file=file)

    def _short_socket(self) -> Path:
        # Relative to the data folder, which mysqld changes into, so that a deep folder still fits.
        return self.socket if len(str(self.socket)) <= _LONGEST_SOCKET else Path(self.socket.name)

    def _mysqld(self, data: Path) -> list[str]:
        share = self._root / "usr/share/mysql"
        return [
            *debian.through_loader(self._root, "usr/sbin/mysqld"),
            "--no-defaults",
            f"--basedir={self._root}/usr",
            f"--lc-messages-dir={share}",
            f"--character-sets-dir={share}/charsets",
            f"--plugin-dir={self._root}/usr/lib/mysql/plugin",
            "--secure-file-priv=",
            "--mysqlx=OFF",
            "--performance-schema=OFF",
            f"--datadir={data}",
        ]

    def _initialize(self, watcher: Watcher) -> None:
        draft = files.draft(self.data)
        accounts = self.folder / "accounts.sql"
        passwords = {user: self._make_password(user) for user in ("root", "tidemark")}
        files.write(accounts, _ACCOUNTS.format_map(passwords))
        identity.give(accounts)
        identity.give(draft)
        command = [*self._mysqld(draft), "--initialize-insecure", f"--init-file={accounts}"]
        log = self.folder / "initialize.log"
        outcome = run([*identity.prefix(self.reach(), helper=True), *command], log=log, watcher=watcher)
        accounts.unlink()
        if outcome.code != 0:
            raise ServerStartError(f"mysqld could not make its data folder:\n{outcome.tail()}", where=str(log))
        draft.rename(self.data)

    def _make_password(self, user: str) -> str:
        password = secrets.token_urlsafe(16)
        files.write(self.folder / f"{user}-password", password)
        return password


def tool(name: str) -> list[str]:
    """The command prefix of `mysql`, `mysqlbinlog`, `mysqldump` or `mysqladmin` of the same version."""
    return debian.through_loader(debian.mysql_root(Watcher()), f"usr/bin/{name}")
