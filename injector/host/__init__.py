"""The host program: injects, renews and removes faults on the machine that runs it.

It is sent to that machine as one text, which `injector.host.bundle` joins from these modules. They need only
Python 3.8 and its standard library.
"""
