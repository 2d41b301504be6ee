"""Where a call goes instead of its own host: `plan` gives the way through a gateway, or why there is none.

One module per gateway. May import `headers`.
"""

from sessiontap.gateways.planning import GATEWAYS, plan
from sessiontap.gateways.route import Direct, Route

__all__ = ["GATEWAYS", "Direct", "Route", "plan"]
