"""Examples here run whole shards: how long one takes says nothing on a machine that has other things to do."""

from hypothesis import HealthCheck, settings

settings.register_profile("shards", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shards")
