"""Writes the OCI configuration with which image_drill.sh runs a command of the image: as compose.yaml does, read-only.

buildah inspect --type image IMAGE | oci_bundle.py ROOT ENVIRONMENT_FILE MEDIA COMMAND…
"""

import json
import sys
from pathlib import Path
from typing import Any


def configuration(image: dict[str, Any], root: str, environment: str, media: str, command: list[str]) -> Any:
    """The runtime's configuration: user, environment and folder of the image, no rights, no root to write to."""
    of = image["Docker"]["config"]
    user, _, group = of["User"].partition(":")
    temporary = {"type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", "mode=1777"]}
    bound = {"type": "bind", "options": ["rbind"]}
    return {
        "ociVersion": "1.0.2",
        "root": {"path": root, "readonly": True},
        "process": {
            "user": {"uid": int(user), "gid": int(group)},
            "args": command,
            "env": [*of["Env"], *Path(environment).read_text().split("\n")[:-1]],
            "cwd": of["WorkingDir"],
            "noNewPrivileges": True,
            "capabilities": {
                kind: [] for kind in ("bounding", "effective", "inheritable", "permitted", "ambient")
            },
        },
        "hostname": "voucher-app",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
            {"destination": "/dev/shm", **temporary},  # noqa: S108
            {"destination": "/tmp", **temporary},  # noqa: S108
            {"destination": "/var/lib/vouchers/media", "source": media, **bound},
            {"destination": "/etc/resolv.conf", "source": "/etc/resolv.conf", **bound},
            {"destination": "/etc/hosts", "source": "/etc/hosts", **bound},
        ],
        # The network stays the machine's own, where PostgreSQL and Redis are.
        "linux": {"namespaces": [{"type": kind} for kind in ("mount", "pid", "ipc", "uts")]},
    }


if __name__ == "__main__":
    ROOT, ENVIRONMENT, MEDIA, *COMMAND = sys.argv[1:]
    json.dump(configuration(json.load(sys.stdin), ROOT, ENVIRONMENT, MEDIA, COMMAND), sys.stdout, indent=1)
