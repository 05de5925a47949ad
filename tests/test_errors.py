"""How options are called in messages."""

from __future__ import annotations

import pytest

from svgd_onnx.errors import UserError, check_choice, check_range, listed, option


def test_an_option_goes_by_its_name_in_python_and_by_its_flag_on_the_command_line() -> None:
    error = UserError(f"Leave it out with {option('t_scope')}.")
    assert str(error) == "Leave it out with t_scope."
    assert error.on_command_line() == "Leave it out with --t-scope."


@pytest.mark.parametrize(
    ("value", "python", "flag"),
    [
        ("channel", "granularity='channel'", "--granularity channel"),
        ("head.*", "granularity='head.*'", "--granularity 'head.*'"),
    ],
)
def test_a_value_is_quoted_where_a_shell_would_read_it(value: str, python: str, flag: str) -> None:
    error = UserError(option("granularity", value))
    assert (str(error), error.on_command_line()) == (python, flag)


def test_what_looks_like_an_option_in_a_users_name_stays_as_it_is() -> None:
    error = UserError("There is no file '--freeze freeze'.")
    assert str(error) == error.on_command_line() == "There is no file '--freeze freeze'."


def test_choices_and_ranges_say_what_is_wanted() -> None:
    with pytest.raises(UserError, match="Unknown t_kernel 'fast': choose from fused, portable"):
        check_choice("t_kernel", "fast", ("fused", "portable"))
    for value in (float("nan"), float("inf"), -1.0):
        with pytest.raises(UserError, match=r"rho is .*, but must be at least 0\."):
            check_range("rho", value, value >= 0, "at least 0")


@pytest.mark.parametrize("value", [1e39, 1e-50, 10**400])
def test_a_number_that_float32_does_not_have_is_refused(value: float) -> None:
    with pytest.raises(
        UserError, match=r"scale is 1.*, but float32 has numbers from 1.2e-38 to 3.4e\+38"
    ):
        check_range("scale", value, value > 0, "positive")
    check_range("l1", 0, True, "0 or more")


def test_long_lists_are_cut() -> None:
    assert listed("abc", most=3) == "a, b, c"
    assert listed("abcde", most=3) == "a, b, c and 2 more"
