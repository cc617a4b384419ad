"""Functions run in virtual time, without AWS and without waiting."""

from datetime import timedelta

from tidegate.testing import run

from my_app.signup import UserCreated, welcome

ADA = UserCreated(name="Ada")


def test_a_new_user_is_welcomed_and_asked() -> None:
    result = run(welcome, ADA)
    assert list(result.steps) == ["welcome", "let them look around", "ask"]
    assert result.value == "to Ada: how does it go?"
    assert result.elapsed == timedelta(seconds=2)


def test_a_mail_that_cannot_be_written_fails_the_run() -> None:
    result = run(welcome, ADA, steps={"welcome": ConnectionError("the mail server is down")})
    assert result.status == "Failed"
    assert "ask" not in result.steps
