"""The dashboard of a watched run: pages on loopback over the store of a run that goes on or is finished."""

from karat.dashboard.server import Dashboard, serve_dashboard

__all__ = ["Dashboard", "serve_dashboard"]
