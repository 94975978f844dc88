"""The error tree: exit codes that do not move, messages on one line."""

from __future__ import annotations

from trtnemo import errors


def test_exit_codes_are_the_contract() -> None:
    codes = {kind.__name__: kind.exit_code for kind in errors.TrtnemoError.__subclasses__()}
    assert codes == {
        "UsageError": 2,
        "RecipeError": 3,
        "CheckpointError": 4,
        "EngineError": 5,
        "MachineError": 6,
        "ServerError": 7,
        "RequestError": 1,
    }


def test_a_message_says_what_where_and_what_to_do() -> None:
    error = errors.RecipeError("is wrong", where="a.yaml:3", remedy="Mend it")
    assert str(error) == "a.yaml:3: is wrong. Mend it"
    assert str(errors.RecipeError("did you mean 'x'?", remedy="Mend it")) == "did you mean 'x'? Mend it"


def test_a_message_stays_on_one_line_and_drives_no_terminal() -> None:
    text = str(errors.RecipeError("key 'a\nb\x1b[31m'"))
    assert text == r"key 'a\nb\x1b[31m'"
    assert str(errors.ServerError("\x9b2J \u202eexe.png")) == r"\x9b2J \u202eexe.png"
