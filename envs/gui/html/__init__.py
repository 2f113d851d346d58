"""Screens as HTML pages: what the simulator shows, for a browser."""
