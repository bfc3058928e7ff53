"""What breaks things next to the services under test: the fault proxy.

It runs on targets and imports nothing of the coordinator, nor anything beyond the standard library.
"""
