"""The environment's variables with Thud's prefix: settings, what a platform made, and slips of the pen."""

import os
import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import EnvSettingsSource

ENV_PREFIX = "THUD_"

METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""prometheus_client's variable: the folder where the numbers of several processes lie."""

# Kubernetes and Docker's links describe a service named `thud`, or `thud-web`, in variables with the prefix THUD.
_SERVICE = re.compile(
    r"(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?|NAME|ENV_\w+)"
)
_SERVICE_PORT = re.compile(r"(tcp|udp|sctp)://", re.IGNORECASE)

_ALIKE = 0.75


class Environment(EnvSettingsSource):
    """The settings among the variables. `THUD_PORT=tcp://10.0.0.1:80` is none: it says where a service is."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """The value of a field's variable, None where there is none."""
        value, key, is_complex = super().get_field_value(field, field_name)
        if field_name == "port" and isinstance(value, str) and _SERVICE_PORT.match(value):
            value = None
        return value, key, is_complex


def slips(fields: Iterable[str]) -> list[str]:
    """Complaints of variables that are none of the `fields`' but much like one, and so would go without effect."""
    names = [field.upper() for field in fields]
    found = []
    for variable, name in _unknown(names):
        meant = get_close_matches(name, names, n=1, cutoff=_ALIKE)
        found += [f"{variable}: there is no such setting; {ENV_PREFIX}{one} is one" for one in meant]
    return found


def without_effect(fields: Iterable[str]) -> list[str]:
    """The variables with the prefix that are none of the `fields`', and that no platform made."""
    return [variable for variable, _ in _unknown([field.upper() for field in fields])]


def _unknown(names: list[str]) -> Iterator[tuple[str, str]]:
    for variable in sorted(os.environ):
        name = variable.upper().removeprefix(ENV_PREFIX)
        if variable.upper().startswith(ENV_PREFIX) and name not in names and not _made_by_platform(name):
            yield variable, name


def _made_by_platform(name: str) -> bool:
    """Whether the name ends as such variables do, with the rest of a service's name in front or not."""
    return re.search(rf"(^|_){_SERVICE.pattern}$", name) is not None
