"""Servers and task workers whose counts are compared with what their clients were answered."""
