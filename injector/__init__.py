"""What breaks things next to the services under test: the fault proxy.

It runs on targets and imports nothing of the coordinator. Faults of TCP need the standard library alone,
those of HTTP h11 as well.
"""
