"""A real OpenSearch for tests: one node from Maven Central, in a folder of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from services.common import processes

HERE = Path(__file__).parent
_JAVA = 21
_FLAGS = (
    "-Xmx1g",
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "--add-modules=jdk.incubator.vector",
    "--enable-native-access=ALL-UNNAMED",
)


@dataclass(frozen=True)
class Node:
    """A running node."""

    url: str
    process: subprocess.Popen[bytes]

    def stop(self) -> None:
        """End it and wait until it is gone."""
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def java() -> str:
    """The first Java that is new enough: `JAVA_HOME`, then those under the system's JVM folder, then the default."""
    homes = [Path(os.environ["JAVA_HOME"])] if "JAVA_HOME" in os.environ else []
    homes += sorted(Path("/usr/lib/jvm").glob("*"), reverse=True) if Path("/usr/lib/jvm").is_dir() else []
    for program in (*(str(home / "bin" / "java") for home in homes), shutil.which("java") or ""):
        if program and Path(program).exists() and _version(program) >= _JAVA:
            return program
    raise RuntimeError(f"no Java {_JAVA} or newer: install one, or set JAVA_HOME")


def libraries() -> Path:
    """The folder with the server's jars, fetched once per user by Maven."""
    pom = HERE / "pom.xml"
    version = re.findall(r"<version>([\d.]+)</version>", pom.read_text())[-1]
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "letterlock" / f"opensearch-{version}"
    if not cache.is_dir():
        maven = shutil.which("mvn")
        if maven is None:
            raise RuntimeError("Maven is not installed")
        scratch = cache.with_name(f"{cache.name}.{os.getpid()}")
        command = [maven, "-q", "-B", "-f", str(pom), "dependency:copy-dependencies"]
        command += ["-DincludeScope=runtime", f"-DoutputDirectory={scratch}"]
        subprocess.run(command, check=True)
        scratch.rename(cache)
    return cache


def start(directory: Path) -> Node:
    """A node with its data in `directory`; returns when it answers, in about ten seconds."""
    port = processes.free_port()
    command = [java(), *_FLAGS, "-cp", f"{libraries()}/*", str(HERE / "Node.java"), str(directory), str(port)]
    with (directory / "node.log").open("wb") as output:
        node = Node(f"http://127.0.0.1:{port}", processes.spawn(command, output=output))
    deadline = time.monotonic() + 120
    while True:
        try:
            with urllib.request.urlopen(node.url, timeout=2):
                return node
        except OSError as error:
            if node.process.poll() is not None or time.monotonic() > deadline:
                node.stop()
                text = (directory / "node.log").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"OpenSearch did not start: {text}") from error
            time.sleep(0.1)


def _version(program: str) -> int:
    said = subprocess.run([program, "-version"], capture_output=True, text=True).stderr
    found = re.search(r'version "(\d+)', said)
    return int(found[1]) if found else 0
