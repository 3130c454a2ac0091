"""The answer to the commit that ended an action is lost: what is written already is not written again, nor too late."""

import pytest

from test_respond_actions import claimed, ended, kinds, shop, state  # noqa: F401  a fixture
from test_respond_decide import decided
from tocsin.respond import actions
from tocsin.store import Store


@pytest.mark.parametrize("outcome", ["ok", "failed", "refused", "unknown"])
def test_an_end_that_was_written_before_is_not_written_again(shop: Store, outcome: str) -> None:  # noqa: F811  see above
    decided(shop)
    first = claimed(shop)
    one = ended(shop, first, outcome=outcome)
    assert one is not None
    assert ended(shop, first, outcome=outcome) == one
    assert state(shop) == (outcome, "done", outcome == "unknown")
    assert kinds(shop) == ["action.intent", "action.started", "action.ended"]


def test_an_unknown_end_of_who_was_given_up_is_late(shop: Store) -> None:  # noqa: F811  see above
    decided(shop)
    first = claimed(shop)
    with shop.write() as connection:
        assert len(actions.recover(connection, first.until + 1)) == 1
    assert ended(shop, first, outcome="unknown") is None
    assert state(shop) == ("unknown", "interrupted", True)
    assert kinds(shop)[-1] == "action.late"
