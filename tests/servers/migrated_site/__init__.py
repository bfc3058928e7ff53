"""A project that moves from django-prometheus to this package by the steps of the guide.

It does what django-prometheus's own example project does: pages, an exception, rows, a cache.
"""
