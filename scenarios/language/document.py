"""Parsing and checking a document (`parse_document`), and filling in its variables (`build_plan`)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from pydantic import BaseModel, ValidationError

from scenarios.domain import plan
from scenarios.domain.declarations import MistakeLimit
from scenarios.domain.errors import InvalidDocument, InvalidVariables, Problem
from scenarios.domain.garbage_collection import postpone_collection
from scenarios.domain.templates import (
    TEMPLATED_PARTS,
    find_variables,
    format_scalar,
    measure_values,
    substitute,
)
from scenarios.language.built_ins import ONLY_PLANNED, RunFacts, fill_in_phases, name_faults
from scenarios.language.conditions import leave_out
from scenarios.language.each import Extras, expand, find_clashes, find_origins, has_each, name_entry
from scenarios.language.includes import (
    NOTHING_STORED,
    Inclusion,
    StoredScenarios,
    find_includes,
    include_phases,
)
from scenarios.language.messages import Misfit, explain_errors
from scenarios.language.plans import assemble_plan
from scenarios.language.schema import build_schema
from scenarios.language.semantics import check_pattern_count, check_step_count, find_semantic_problems
from scenarios.language.variables import Variable, resolve_values
from scenarios.language.words import MAX_STEPS, Metadata, Scenario, scenario_model
from scenarios.language.yaml_nodes import Node, get_child
from scenarios.language.yaml_text import MAX_BYTES
from scenarios.language.yaml_tree import MAX_PROBLEMS, read_tree

# How many problems are examined: nobody reads more, and each takes time.
TOO_MANY = MAX_PROBLEMS + 1
# A mistake counts in up to five declarations: the step, its action, phase, `spec` and the document.
PATIENCE = 5 * TOO_MANY


@dataclass(frozen=True, slots=True)
class Document:
    """A valid document. `source` is its original text, and `stored` finds the scenarios that it includes."""

    name: str
    title: str
    description: str
    tags: tuple[str, ...]
    variables: Mapping[str, Variable]
    source: str
    _tree: Node = field(repr=False)
    _plain: Mapping[str, Any] = field(repr=False)
    _model: type[Scenario[Any, Any]] = field(repr=False)
    stored: StoredScenarios = field(default=NOTHING_STORED, repr=False, compare=False)

    def find_includes(self) -> list[tuple[int, Node]]:
        """The number of each phase with `include`, and the node under that."""
        return list(find_includes(self._tree))

    def list_includes(self) -> list[str]:
        """The names of the scenarios that it includes itself."""
        nodes = (get_child(include, "scenario") for _index, include in self.find_includes())
        return list(dict.fromkeys(str(node.value) for node in nodes if node is not None))


def parse_document(
    source: str | bytes,
    drivers: Mapping[str, type[BaseModel]],
    faults: Mapping[str, type[BaseModel]] | None = None,
) -> Document:
    """Parse a document and check it against the language and the arguments of drivers and fault drivers.

    If every variable has a default, values with variables are checked with the defaults.

    Raises:
        InvalidDocument: with every problem in document order; if there are thousands, with the first ones.
    """
    # The tree is released before the garbage collector runs again; an exception's traceback would keep it.
    with postpone_collection():
        try:
            read: Document | list[Problem] = _read_document(source, scenario_model(drivers, faults))
        except InvalidDocument as error:
            read = list(error.problems)
    if isinstance(read, Document):
        return read
    raise InvalidDocument(read)


def _read_document(source: str | bytes, model: type[Scenario[Any, Any]]) -> Document:
    tree = read_tree(source)
    if excess := check_step_count(tree) or check_pattern_count(tree):
        raise InvalidDocument([excess])
    plain = tree.plain()
    found = _check(model, plain, tree, excuse_templates=True)[1]
    if problems := [misfit.problem for misfit in found] + list(
        islice(find_semantic_problems(tree), TOO_MANY)
    ):
        raise InvalidDocument(_sort_problems(problems))
    metadata = Metadata.model_validate(plain["metadata"])
    declared = plain["spec"].get("variables", {})
    document = Document(
        name=metadata.name,
        title=metadata.title or metadata.name,
        description=metadata.description,
        tags=tuple(metadata.tags),
        variables={name: Variable.model_validate(variable) for name, variable in declared.items()},
        source=source if isinstance(source, str) else source.decode("utf-8"),
        _tree=tree,
        _plain=plain,
        _model=model,
    )
    _try_defaults(document)
    return document


@postpone_collection()
def build_plan(document: Document, given: Mapping[str, Any], run: RunFacts = ONLY_PLANNED) -> plan.Plan:
    """Fill in the variables and build the plan that the engine carries out.

    In a plan without a run, ids are zeros.

    Raises:
        InvalidVariables: a value does not fit its variable, or the place where it is used.
        InvalidDocument: a rule is broken that can be checked only after the variables are filled in.
    """
    return _build_with_included(document, given, run, Inclusion((document.name,), MAX_STEPS))


def _build_with_included(
    document: Document, given: Mapping[str, Any], run: RunFacts, inclusion: Inclusion
) -> plan.Plan:
    def build(inner: Document, values: Mapping[str, Any], place: str, inside: Inclusion) -> plan.Plan:
        facts = replace(run, scenario=inclusion.chain[0], place=f"{run.place}{place}")
        return _build_with_included(replace(inner, stored=document.stored), values, facts, inside)

    filled = _fill_in(document, resolve_values(document.variables, given), run)
    if filled.valid is not None:
        words = filled.plain["spec"]
        built = name_faults(assemble_plan(filled.valid, words), filled.unfilled["phases"], run)
        return leave_out(include_phases(built, words, document, inclusion, build))
    blamed = [(misfit.problem, _find_blamed(document, misfit.node)) for misfit in filled.misfits]
    if innocent := [problem for problem, names in blamed if not names]:
        raise InvalidDocument(_sort_problems(innocent))
    raise InvalidVariables(
        {
            name: f"variable {name!r} does not fit where it is used: {problem}"
            for problem, names in reversed(blamed)
            for name in sorted(names)
        }
    )


def _check(
    model: type[Scenario[Any, Any]], plain: Any, tree: Node, *, excuse_templates: bool
) -> tuple[Scenario[Any, Any] | None, list[Misfit]]:
    try:
        return model.model_validate(plain, context=MistakeLimit(PATIENCE)), []
    except ValidationError as error:
        errors = error.errors(include_url=False)[:TOO_MANY]
        return None, explain_errors(errors, tree, build_schema(model), excuse_templates=excuse_templates)


@dataclass(frozen=True, slots=True)
class _Filled:
    """The scenario with its values: as a model, unless something is wrong, and as plain JSON.

    `unfilled` is its `spec` before, with one entry for each value of an `each`.
    """

    valid: Scenario[Any, Any] | None
    plain: Mapping[str, Any]
    unfilled: Mapping[str, Any]
    misfits: list[Misfit]


def _fill_in(document: Document, values: Mapping[str, Any], run: RunFacts) -> _Filled:
    """Fill in the values, and find what is wrong then.

    Raises:
        InvalidVariables: a value is so long, and used so often, that the document would become too large.
    """
    _refuse_growth(document, values)
    values = {**run.build_values(document.name), **values}
    tree, spec, extras = document._tree, document._plain["spec"], {}  # noqa: SLF001 - the fields are for this module
    if has_each(tree.value["spec"]):
        expansion = expand(tree.value["spec"], values, MAX_STEPS)
        if expansion.misfits:
            return _Filled(None, document._plain, spec, expansion.misfits)  # noqa: SLF001
        tree = replace(tree, value={**tree.value, "spec": expansion.spec})
        spec, extras = expansion.spec.plain(), expansion.extras
    plain = {**document._plain, "spec": _fill_in_spec(spec, values, run, extras)}  # noqa: SLF001
    valid, found = _check(document._model, plain, tree, excuse_templates=False)  # noqa: SLF001
    found += find_clashes(plain["spec"], tree.value["spec"]) if extras else []
    return _Filled(valid if not found else None, plain, spec, found)


def _fill_in_spec(
    spec: Mapping[str, Any], values: Mapping[str, Any], run: RunFacts, extras: Extras
) -> dict[str, Any]:
    filled = {
        name: substitute(part, values) if name in TEMPLATED_PARTS and name not in {"load", "phases"} else part
        for name, part in spec.items()
    }
    if "load" in spec:
        filled["load"] = [
            _fill_in_load(load, values, extras.get(("load", index), {}))
            for index, load in enumerate(spec["load"])
        ]
    filled["phases"] = fill_in_phases(spec["phases"], values, run, extras)
    return filled


def _fill_in_load(load: Any, values: Mapping[str, Any], extra: Mapping[str, Any]) -> Any:
    # What is chosen for each request is filled in when it is sent.
    return name_entry(substitute(load, {**values, **extra, **_keep_chosen(load)}), extra)


def _find_blamed(document: Document, node: Node) -> set[str]:
    """The declared variables in a value: nobody can change the built-in ones."""
    names = find_variables(node.plain())
    origins = find_origins(document._tree.value["spec"])  # noqa: SLF001
    names.update(*(origins[name] for name in names & origins.keys()))
    return names & document.variables.keys()


def _keep_chosen(load: Any) -> dict[str, str]:
    choices = load.get("choose") if isinstance(load, Mapping) else None
    return {name: f"${{{name}}}" for name in choices} if isinstance(choices, Mapping) else {}


def _refuse_growth(document: Document, values: Mapping[str, Any]) -> None:
    lengths = {name: len(format_scalar(value)) for name, value in values.items()}
    spec = document._plain["spec"]  # noqa: SLF001
    grown = sum(measure_values(spec.get(part), lengths) for part in TEMPLATED_PARTS)
    if grown > MAX_BYTES:
        longest = max(lengths, key=lengths.__getitem__)
        rule = f"with it, the document would be longer than {MAX_BYTES} bytes (256 KiB)"
        sentence = f"variable {longest!r} has {lengths[longest]} characters: {rule}"
        raise InvalidVariables({longest: sentence})


def _try_defaults(document: Document) -> None:
    """Refuse a document that no run could be started from with the default values."""
    if "${" not in document.source or any(declared.is_required for declared in document.variables.values()):
        return
    defaults = {name: variable.default for name, variable in document.variables.items()}
    try:
        found = _fill_in(document, defaults, ONLY_PLANNED).misfits
    except InvalidVariables as error:
        ((name, sentence),) = error.errors.items()
        place = document._tree.value["spec"].value["variables"].keys[name]  # noqa: SLF001
        path = f"spec.variables.{name}"
        raise InvalidDocument([Problem(place.line, place.column, path, sentence, "shorten it")]) from error
    if found:
        raise InvalidDocument(_sort_problems([_add_origin(document, misfit) for misfit in found]))


def _add_origin(document: Document, misfit: Misfit) -> Problem:
    names = ", ".join(f"'${{{name}}}'" for name in sorted(_find_blamed(document, misfit.node)))
    return replace(misfit.problem, hint=f"that is the default of {names}") if names else misfit.problem


def _sort_problems(problems: Iterable[Problem]) -> list[Problem]:
    """Sort by position, remove duplicates (an alias repeats its place) and limit the number."""
    unique = {(found.line, found.column, found.message): found for found in problems}
    ordered = sorted(unique.values(), key=lambda found: (found.line, found.column))
    if len(ordered) <= MAX_PROBLEMS:
        return ordered
    last = ordered[MAX_PROBLEMS]
    rest = "there are more problems"
    return [*ordered[:MAX_PROBLEMS], replace(last, message=rest, hint="fix the first ones")]
