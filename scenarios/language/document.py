"""Parsing and checking a document (`parse_document`), and filling in its variables (`build_plan`)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from pydantic import BaseModel, ValidationError

from scenarios.domain import plan
from scenarios.domain.declarations import MistakeLimit
from scenarios.domain.errors import InvalidDocument, InvalidVariables, Problem
from scenarios.domain.expectations import Expectations
from scenarios.domain.garbage_collection import postpone_collection
from scenarios.domain.templates import (
    TEMPLATED_PARTS,
    find_variables,
    format_scalar,
    measure_values,
    substitute,
    unescape_secrets,
)
from scenarios.language.built_ins import ONLY_PLANNED, RunFacts, fill_in_phases, name_faults
from scenarios.language.conditions import leave_out
from scenarios.language.load_words import Load, LoadExpect
from scenarios.language.messages import Misfit, explain_errors
from scenarios.language.regression_words import Regression, RegressionExpect
from scenarios.language.schema import build_schema
from scenarios.language.semantics import check_pattern_count, check_step_count, find_semantic_problems
from scenarios.language.throughout_words import Throughout
from scenarios.language.timing import ACTION_SECONDS, PROBE_SECONDS, choose_time_limit
from scenarios.language.variables import Variable, resolve_values
from scenarios.language.words import Action, Guard, Metadata, Phase, Scenario, Validation, scenario_model
from scenarios.language.yaml_text import MAX_BYTES
from scenarios.language.yaml_tree import MAX_PROBLEMS, Node, read_tree

# How many problems are examined: nobody reads more, and each takes time.
TOO_MANY = MAX_PROBLEMS + 1
# A mistake counts in up to five declarations: the step, its action, phase, `spec` and the document.
PATIENCE = 5 * TOO_MANY


@dataclass(frozen=True, slots=True)
class Document:
    """A valid document. `source` is its original text."""

    name: str
    title: str
    description: str
    tags: tuple[str, ...]
    variables: Mapping[str, Variable]
    source: str
    _tree: Node = field(repr=False)
    _plain: Mapping[str, Any] = field(repr=False)
    _model: type[Scenario[Any, Any]] = field(repr=False)


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
    valid, filled, found = _fill_in(document, resolve_values(document.variables, given), run)
    if valid is not None:
        phases = document._plain["spec"]["phases"]  # noqa: SLF001 - the field is for this module
        return leave_out(name_faults(_build_plan(valid, filled["spec"]), phases, run))
    blamed = [(misfit.problem, _find_blamed(document, misfit.node)) for misfit in found]
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


def _fill_in(
    document: Document, values: Mapping[str, Any], run: RunFacts
) -> tuple[Scenario[Any, Any] | None, dict[str, Any], list[Misfit]]:
    """The scenario with these values as a model and as plain JSON, and what is wrong with it.

    Raises:
        InvalidVariables: a value is so long, and used so often, that the document would become too large.
    """
    _refuse_growth(document, values)
    values = {**run.build_values(document.name), **values}
    spec = {
        name: _fill_in_part(name, part, values) if name in TEMPLATED_PARTS and name != "phases" else part
        for name, part in document._plain["spec"].items()  # noqa: SLF001
    }
    spec["phases"] = fill_in_phases(spec["phases"], values, run)
    filled = {**document._plain, "spec": spec}  # noqa: SLF001
    valid, found = _check(document._model, filled, document._tree, excuse_templates=False)  # noqa: SLF001
    return valid, filled, found


def _find_blamed(document: Document, node: Node) -> set[str]:
    """The declared variables in a value: nobody can change the built-in ones."""
    return find_variables(node.plain()) & document.variables.keys()


def _fill_in_part(name: str, part: Any, values: Mapping[str, Any]) -> Any:
    if name != "load" or not isinstance(part, list):
        return substitute(part, values)
    # What is chosen for each request is filled in when it is sent.
    return [substitute(load, {**values, **_keep_chosen(load)}) for load in part]


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
        found = _fill_in(document, defaults, ONLY_PLANNED)[2]
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


def _build_plan(valid: Scenario[Any, Any], spec: Mapping[str, Any]) -> plan.Plan:
    guards = zip(valid.spec.guards, spec.get("guards", ()), strict=True)
    loads = zip(valid.spec.load, spec.get("load", ()), strict=True)
    phases = zip(valid.spec.phases, spec["phases"], strict=True)
    return plan.Plan(
        scenario=valid.metadata.name,
        phases=tuple(_build_phase(phase, words) for phase, words in phases),
        guards=tuple(_build_guard(guard, words) for guard, words in guards),
        loads=tuple(_build_load(load, words) for load, words in loads),
        timeout=valid.spec.timeout,
        retry_interrupted=valid.spec.retry_interrupted,
        regression=_build_regression(valid.spec.regression),
    )


def _build_regression(regression: Regression | None) -> dict[str, float]:
    expect = regression.expect if regression is not None else None
    limits = {name: getattr(expect, name, None) for name in RegressionExpect.model_fields}
    return {name: limit.at_most for name, limit in limits.items() if limit is not None}


def _build_phase(phase: Phase[Any, Any], words: Mapping[str, Any]) -> plan.Phase:
    actions = zip(phase.actions, words.get("actions", ()), strict=True)
    validations = list(zip(phase.validations, words.get("validations", ()), strict=True))
    return plan.Phase(
        name=phase.name,
        description=phase.description,
        hold=phase.hold,
        actions=tuple(_build_action(action, own) for action, own in actions),
        validations=tuple(
            _build_validation(validation, own) for validation, own in validations if "load" not in own
        ),
        load_validations=tuple(
            _build_load_validation(validation) for validation, own in validations if "load" in own
        ),
        on_failure=phase.on_failure,
        when=phase.when,
    )


def _build_action(action: Action[Any, Any], words: Mapping[str, Any]) -> plan.Action:
    if "fault" in words:
        return plan.build_fault_action(
            _build_step(words["fault"]),
            name=action.name,
            at=action.at,
            until=action.until,
            timeout=action.timeout,
            undo_timeout=action.timeout,
            retry=_build_retry(action),
            when=action.when,
        )
    return plan.Action(
        name=action.name,
        do=_build_step(words["do"]),
        undo=_build_step(words["undo"]) if "undo" in words else None,
        undone=_build_proof(words["undone"]) if "undone" in words else None,
        expect=Expectations(unescape_secrets(words["expect"])) if "expect" in words else None,
        at=action.at,
        until=action.until,
        timeout=choose_time_limit(words["do"], _get_written_timeout(action), ACTION_SECONDS),
        undo_timeout=_choose_undo_time(words, _get_written_timeout(action)),
        retry=_build_retry(action),
        when=action.when,
    )


def _build_retry(action: Action[Any, Any]) -> plan.Retry | None:
    return plan.Retry(action.retry.times, action.retry.every) if action.retry is not None else None


def _choose_undo_time(words: Mapping[str, Any], written: float | None) -> float:
    """Of the undo together with the probe that shows that it has worked."""
    limit = choose_time_limit(words.get("undo"), written, ACTION_SECONDS)
    return choose_time_limit(words.get("undone", {}).get("probe"), written, limit)


def _get_written_timeout(declared: Action[Any, Any] | Validation[Any] | Guard[Any]) -> float | None:
    """Its `timeout`; None if it is the default."""
    return declared.timeout if "timeout" in declared.model_fields_set else None


def _build_proof(words: Mapping[str, Any]) -> plan.Proof:
    return plan.Proof(
        probe=_build_step(words["probe"]),
        expect=Expectations(unescape_secrets(words["expect"])),
        timeout=choose_time_limit(words["probe"], None, PROBE_SECONDS),
    )


def _build_validation(validation: Validation[Any], words: Mapping[str, Any]) -> plan.Validation:
    return plan.Validation(
        name=validation.name,
        probe=_build_step(words["probe"]),
        expect=Expectations(unescape_secrets(words["expect"])),
        within=validation.within,
        hold_for=validation.for_,
        every=validation.every,
        throughout=validation.throughout is not False,
        success=validation.throughout.success if isinstance(validation.throughout, Throughout) else None,
        timeout=choose_time_limit(words["probe"], _get_written_timeout(validation), PROBE_SECONDS),
        when=validation.when,
    )


def _build_load_validation(validation: Any) -> plan.LoadValidation:
    limits = [
        plan.Limit(figure, matcher, getattr(getattr(validation.expect, figure), matcher))
        for figure in LoadExpect.model_fields
        if figure in validation.expect.model_fields_set
        for matcher in getattr(validation.expect, figure).model_fields_set
    ]
    return plan.LoadValidation(
        name=validation.name,
        load=validation.load,
        limits=tuple(sorted(limits, key=lambda limit: limit.matcher)),
        within=validation.within,
        hold_for=validation.for_,
        every=validation.every,
        when=validation.when,
    )


def _build_load(load: Load[Any], words: Mapping[str, Any]) -> plan.Load:
    return plan.Load(
        name=load.name,
        rate=load.rate,
        request=_build_step(words["request"]),
        choose={name: tuple(unescape_secrets(values)) for name, values in load.choose.items()},
        timeout=load.timeout,
    )


def _build_guard(guard: Guard[Any], words: Mapping[str, Any]) -> plan.Guard:
    return plan.Guard(
        name=guard.name,
        probe=_build_step(words["probe"]),
        expect=Expectations(unescape_secrets(words["expect"])),
        every=guard.every,
        tolerate=guard.tolerate,
        timeout=choose_time_limit(words["probe"], _get_written_timeout(guard), PROBE_SECONDS),
    )


def _build_step(words: Mapping[str, Any]) -> plan.Step:
    """Keep the arguments unchanged: the driver reads them when the step runs."""
    ((driver, arguments),) = ((name, inner) for name, inner in words.items() if name != "sensitive")
    return plan.Step(driver, dict(arguments), words.get("sensitive", False))
