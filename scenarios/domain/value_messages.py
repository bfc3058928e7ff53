"""What is wrong with a value, in the words of the product instead of pydantic's."""

from collections.abc import Collection

# By pydantic's kind of error, where its own message does not say what to write.
MESSAGES = {
    "missing": "required",
    "extra_forbidden": "unknown field",
    "model_type": "expected a JSON object",
    "model_attributes_type": "expected a JSON object",
    "dict_type": "expected a JSON object",
    "list_type": "expected a list",
    "string_type": "expected text",
    "int_type": "expected a whole number",
    "int_parsing": "expected a whole number",
    "float_type": "expected a number",
    "bool_type": "expected true or false",
    "none_required": "expected null",
    "string_pattern_mismatch": "invalid value",
    "uuid_parsing": "expected a whole id; GET /api/v1/runs?id=BEGINNING finds a run by a part of it",
    "timezone_aware": "the offset from UTC is missing; add Z or, for example, +02:00",
}
# The rest of pydantic's messages, as sentences begin here.
PHRASES = (
    ("Value error, ", ""),
    ("Input should be '", "choose one of '"),
    ("Input should be ", "must be "),
    ("String should ", "must "),
    ("List should ", "must "),
)


def phrase_message(kind: str, text: str) -> str:
    """The sentence for one of pydantic's errors, of this kind and with this text."""
    if kind in MESSAGES:
        return MESSAGES[kind]
    for beginning, words in PHRASES:
        if text.startswith(beginning):
            return words + text.removeprefix(beginning)
    return text


def phrase_unknown(known: Collection[str]) -> str:
    """The sentence for a field that is not a known one."""
    return f"unknown field; choose one of {', '.join(map(repr, known))}"
