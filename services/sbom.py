"""A software bill of materials of one image, from its pins: CycloneDX 1.6, the same bytes for the same pins.

    python services/sbom.py ingress requirements/ingress.txt > sbom.cdx.json

Needs nothing but the standard library: it runs while an image is built.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

_PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)(?:\[[^\]]*\])?==(?P<version>[^\s;\\]+)", re.MULTILINE)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def pins(requirements: str) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Each pinned distribution by its normalised name: version, and the SHA-256 of each file that may be installed."""
    starts = list(_PIN.finditer(requirements))
    ends = [match.start() for match in starts[1:]] + [len(requirements)]
    return {
        re.sub(r"[-_.]+", "-", match["name"]).lower(): (
            match["version"],
            tuple(_HASH.findall(requirements[match.end() : end])),
        )
        for match, end in zip(starts, ends, strict=True)
    }


def document(service: str, requirements: str) -> dict[str, object]:
    """The CycloneDX document of the image of `service`."""
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "container", "name": f"letterlock-{service}", "bom-ref": "image"}},
        "components": [
            {
                "type": "library",
                "bom-ref": f"pkg:pypi/{name}@{version}",
                "name": name,
                "version": version,
                "purl": f"pkg:pypi/{name}@{version}",
                # One of these files was installed, by platform; the pins allow no other.
                "properties": [{"name": "letterlock:sha256", "value": value} for value in hashes],
            }
            for name, (version, hashes) in sorted(pins(requirements).items())
        ],
    }


if __name__ == "__main__":
    json.dump(document(sys.argv[1], Path(sys.argv[2]).read_text(encoding="utf-8")), sys.stdout, indent=1)
