"""What a RouteIQ plugin imports. Everything public is re-exported here; the rest may change."""

from .config import Secret, setting
from .context import Outcome, PluginContext, RequestContext, Transaction
from .decisions import Attempt, Choice, Deny, Fail, Failure, Model, Next, Plan, Principal, Reject, Rescue, Retry
from .errors import ClientError, ConfigError, GraphError, PluginFailure, RouteIQError, UpstreamError
from .hooks import API_VERSION, hookimpl
from .manifest import Capability, FailureMode, Hold, Manifest
from .request import ABSENT, Content, Message, Request, Tool
from .resources import Call, Deployment, Health, HealthCheck, Panel, Reply, Route, Surface
from .services import CLOCK, HTTP_CLIENTS, STATE_STORE, ServiceKey
from .specs import Response

__version__ = "0.1.0"

__all__ = [
    "ABSENT", "API_VERSION", "CLOCK", "HTTP_CLIENTS", "STATE_STORE", "Attempt", "Call", "Capability", "Choice", "ClientError",
    "ConfigError", "Content", "Deny", "Deployment", "Fail", "FailureMode", "Failure", "GraphError", "Health", "HealthCheck", "Hold",
    "Manifest", "Message", "Model", "Next", "Outcome", "Panel", "Plan", "PluginContext", "PluginFailure", "Principal", "Reject",
    "Reply", "Request", "RequestContext", "Rescue", "Response", "Retry", "Route", "RouteIQError", "Secret", "ServiceKey", "Surface",
    "Tool", "Transaction", "UpstreamError", "hookimpl", "setting",
]  # fmt: skip
