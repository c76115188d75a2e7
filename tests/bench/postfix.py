"""Postfix as the peer: its own instance on a high port, relaying everything to one next hop."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from services.common.processes import free_port

_MASTER = """\
127.0.0.1:{port} inet n - n - 100 smtpd
pickup    unix  n - n 60 1 pickup
cleanup   unix  n - n - 0 cleanup
qmgr      unix  n - n 300 1 qmgr
tlsmgr    unix  - - n 1000? 1 tlsmgr
rewrite   unix  - - n - - trivial-rewrite
bounce    unix  - - n - 0 bounce
defer     unix  - - n - 0 bounce
trace     unix  - - n - 0 bounce
verify    unix  - - n - 1 verify
flush     unix  n - n 1000? 0 flush
proxymap  unix  - - n - - proxymap
smtp      unix  - - n - 100 smtp
relay     unix  - - n - 100 smtp
showq     unix  n - n - - showq
error     unix  - - n - - error
retry     unix  - - n - - error
discard   unix  - - n - - discard
anvil     unix  - - n - 1 anvil
scache    unix  - - n - 1 scache
postlog   unix-dgram n - n - 1 postlogd
"""
_MAIN = """\
compatibility_level = 3.6
queue_directory = {queue}
data_directory = {data}
command_directory = /usr/sbin
daemon_directory = {daemons}
mail_owner = postfix
setgid_group = postdrop
myhostname = bench.test
mydestination =
mynetworks = 127.0.0.0/8
relay_domains = *
relayhost = [127.0.0.1]:{next_hop}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
local_recipient_maps =
smtpd_recipient_restrictions = permit_mynetworks, reject
disable_dns_lookups = yes
message_size_limit = 52428800
maillog_file = {log}
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
"""


def installed() -> bool:
    """Whether Postfix and its smtp-source are here."""
    return shutil.which("postfix", path=_PATH) is not None and shutil.which("smtp-source", path=_PATH) is not None


_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin"


class Postfix:
    """A running instance; `port` accepts, everything goes to `next_hop`."""

    def __init__(self, next_hop: int) -> None:
        self.port = free_port()
        self._next_hop = next_hop
        self._folder = Path(tempfile.mkdtemp(prefix="letterlock-bench-postfix-"))

    async def start(self) -> Postfix:
        """Start it and wait until it listens."""
        config, queue, data = (self._folder / name for name in ("etc", "queue", "data"))
        for folder in (config, queue, data):
            folder.mkdir()
        self._folder.chmod(0o755)
        shutil.chown(data, "postfix")
        daemons = "/usr/lib/postfix/sbin" if Path("/usr/lib/postfix/sbin").exists() else "/usr/libexec/postfix"
        (config / "main.cf").write_text(
            _MAIN.format(queue=queue, data=data, daemons=daemons, next_hop=self._next_hop, log="/dev/stdout")
        )
        (config / "main.cf").write_text((config / "main.cf").read_text().replace("maillog_file = /dev/stdout\n", ""))
        (config / "master.cf").write_text(_MASTER.format(port=self.port))
        await asyncio.to_thread(self._run, "start")
        for _ in range(100):
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                await asyncio.sleep(0.1)
                continue
            writer.close()
            return self
        raise RuntimeError("postfix does not listen")

    async def stop(self) -> None:
        """Stop it and remove its folder."""
        await asyncio.to_thread(self._run, "stop")
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, verb: str) -> None:
        subprocess.run(
            ["/usr/sbin/postfix", "-c", str(self._folder / "etc"), verb], capture_output=True, timeout=60, check=False
        )
