"""Log lines of twins."""

from __future__ import annotations

import logging
from typing import Any


class TwinLog(logging.LoggerAdapter[logging.Logger]):
    """Puts the twin's URI before each message, and into the record as ``uri``."""

    def log(self, level: int, msg: object, *args: object, **options: Any) -> None:
        if self.isEnabledFor(level):
            uri = str(self.extra["uri"]) if self.extra else ""
            # only with arguments is a message a format
            prefix = uri.replace("%", "%%") if args else uri
            options["stacklevel"] = options.get("stacklevel", 1) + 1
            options["extra"] = {**(options.get("extra") or {}), "uri": uri}
            self.logger.log(level, f"{prefix}: {msg}", *args, **options)


def twin_log(app: str, uri: str) -> TwinLog:
    return TwinLog(logging.getLogger(f"shoal.{app}"), {"uri": uri})
