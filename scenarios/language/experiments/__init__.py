"""Experiments of Chaos Toolkit, translated to scenarios. https://chaostoolkit.org/reference/api/experiment/"""
