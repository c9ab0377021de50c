"""A population by the name that a person gives it."""

from shoal.cli.faults import EXIT_REFUSED, Fault
from shoal.place import near
from shoal.queries import AppSummary, PopulationSummary, Queries


def told(queries: Queries) -> AppSummary:
    """What the server tells of itself. ``NotShoal``; ``Fault`` where it does not."""
    app = queries.app()
    if app is None:
        raise Fault("a twin stands at /, where the server tells its populations otherwise", EXIT_REFUSED)
    return app


def named(app: AppSummary, text: str) -> PopulationSummary:
    """``Bus``, ``bus``, ``/bus`` or ``/bus/{id}``. ``Fault`` names those that exist."""
    wanted = text.rstrip("/").removesuffix("/*").lower()
    found = [
        population
        for population in app.populations
        if wanted in (population.cls.lower(), population.pattern.lower())
        or wanted.lstrip("/") == population.path.removesuffix("/*").strip("/").lower()
    ]
    exact = [population for population in found if population.cls == text]
    if len(exact or found) > 1:
        raise Fault(f"{text} may be {' or '.join(population.cls for population in found)}", EXIT_REFUSED)
    if found:
        return (exact or found)[0]
    names = [population.cls or population.path for population in app.populations]
    by_lower = {name.lower(): name for name in names}
    hint = near(wanted.lstrip("/"), by_lower)
    for lower, name in by_lower.items():
        hint = hint.replace(f"`{lower}`", f"`{name}`")
    raise Fault(f"there is no population {text}; {hint}".rstrip("; "), EXIT_REFUSED)
