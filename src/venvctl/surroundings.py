"""What a process was told from outside of how to reach indexes and the engine, as one digest.

A command and a daemon of the same user do the same only where both were told the same.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

_PREFIXES = ("UV_INDEX",)
_NAMES = (
    "ALL_PROXY",
    "DOCKER_CERT_PATH",
    "DOCKER_CONFIG",
    "DOCKER_CONTEXT",
    "DOCKER_HOST",
    "DOCKER_TLS_VERIFY",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NETRC",
    "NO_PROXY",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "UV_CONFIG_FILE",
    "UV_DEFAULT_INDEX",
    "UV_EXTRA_INDEX_URL",
    "UV_FIND_LINKS",
    "UV_KEYRING_PROVIDER",
    "XDG_CONFIG_HOME",
)


def digest() -> str:
    """SHA-256 (hex) of the variables that decide; they may hold secrets, so they are not shown."""
    chosen = {name for name in os.environ if name.startswith(_PREFIXES)}
    chosen |= {name for name in os.environ if name.upper() in _NAMES}
    values = [[name, os.environ[name]] for name in sorted(chosen)]
    # Where netrc and configuration files are, whether HOME says it or the account.
    values.append(["home", str(Path.home())])
    return hashlib.sha256(json.dumps(values).encode("utf-8", "surrogateescape")).hexdigest()
