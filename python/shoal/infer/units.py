"""Units that the names of fields tell: ``power_kw``, ``speed_mps``, ``temp_c``."""

from __future__ import annotations

import re

from shoal.infer.names import word_set

_UNITS = {
    "kw": "kW",
    "mw": "MW",
    "w": "W",
    "watt": "W",
    "watts": "W",
    "kwh": "kWh",
    "mwh": "MWh",
    "wh": "Wh",
    "kva": "kVA",
    "kvar": "kvar",
    "v": "V",
    "volt": "V",
    "volts": "V",
    "mv": "mV",
    "kv": "kV",
    "a": "A",
    "amp": "A",
    "amps": "A",
    "ma": "mA",
    "hz": "Hz",
    "khz": "kHz",
    "mhz": "MHz",
    "c": "°C",
    "degc": "°C",
    "celsius": "°C",
    "f": "°F",
    "degf": "°F",
    "fahrenheit": "°F",
    "kelvin": "K",
    "mps": "m/s",
    "kmh": "km/h",
    "kph": "km/h",
    "mph": "mph",
    "kt": "kn",
    "kts": "kn",
    "kn": "kn",
    "knots": "kn",
    "fpm": "ft/min",
    "ft": "ft",
    "feet": "ft",
    "m": "m",
    "meters": "m",
    "metres": "m",
    "km": "km",
    "mi": "mi",
    "miles": "mi",
    "cm": "cm",
    "mm": "mm",
    "um": "µm",
    "pct": "%",
    "percent": "%",
    "deg": "°",
    "degrees": "°",
    "rad": "rad",
    "us": "µs",
    "ms": "ms",
    "s": "s",
    "sec": "s",
    "secs": "s",
    "seconds": "s",
    "min": "min",
    "minutes": "min",
    "h": "h",
    "hours": "h",
    "pa": "Pa",
    "hpa": "hPa",
    "kpa": "kPa",
    "mbar": "mbar",
    "bar": "bar",
    "psi": "psi",
    "rpm": "1/min",
    "g": "g",
    "kg": "kg",
    "lb": "lb",
    "lbs": "lb",
    "l": "l",
    "litres": "l",
    "liters": "l",
    "lpm": "l/min",
    "m3": "m³",
    "ppm": "ppm",
    "ppb": "ppb",
    "db": "dB",
    "dbm": "dBm",
    "lux": "lx",
    "usd": "USD",
    "eur": "EUR",
    "bytes": "B",
    "kb": "kB",
    "mb": "MB",
    "gb": "GB",
    "bps": "bit/s",
    "nm": "Nm",
}
# Of these a whole name may consist; `m`, `min` or `c` alone mean anything.
_ALONE = word_set(
    """
    kw mw kwh mwh kva kvar volt volts amp amps hz khz mhz celsius fahrenheit kmh kph mph knots rpm hpa kpa mbar psi
    ppm ppb lux watts
    """
)
# Two words, as in `speed_m_s`
_PAIRS = {("m", "s"): "m/s", ("km", "h"): "km/h", ("l", "min"): "l/min", ("m", "s2"): "m/s²"}


def unit_of(name: str) -> str:
    """ "" where the name tells none."""
    words = [word.lower() for word in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z0-9]+", name)]
    if len(words) > 2 and tuple(words[-2:]) in _PAIRS:
        return _PAIRS[words[-2], words[-1]]
    if len(words) > 1:
        return _UNITS.get(words[-1], "")
    return _UNITS[words[0]] if words and words[0] in _ALONE else ""
