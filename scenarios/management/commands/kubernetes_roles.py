"""`manage.py kubernetes_roles`: prints the Roles that the faults and probes of a cluster need."""

from typing import Any

import yaml
from django.core.management.base import BaseCommand, CommandError, CommandParser

from scenarios.drivers.kubernetes.rules import (
    ALL,
    DISCOVERY,
    PROBE,
    USUAL,
    Rule,
    build_patch_rule,
    build_roles,
)

DEFAULT = (*USUAL, PROBE, DISCOVERY)


class Command(BaseCommand):
    help = "Print the Role, or ClusterRole, with just the rules that these kinds of faults and probes need."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--kind",
            action="append",
            choices=ALL,
            metavar="KIND",
            help=f"One of {', '.join(ALL)}; may be repeated. Default: {', '.join(DEFAULT)}.",
        )
        parser.add_argument(
            "--namespace", action="append", required=True, help="Where faults are injected; may be repeated."
        )
        parser.add_argument(
            "--account-namespace",
            default="test-coordinator",
            metavar="NAMESPACE",
            help="The namespace of the coordinator's ServiceAccount (default: %(default)s).",
        )
        parser.add_argument(
            "--patch",
            action="append",
            default=[],
            metavar="PLURAL.GROUP",
            help="What 'patch' may change, as 'deployments.apps' or 'configmaps'; may be repeated.",
        )

    def handle(self, *_arguments: Any, **options: Any) -> None:
        kinds = options["kind"] or list(DEFAULT)
        more = [_parse_patched(name) for name in options["patch"]]
        if more and "patch" not in kinds:
            kinds = [*kinds, "patch"]
        documents = []
        for namespace in options["namespace"]:
            for document in build_roles(kinds, namespace, options["account_namespace"], more):
                if document not in documents:  # that of the whole cluster comes once
                    documents.append(document)
        self.stdout.write(yaml.safe_dump_all(documents, sort_keys=False), ending="")


def _parse_patched(name: str) -> Rule:
    plural, _, group = name.partition(".")
    if not plural.isalnum() or plural != plural.lower():
        raise CommandError(f"{name!r} is not a kind of objects: write 'deployments.apps' or 'configmaps'")
    return build_patch_rule(group, plural, is_namespaced=plural != "nodes")
